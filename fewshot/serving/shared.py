"""Models that have the same published encoder: its weights are loaded once, and their texts are encoded together."""

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
        model: the published encoder; None where all classifiers have the same encoder.
    """

    model: "UnmergedModel | None" = None

    def features(self, classifiers: Sequence["TextClassifier"], texts: Sequence[str]) -> "Tensor":
        """Unit features `[n_texts, dim]` of each text by the encoder of its classifier."""
        if self.model is None:
            return classifiers[0].features(texts)
        import torch

        read = classifiers[0].masked(list(texts))
        features = self.model.encode(read, [classifier.encoder for classifier in classifiers])
        return torch.nn.functional.normalize(features, dim=-1)


def together(
    classifiers: Mapping[str, "TextClassifier"], known: Sequence["Encoder"]
) -> dict[str, tuple["TextClassifier", Family]]:
    """Classifiers by name, with encoders that share what they can.

    An encoder with low-rank updates stays merged where it is the only one of its published model: that is faster.

    Args:
        classifiers: as they were read.
        known: encoders that are loaded already, used again where they are the published ones of a classifier.
    """
    groups = defaultdict(list)
    for name, classifier in classifiers.items():
        groups[_identity(classifier.encoder.replace(weights=None))].append(name)
    found: dict[str, tuple[TextClassifier, Family]] = {}
    for identity, names in groups.items():
        loaded = next((one for one in known if one.trained is None and _identity(one) == identity), None)
        own = {name: classifiers[name] for name in names}
        found |= _sharing(own, loaded or own[names[0]].encoder.replace(weights=None))
    return {name: found[name] for name in classifiers}


def _sharing(
    classifiers: Mapping[str, "TextClassifier"], published: "Encoder"
) -> dict[str, tuple["TextClassifier", Family]]:
    plain = {name: one for name, one in classifiers.items() if one.encoder.trained is None}
    found = {}
    family = Family()
    if len(plain) < len(classifiers) and len(classifiers) > 1:
        from fewshot.encoders.unmerged import UnmergedModel

        family = Family(UnmergedModel(published))
    for name, classifier in classifiers.items():
        encoder, own = published, family
        if name not in plain:
            beside = _beside(family, classifier)
            encoder, own = (classifier.encoder, Family()) if beside is None else (beside, family)
        found[name] = replace(classifier, encoder=encoder), own
    return found


def _beside(family: Family, classifier: "TextClassifier") -> "Encoder | None":
    """The classifier's encoder beside the published weights; None if it has to stay by itself."""
    trained = classifier.encoder.trained
    if family.model is None or trained is None:
        return None
    try:
        return family.model.encoder(trained)
    except ConfigError:  # not low-rank updates alone
        return None


def _identity(encoder: Any) -> tuple[Any, ...]:
    return encoder.portable_fingerprint, encoder.dtype, encoder.long_texts
