"""Learn on from a fitted classifier: more texts, of its labels or of new ones, without the old texts.

| method | trained | kept of the old texts |
|---|---|---|
| `prototypes` | nothing | class sums and one scatter matrix, see `ClassStatistics` |
| `freeze` | the head's rows of the labels that have new texts | nothing |
| `replay` | the head | 20 texts of each label, which cover the others best |
| `ewc` | encoder, and the rows as in `freeze` | the Fisher information of the encoder's weights |
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.adaptation.head import CosineHead
from fewshot.adaptation.refit import held_evidence, refitted
from fewshot.continual.consolidation import Consolidation
from fewshot.continual.rows import tuned_rows, with_new_rows
from fewshot.continual.selection import k_center
from fewshot.continual.within_class import feature_map
from fewshot.encoders.texts import checked_texts
from fewshot.episodes.labelled import LabelledTexts, as_known, plain_label
from fewshot.errors import ConfigError, TaskError
from fewshot.evaluation import fit_temperature
from fewshot.fitted.details import carried
from fewshot.fitted.evidence import own_labels
from fewshot.fitted.memory import Memory
from fewshot.fitted.statistics import ClassStatistics
from fewshot.learners.saving import frozen
from fewshot.ranges import one_of
from fewshot.text_classifier import TextClassifier

Label = str | int
REPLAYED = 20  # texts of a label that are kept
_FEWEST = 20  # texts on which a temperature is fitted


@dataclass(frozen=True)
class NewTexts:
    """Labelled texts for a fitted classifier.

    Args:
        texts: one or more.
        labels: of each.
        label_names: label → readable name; used as a text of a label that the classifier does not have yet.
    """

    texts: Sequence[str]
    labels: Sequence[Label]
    label_names: Mapping[Label, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.texts or len(self.texts) != len(self.labels):
            raise TaskError(
                f"Got {len(self.texts)} texts and {len(self.labels)} labels, expected one or more, with a label each."
            )
        object.__setattr__(self, "labels", [plain_label(label) for label in self.labels])
        names = {plain_label(label): name for label, name in self.label_names.items()}
        object.__setattr__(self, "label_names", names)

    def with_names(self, known: Iterable[Label] = ()) -> tuple[list[str], list[Label]]:
        """Texts and labels, with the names of labels that are not known yet as texts."""
        new = [label for label in dict.fromkeys(self.labels) if label in self.label_names and label not in set(known)]
        return [*self.texts, *(self.label_names[label] for label in new)], [*self.labels, *new]


def learn_on(classifier: TextClassifier, new: NewTexts, method: str = "prototypes", seed: int = 0) -> TextClassifier:
    """The classifier updated with new texts.

    Args:
        classifier: fitted, or the result of an earlier call with the same method.
        new: texts of its labels or of new ones.
        method: one of `METHODS`.
        seed: of the training.

    Raises:
        ConfigError: no such method; the classifier gives several labels, or rejects texts; or it lacks the state that
            this method needs.
    """
    if method not in METHODS:
        raise ConfigError(f"Got method={method!r}, expected {one_of(*METHODS)[1]}. Correct it.")
    if classifier.thresholds is not None:
        raise ConfigError(
            "The classifier gives a text several labels, and learn_on is for texts that have one. Use partial_fit."
        )
    if classifier.rejection is not None and method != "replay":
        raise ConfigError(
            f"The classifier rejects texts by how far they are from those it was fitted on, which method={method!r} "
            f"does not keep. Use method='replay' or partial_fit, or fit without reject."
        )
    labels = as_known(new.labels, classifier.labels)
    new = replace(new, texts=classifier.masked(checked_texts(new.texts)), labels=labels)
    with classifier.encoder.cuts_reported(new.texts):
        learnt = METHODS[method](classifier, new, seed)
    if method == "replay":
        return learnt
    n_texts = learnt.details.get("n_texts", 0) + len(new.texts)
    details = carried(learnt.details, stage=method, n_texts=n_texts)
    return replace(learnt, details=details, evidence=None, nonconformity=None, confidences=None)


def _prototypes(classifier: TextClassifier, new: NewTexts, seed: int) -> TextClassifier:
    """The discriminant by the statistics of old and new texts."""
    before = None if classifier.memory is None else classifier.memory.statistics
    texts, labels = new.with_names(classifier.labels if before is not None or classifier.evidence else ())
    features = normalize(classifier.encoder.encode(texts), dim=-1)
    if before is None:
        _, old_labels, old_features = _old(classifier, "prototypes")
        features, labels = torch.cat([old_features, features]), [*old_labels, *labels]
        mapped = feature_map(classifier.encoder, features.shape[1], len(labels) / len(set(labels)))
    else:
        mapped = before.feature_map
    known = in_order([*labels, *(() if before is None else before.labels)])
    classes = indices(labels, known)
    added = ClassStatistics.of(features, classes, known, mapped)
    statistics = added if before is None else before + added
    return replace(
        classifier,
        classifier=frozen(statistics.classifier()),
        labels=known,
        temperature=_temperature(classifier.temperature, statistics, features, classes),
        memory=Memory("prototypes", statistics=statistics),
    )


def _freeze(classifier: TextClassifier, new: NewTexts, seed: int) -> TextClassifier:
    """The rows of the labels with new texts, tuned beside the others."""
    _, features, classes, head, known = _extended(classifier, new)
    return replace(
        classifier,
        classifier=tuned_rows(head, features, classes).classifier(),
        labels=known,
        memory=Memory("freeze"),
    )


def _replay(classifier: TextClassifier, new: NewTexts, seed: int) -> TextClassifier:
    """The head tuned on old and new texts; some of both are kept."""
    old = held_evidence(classifier).support
    assert isinstance(old, LabelledTexts)
    names = None if old.label_names is None else dict(zip(old.labels, old.label_names, strict=True))
    if names is not None:
        names = {**{label: str(label) for label in new.labels}, **new.label_names, **names}
    labels = [*own_labels(old), *new.labels]
    learnt = refitted(classifier, LabelledTexts.of([*old.texts, *new.texts], labels, names))
    evidence = held_evidence(learnt)
    support, n_texts = evidence.support, len(labels)
    assert isinstance(support, LabelledTexts)
    kept = k_center(evidence.features[:n_texts], support.classes, REPLAYED)
    rows = torch.cat([kept, torch.arange(n_texts, len(evidence.features))])
    fewer = replace(evidence, support=support.subset(kept), features=evidence.features[rows])
    return replace(learnt, evidence=fewer, memory=Memory("replay"))


def consolidated(
    classifier: TextClassifier, new: NewTexts, seed: int, settings: Consolidation | None = None
) -> TextClassifier:
    """Encoder and rows trained on the new texts by elastic weight consolidation; `settings` None: the defaults."""
    settings = settings or Consolidation()
    fisher = None if classifier.memory is None else classifier.memory.fisher
    if fisher is None:
        old_texts, old_labels, _ = _old(classifier, "ewc")
        old_classes = indices(old_labels, classifier.labels)
        fisher = settings.fisher(
            classifier.encoder, classifier.classifier, classifier.temperature, old_texts, old_classes, seed
        )
    texts, _, classes, head, known = _extended(classifier, new)
    encoder, trained = settings.train(classifier.encoder, head, texts, classes, fisher, seed)
    head_classifier = trained.classifier()
    new_fisher = settings.fisher(encoder, head_classifier, classifier.temperature, texts, classes, seed)
    memory = Memory("ewc", fisher=fisher.scaled(settings.decay) + new_fisher)
    return replace(classifier, encoder=encoder, classifier=head_classifier, labels=known, memory=memory)


METHODS: dict[str, Callable[[TextClassifier, NewTexts, int], TextClassifier]] = {
    "prototypes": _prototypes,
    "ewc": consolidated,
    "replay": _replay,
    "freeze": _freeze,
}


def in_order(labels: Iterable[Label]) -> tuple[Label, ...]:
    """The distinct labels in the order of `LabelledTexts.of`: whole numbers before strings."""
    return tuple(sorted(set(labels), key=lambda label: (isinstance(label, str), label)))


def indices(labels: Sequence[Label], known: Sequence[Label]) -> Int[Tensor, " n"]:
    """The index of each label in `known`."""
    numbers = {label: number for number, label in enumerate(known)}
    return torch.tensor([numbers[label] for label in labels], dtype=torch.long)


def _old(classifier: TextClassifier, method: str) -> tuple[list[str], list[Label], Float[Tensor, "n_texts dim"]]:
    """Texts, labels and features that the classifier was fitted on, with its label names as texts."""
    if classifier.evidence is None:
        earlier = "" if classifier.memory is None else f" It has learnt on by method={classifier.memory.method!r}."
        raise ConfigError(
            f"The classifier no longer holds the texts that it was fitted on, from which method={method!r} would "
            f"start.{earlier} Go on with the same method, or fit it anew."
        )
    support = classifier.evidence.support.with_names_as_texts()
    return list(support.texts), own_labels(support), classifier.evidence.features


def _extended(
    classifier: TextClassifier, new: NewTexts
) -> tuple[list[str], Float[Tensor, "n dim"], Int[Tensor, " n"], CosineHead, tuple[Label, ...]]:
    """New texts with names of new labels, their features and rows, the head with new rows, and the labels of all."""
    texts, labels = new.with_names(classifier.labels)
    features = normalize(classifier.encoder.encode(texts), dim=-1)
    known = in_order([*classifier.labels, *labels])
    classes = indices(labels, known)
    head = with_new_rows(classifier.classifier, indices(classifier.labels, known), len(known), features, classes)
    return texts, features, classes, head, known


def _temperature(
    before: float, statistics: ClassStatistics, features: Float[Tensor, "n dim"], classes: Int[Tensor, " n"]
) -> float:
    """A temperature fitted to the logits of each half of the texts by the statistics of all others.

    `before` if there are too few texts.
    """
    if len(features) < _FEWEST:
        return before
    halves = torch.arange(len(features)) % 2
    logits, targets = [], []
    for half in (0, 1):
        rows = halves == half
        of_half = ClassStatistics.of(features[rows], classes[rows], statistics.labels, statistics.feature_map)
        others = statistics - of_half
        has_others = others.counts[classes[rows]] > 0.5
        logits.append(others.classifier().logits(features[rows][None])[0][has_others])
        targets.append(classes[rows][has_others])
    held_out, target = torch.cat(logits), torch.cat(targets)
    if not len(target):
        return before
    # Infinite: a label whose texts are all in this half.
    held_out = torch.where(held_out.isinf(), held_out[held_out.isfinite()].min(), held_out)
    return fit_temperature(held_out[None], target[None], label_smoothing=1 / (len(target) + 2))
