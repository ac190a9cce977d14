"""The page of a fitted classifier, scored on texts that were held out of its support, or on a labelled table."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.adaptation.refit import HeldOut, embedded
from fewshot.evaluation import expected_calibration_error
from fewshot.evaluation.intervals import share_interval
from fewshot.fitted.rejection import in_scope_scores
from fewshot.page.answers import MOST_WRONG, Answers, WrongText, scores_of
from fewshot.page.map import map_of
from fewshot.page.page import Listed, Page, Row, Scope, answered, settings
from fewshot.page.reasons import by_evidence, by_folds
from fewshot.text_classifier import TextClassifier

NONE_OF_THESE = "none of these"
_NOT_SHOWN = ("n_texts", "command", "accuracy")  # details that other sections show


def page_of_fit(classifier: TextClassifier, held_out: HeldOut | None, name: str, command: str) -> Page:
    """The page of a classifier, scored on the texts that were held out of its support in turn.

    Args:
        classifier: with evidence.
        held_out: logits of the texts that were held out; None if they are not known.
        name: of the texts.
        command: that fits the classifier.
    """
    evidence = classifier.evidence
    if evidence is None or held_out is None or not len(held_out.classes):
        return _without_answers(classifier, name, command)
    texts, n_texts = evidence.support.texts, len(evidence.support.texts)
    confidence, predicted = (held_out.logits.double() / classifier.temperature).softmax(-1).max(-1)
    answers = Answers(_labels(classifier), texts, held_out.places, held_out.classes, predicted, confidence)
    space = embedded(classifier.classifier, evidence)
    ece = expected_calibration_error(held_out.logits[None] / classifier.temperature, held_out.classes[None])
    folds = "each by a classifier that was fitted without it; the interval is for other texts of the same kind"
    scope = None
    if classifier.rejection is not None:
        outside = classifier.rejection.out_of_scope
        scores = {"texts of the labels, each without itself": in_scope_scores(space, outside)}
        if outside is not None:
            scores["texts of no label"] = classifier.rejection.scores_of_out_of_scope()
        scope = _scope(classifier, scores)
    wrong = {text.index for text in answers.wrong()}
    return Page(
        title=f"A classifier of {name}",
        summary=f"Accuracy on {len(held_out.classes)} of {n_texts} texts of {len(classifier.labels)} labels, {folds}.",
        rows=_rows(answers, str(classifier.details["stage"]), ece),
        **answered(answers, by_folds(evidence, held_out, answers)),
        ece=ece,
        map=map_of(evidence.features[:n_texts], space.classes[:n_texts], answers.labels, texts, wrong),
        scope=scope,
        configuration=_configuration(classifier),
        command=command,
    )


def page_of_table(
    classifier: TextClassifier, texts: Sequence[str], labels: Sequence[Sequence[Any]], name: str, command: str
) -> Page:
    """The page of a classifier, scored on a labelled table.

    Args:
        classifier: fitted.
        texts: of the table.
        labels: those of each text, each a label of the classifier; with thresholds any number, otherwise one.
        name: of the table.
        command: that scores it.
    """
    seen = set() if classifier.evidence is None else set(classifier.evidence.support.texts)
    n_seen = sum(text in seen for text in texts)
    but = f" {n_seen} of them are among those that it was fitted on, which flatters it." if n_seen else ""
    common: dict[str, Any] = {
        "title": f"A classifier, scored on {name}",
        "configuration": _configuration(classifier),
        "command": command,
    }
    predictions = classifier.predictions(texts)
    if predictions.thresholds is not None:
        chosen = torch.from_numpy(predictions.probabilities >= predictions.thresholds)
        return _of_several(classifier, texts, labels, chosen, f"{len(texts)} texts.{but}", common)
    probabilities = torch.from_numpy(predictions.probabilities)
    confidence, predicted = probabilities.double().max(-1)
    labels_shown = _labels(classifier)
    if predictions.rejected is not None:
        predicted = predicted.masked_fill(torch.from_numpy(predictions.rejected), len(labels_shown))
        labels_shown = (*labels_shown, NONE_OF_THESE)
    targets = torch.tensor([classifier.labels.index(of_text[0]) for of_text in labels])
    answers = Answers(labels_shown, texts, torch.arange(len(texts)), targets, predicted, confidence)
    features, scope = normalize(classifier.encoder.encode(list(texts)), dim=-1), None
    with torch.no_grad():
        points = classifier.classifier.metric(features[None])[0]
    if classifier.rejection is not None:
        scores = classifier.rejection.scores(points)
        right = answers.right | (predicted == len(classifier.labels))
        groups = {"texts taken for their own label, or for none": right, "texts taken for another label": ~right}
        scope = _scope(classifier, {which: scores[mask] for which, mask in groups.items() if mask.any()})
    ece = expected_calibration_error(probabilities.log()[None], targets[None])
    wrong = answers.wrong()
    return Page(
        summary=f"Accuracy on {len(texts)} texts; the interval is for other texts of the same kind.{but}",
        rows=_rows(answers, str(classifier.details.get("stage", "classifier")), ece),
        **answered(answers, _reasons(classifier, wrong[:MOST_WRONG], features, points)),
        ece=ece,
        map=map_of(points, targets, answers.labels, texts, {text.index for text in wrong}),
        scope=scope,
        **common,
    )


def _reasons(classifier: TextClassifier, wrong: Sequence[WrongText], features: Tensor, points: Tensor) -> list[str]:
    """The reasons for the wrong texts, from the features of all texts and their points in the classifier's space."""
    indices = [text.index for text in wrong]
    reasons = [""] * len(wrong)
    if classifier.evidence is not None:
        predicted = [text.predicted_class for text in wrong]
        reasons = by_evidence(classifier.classifier, classifier.evidence, features[indices], predicted)
    if classifier.rejection is None or not wrong:
        return reasons
    scores, below = classifier.rejection.scores(points[indices]).tolist(), classifier.rejection.threshold
    return [
        f"score {score:.2f}, below {below:.2f}" if text.predicted_class == len(classifier.labels) else reason
        for text, score, reason in zip(wrong, scores, reasons, strict=True)
    ]


