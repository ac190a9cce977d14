"""Models with the same published encoder: its weights are loaded once, and their texts are encoded together."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fewshot.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from fewshot.encoders import Encoder
    from fewshot.encoders.unmerged import UnmergedModel
    from fewshot.text_classifier import TextClassifier


@dataclass(frozen=True, eq=False)
class Family:
    """Classifiers over one published encoder, some of which may have updates of their own beside its weights.

    Args:
        model: the published encoder; None if all classifiers have the same encoder.
    """

    model: "UnmergedModel | None" = None

    def features(self, classifiers: Sequence["TextClassifier"], texts: Sequence[str]) -> "Tensor":
        """Unit features `[n_texts, dim]` of each text by the encoder of its classifier."""
        if self.model is None:
            return classifiers[0].features(texts)
        import torch

        masked = classifiers[0].masked(list(texts))
        features = self.model.encode(masked, [classifier.encoder for classifier in classifiers])
        return torch.nn.functional.normalize(features, dim=-1)


def share_encoders(
    classifiers: Mapping[str, "TextClassifier"], known: Sequence["Encoder"]
) -> dict[str, tuple["TextClassifier", Family]]:
    """Classifiers by name, with encoders that share weights if possible.

    An encoder with low-rank updates stays merged if it is the only one of its published model, which is faster.

    Args:
        classifiers: as they were read.
        known: encoders that are loaded already; used again if one is the published encoder of a classifier.
    """
    groups = defaultdict(list)
    for name, classifier in classifiers.items():
        groups[_identity(classifier.encoder.replace(weights=None))].append(name)
    shared: dict[str, tuple[TextClassifier, Family]] = {}
    for identity, names in groups.items():
        loaded = next((each for each in known if each.trained is None and _identity(each) == identity), None)
        group = {name: classifiers[name] for name in names}
        shared |= _over_one_encoder(group, loaded or group[names[0]].encoder.replace(weights=None))
    return {name: shared[name] for name in classifiers}


def _over_one_encoder(
    classifiers: Mapping[str, "TextClassifier"], published: "Encoder"
) -> dict[str, tuple["TextClassifier", Family]]:
    untrained = {name for name, classifier in classifiers.items() if classifier.encoder.trained is None}
    shared = {}
    family = Family()
    if len(untrained) < len(classifiers) and len(classifiers) > 1:
        from fewshot.encoders.unmerged import UnmergedModel

        family = Family(UnmergedModel(published))
    for name, classifier in classifiers.items():
        if name in untrained:
            shared[name] = replace(classifier, encoder=published), family
        elif (encoder := _unmerged(family, classifier)) is not None:
            shared[name] = replace(classifier, encoder=encoder), family
        else:
            shared[name] = classifier, Family()
    return shared


def _unmerged(family: Family, classifier: "TextClassifier") -> "Encoder | None":
    """The classifier's encoder as updates of the published weights; None if they are not low-rank updates alone."""
    trained = classifier.encoder.trained
    if family.model is None or trained is None:
        return None
    try:
        return family.model.encoder(trained)
    except ConfigError:
        return None


def _identity(encoder: Any) -> tuple[Any, ...]:
    return encoder.portable_fingerprint, encoder.dtype, encoder.long_texts
