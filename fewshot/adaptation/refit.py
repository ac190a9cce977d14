"""Fit a classifier again, to other texts, with all decisions kept."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fewshot.adaptation.final_stage import MAX_LOGITS, UNTUNED
from fewshot.adaptation.head import HeadTuner
from fewshot.episodes.labelled import LabelledTexts
from fewshot.errors import ConfigError
from fewshot.evaluation import fit_temperature
from fewshot.fitted.details import carried
from fewshot.fitted.evidence import Evidence
from fewshot.fitted.prediction_sets import nonconformity
from fewshot.fitted.rejection import EmbeddedSupport, Rejection
from fewshot.learners.learner import Classifier
from fewshot.learners.saving import frozen
from fewshot.text_classifier import TextClassifier

log = logging.getLogger(__name__)

FOLDS = 5


def refitted(classifier: TextClassifier, support: LabelledTexts) -> TextClassifier:
    """The classifier fitted to another support; encoder, stage, penalty and temperature stay as decided.

    Args:
        classifier: with evidence; texts that are in it are not encoded again.
        support: all texts that are labelled now.
    """
    evidence = held_evidence(classifier).of(support, classifier.encoder)
    refit = fitted(classifier, evidence)
    rejection = None if classifier.rejection is None else classifier.rejection.of(embedded(refit, evidence))
    return replace(
        classifier,
        classifier=refit,
        labels=support.labels,
        details=carried(classifier.details, n_texts=len(support.texts)),
        evidence=evidence,
        rejection=rejection,
    )


def fitted(classifier: TextClassifier, evidence: Evidence) -> Classifier:
    """A classifier of the same stage and penalty on other evidence."""
    support, details = evidence.support, classifier.details
    assert isinstance(support, LabelledTexts)
    if details["stage"] in UNTUNED:
        texts, of_names = evidence.features.tensor_split([len(support.texts)])
        names = None if support.label_names is None else of_names
        with torch.no_grad():
            return frozen(evidence.learner.adapt_rows(texts, support.classes, len(support.labels), names))
    tuner = HeadTuner()
    start = tuner.start(evidence.features, support, evidence.learner if evidence.learner.by_prototypes else None)
    of_head = details if "l2_to_prototypes" in details else details.get("before", {})
    return tuner.tune(start, evidence.features, support, of_head.get("l2_to_prototypes")).classifier()


def embedded(classifier: Classifier, evidence: Evidence) -> EmbeddedSupport:
    """The evidence in the space of a classifier's metric."""
    with torch.no_grad():
        rows = classifier.metric(evidence.features[None])[0]
    return EmbeddedSupport(rows, evidence.support.with_names_as_texts().classes, len(evidence.support.texts))


@dataclass(frozen=True)
class Fold:
    """A classifier that was fitted to a part of the evidence.

    Args:
        classifier: of the part.
        rows: of the evidence that it was fitted to.
        n_held: texts that it scored.
    """

    classifier: Classifier
    rows: Int[Tensor, " n_rows"]
    n_held: int


@dataclass(frozen=True)
class HeldOut:
    """The texts of a support, scored by classifiers that were fitted without them.

    Args:
        places: of the texts in the support; of copies the first, and never the only text of a class.
        logits: not divided by a temperature.
        classes: the class of each.
        folds: the classifiers, in the order of the texts that they scored.
    """

    places: Int[Tensor, " n_held"]
    logits: Float[Tensor, "n_held n_classes"]
    classes: Int[Tensor, " n_held"]
    folds: tuple[Fold, ...] = ()

    @property
    def right(self) -> Bool[Tensor, " n_held"]:
        """True for the texts that are classified rightly."""
        return self.logits.argmax(1) == self.classes

    def right_among(self, n_texts: int) -> Bool[Tensor, " n_texts"]:
        """True for the texts of the support that are classified rightly, or were never held out."""
        return torch.ones(n_texts, dtype=torch.bool).index_copy(0, self.places, self.right)


def out_of_fold(classifier: TextClassifier, seed: int) -> HeldOut:
    """Hold out each fold of a support in turn, from classifiers of the same stage and penalty.

    The encoder is the fitted one: if it was tuned on these very texts, their scores are a little too good.
    """
    evidence = held_evidence(classifier)
    support, features = evidence.support, evidence.features
    assert isinstance(support, LabelledTexts)
    n_folds = min(FOLDS, int(support.counts.max()))
    max_held = MAX_LOGITS // (FOLDS * len(support.labels))  # in a fold; enough to calibrate by
    places = [torch.zeros(0, dtype=torch.long)]
    logits = [torch.zeros(0, len(support.labels))]
    folds = []
    for kept, held_out in support.folds(n_folds, seed) if n_folds > 1 else []:
        held_out = held_out[support.first_copies[held_out] == held_out]  # a copy says nothing more
        held_out = held_out[torch.linspace(0, len(held_out) - 1, min(max_held, len(held_out))).long()]
        rows = torch.cat([kept, torch.arange(len(support.texts), len(features))])
        # The evidence of a fold, a copy of most features, is freed before that of the next fold is made.
        part = fitted(classifier, Evidence(support.subset(kept), features[rows], evidence.learner))
        with torch.no_grad():
            logits.append(part.logits(features[held_out][None])[0])
        places.append(held_out)
        folds.append(Fold(part, rows, len(held_out)))
    tested = torch.cat(places)
    return HeldOut(tested, torch.cat(logits), support.classes[tested], tuple(folds))


def calibrated(
    classifier: TextClassifier, held: HeldOut, reject: float | Sequence[str] | None = None
) -> TextClassifier:
    """The classifier with temperature, prediction sets and rejection, fitted to texts that were held out in turn.

    Args:
        classifier: with evidence.
        held: the result of `out_of_fold` for it.
        reject: share of texts of its classes that may be rejected; or texts of no class, by which a threshold is
            tuned; None rejects nothing.
    """
    if len(held.classes):
        smoothing = 1 / (len(held.classes) + 2)
        temperature = fit_temperature(held.logits[None], held.classes[None], label_smoothing=smoothing)
        probabilities = (held.logits / temperature).softmax(-1)
        measured = {"accuracy": float(held.right.double().mean()), "n_texts": len(held.classes)}
        classifier = replace(
            classifier,
            temperature=temperature,
            nonconformity=nonconformity(probabilities, held.classes),
            confidences=probabilities.amax(1).sort().values,
            details={**classifier.details, "out_of_fold": measured},
        )
    if reject is None:
        return classifier
    rejection = _rejection(classifier, held, reject)
    if "note" in rejection.details:
        log.warning(rejection.details["note"])
    return replace(classifier, rejection=rejection)


def _rejection(classifier: TextClassifier, held: HeldOut, reject: float | Sequence[str]) -> Rejection:
    evidence = held_evidence(classifier)
    support = embedded(classifier.classifier, evidence)
    if isinstance(reject, float):
        return Rejection.at_rate(support, reject)
    return Rejection.tuned_on(support, classifier.embed(reject), held.right_among(support.n_texts))


def held_evidence(classifier: TextClassifier) -> Evidence:
    """The evidence of a classifier; ConfigError where it has none."""
    if classifier.evidence is None:
        cure = f"Go on with learn_on(method={classifier.memory.method!r}), or fit" if classifier.memory else "Fit"
        raise ConfigError(f"The classifier does not hold the texts that it was fitted on. {cure} it anew.")
    return classifier.evidence