def _of_several(
    classifier: TextClassifier,
    texts: Sequence[str],
    labels: Sequence[Sequence[Any]],
    chosen: Tensor,
    summary: str,
    common: Mapping[str, Any],
) -> Page:
    """The page of a classifier that gives several labels: a text is right if all its labels are, and no more."""
    targets = torch.tensor([[label in of_text for label in classifier.labels] for of_text in labels])
    names = _labels(classifier)

    def joined(row: Tensor) -> str:
        return " | ".join(names[number] for number in row.nonzero().flatten().tolist()) or "no label"

    wrong = [
        WrongText(i, texts[i], joined(targets[i]), joined(chosen[i]), -1, 1, 1, float("nan"))
        for i in (targets != chosen).any(1).nonzero().flatten().tolist()
    ]
    counts = (mask.double().sum(0).tolist() for mask in (targets & chosen, targets, chosen))
    n, right = len(texts), len(texts) - len(wrong)
    low, high = share_interval(right / n, 0.0, n)
    return Page(
        summary=f"Accuracy is the share of texts whose labels are all right, of {summary}",
        rows=(_row(str(classifier.details["stage"]), right / n, (low, high)),),
        classes=scores_of(names, *counts),
        wrong=tuple(Listed(text, "") for text in wrong[:MOST_WRONG]),
        n_wrong=len(wrong),
        **common,
    )


def _without_answers(classifier: TextClassifier, name: str, command: str) -> Page:
    """The page of a classifier whose texts were not held out one by one."""
    scores = classifier.details.get("out_of_fold") or {}
    rows: tuple[Row, ...] = ()
    summary = "No text was held out: nothing is known of how good it is."
    if "micro_f1" in scores:
        rows = (Row("several labels", f"{100 * scores['micro_f1']:.1f}", macro_f1=f"{100 * scores['macro_f1']:.1f}"),)
        summary = f"Micro-F1 over the labels of {scores['n_texts']} texts, which were held out in turn."
    return Page(
        title=f"A classifier of {name}",
        summary=summary,
        rows=rows,
        measure="micro-F1",
        configuration=_configuration(classifier),
        command=command,
    )


def _rows(answers: Answers, stage: str, ece: float) -> tuple[Row, ...]:
    """The classifier beside one that always gives the most frequent label."""
    n = len(answers.targets)
    accuracy = int(answers.right.sum()) / n
    f1 = [scores.f1 for scores in answers.by_class() if scores.n]
    sizes = torch.bincount(answers.targets)
    largest = int(sizes.argmax())
    share = int(sizes[largest]) / n
    row = _row(stage, accuracy, share_interval(accuracy, 0.0, n), f"{100 * sum(f1) / len(f1):.1f}", f"{ece:.3f}")
    return (row, _row(f"always “{answers.labels[largest]}”", share, share_interval(share, 0.0, n)))


def _row(name: str, share: float, interval: tuple[float, float], macro_f1: str = "", ece: str = "") -> Row:
    low, high = interval
    return Row(
        name=name,
        accuracy=f"{100 * share:.1f}",
        interval=f"{100 * low:.1f} to {100 * high:.1f}",
        macro_f1=macro_f1,
        ece=ece,
        share=share,
        low=low,
        high=high,
    )


def _scope(classifier: TextClassifier, scores: Mapping[str, Tensor]) -> Scope:
    rejection = classifier.rejection
    assert rejection is not None
    threshold = rejection.threshold if abs(rejection.threshold) != float("inf") else None
    below = [
        f"{int((values < rejection.threshold).sum())} of {len(values)} {which}" for which, values in scores.items()
    ]
    note = rejection.details.get("note", "")
    sentence = f"Texts that score below {rejection.threshold:.2f} are rejected: {', '.join(below)}. {note}".strip()
    return Scope({which: tuple(values.tolist()) for which, values in scores.items()}, threshold, sentence)


def _configuration(classifier: TextClassifier) -> tuple[tuple[str, str], ...]:
    support = None if classifier.evidence is None else classifier.evidence.support
    about = {
        "encoder": classifier.encoder.described,
        "labels": len(classifier.labels),
        "texts": None if support is None else len(support.texts),
        "label names": None if support is None else ("used" if support.label_names is not None else "not used"),
        "temperature": classifier.temperature,
        "long texts": classifier.long_texts,
    }
    details = {name: value for name, value in classifier.details.items() if name not in _NOT_SHOWN}
    return settings({**about, **details})


def _labels(classifier: TextClassifier) -> tuple[str, ...]:
    return tuple(map(str, classifier.labels))
