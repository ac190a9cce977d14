"""Fit a classifier again, to other texts, with all that was decided kept: how a user adds texts in milliseconds."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.adaptation.final_stage import UNTUNED
from fewshot.adaptation.head import HeadTuner
from fewshot.episodes.labelled import LabelledTexts
from fewshot.errors import ConfigError
from fewshot.evaluation import fit_temperature
from fewshot.features import TaskFeatures
from fewshot.fitted.evidence import Evidence
from fewshot.fitted.prediction_sets import nonconformity
from fewshot.learners.learner import Classifier
from fewshot.learners.saving import frozen
from fewshot.text_classifier import TextClassifier

FOLDS = 5


def refitted(classifier: TextClassifier, support: LabelledTexts) -> TextClassifier:
    """The classifier fitted to another support: encoder, stage, penalty and temperature stay as they were decided.

    Args:
        classifier: with evidence; texts that are in it are not encoded again.
        support: all that is labelled now.
    """
    old = held_evidence(classifier)
    everything = support.with_names_as_texts().texts
    known = dict(zip(old.support.with_names_as_texts().texts, old.features, strict=True))
    new = [text for text in dict.fromkeys(everything) if text not in known]
    if new:
        known |= zip(new, normalize(classifier.encoder.encode(new), dim=-1), strict=True)
    evidence = Evidence(support, torch.stack([known[text] for text in everything]), old.learner)
    details = {**classifier.details, "n_texts": len(support.texts)}
    return replace(
        classifier,
        classifier=fitted(classifier, evidence),
        labels=support.labels,
        details=details,
        evidence=evidence,
    )


def fitted(classifier: TextClassifier, evidence: Evidence) -> Classifier:
    """A classifier of the same stage and penalty on other evidence."""
    support, details = evidence.support, classifier.details
    assert isinstance(support, LabelledTexts)
    if details["stage"] in UNTUNED:
        texts, names = evidence.features.tensor_split([len(support.texts)])
        features = TaskFeatures(texts, None if support.label_names is None else names)
        with torch.no_grad():
            return frozen(evidence.learner.adapt(features.support(support.episode())))
    heads = HeadTuner()
    start = heads.start(evidence.features, support, evidence.learner if evidence.learner.by_prototypes else None)
    decided = details if "l2_to_prototypes" in details else details.get("before", {})
    return heads.tune(start, evidence.features, support, decided.get("l2_to_prototypes")).classifier()


def out_of_fold(
    classifier: TextClassifier, seed: int
) -> tuple[Float[Tensor, "n_held n_classes"], Int[Tensor, " n_held"]]:
    """Logits of the texts of a support by classifiers fitted without them, and their classes; none of single texts.

    The encoder is the fitted one: where it was tuned on these very texts, they look a little better than new ones do.
    """
    evidence = held_evidence(classifier)
    support, features = evidence.support, evidence.features
    assert isinstance(support, LabelledTexts)
    n_folds = min(FOLDS, int(support.counts.max()))
    logits, classes = [torch.zeros(0, len(support.labels))], [torch.zeros(0, dtype=torch.long)]
    for kept, held in support.folds(n_folds, seed) if n_folds > 1 else []:
        rows = torch.cat([kept, torch.arange(len(support.texts), len(features))])
        part = Evidence(support.subset(kept), features[rows], evidence.learner)
        with torch.no_grad():
            logits.append(fitted(classifier, part).logits(features[held][None])[0])
        classes.append(support.classes[held])
    return torch.cat(logits), torch.cat(classes)


def calibrated(classifier: TextClassifier, seed: int) -> TextClassifier:
    """The classifier with temperature and scores for sets of labels from texts that were held out in turn."""
    logits, classes = out_of_fold(classifier, seed)
    if not len(logits):
        return classifier
    temperature = fit_temperature(logits[None], classes[None], label_smoothing=1 / (len(classes) + 2))
    scores = nonconformity((logits / temperature).softmax(-1), classes)
    accuracy = float((logits.argmax(1) == classes).double().mean())
    details = {**classifier.details, "out_of_fold": {"accuracy": accuracy, "n_texts": len(classes)}}
    return replace(classifier, temperature=temperature, nonconformity=scores, details=details)


def held_evidence(classifier: TextClassifier) -> Evidence:
    """The evidence of a classifier; ConfigError where it has none."""
    if classifier.evidence is None:
        raise ConfigError(
            "The classifier does not hold the texts that it was fitted on, so it cannot learn more. Fit it anew."
        )
    return classifier.evidence
