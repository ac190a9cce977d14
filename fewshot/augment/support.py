"""New texts for the texts of a support: the same for each text, whatever other texts stand beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch.nn.functional import normalize

from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.augment.source import AugmentRequest
from fewshot.encoders import Encoder


@dataclass(frozen=True)
class SupportAugmentation:
    """How a support is augmented, and what is known beside it.

    Args:
        augmentation: the sources and settings.
        seed: root seed.
        label_names: label → name of classes that a new text must not be mistaken for, beside those of the support.
        synonyms: text → other names of the same thing.
        excluded: normalised texts that no new text may equal, such as those of a task.
        use_labels: whether sources may use the labels; not so where some are wrong on purpose.
    """

    augmentation: SemanticAugmentation
    seed: int = 0
    label_names: Mapping[str | int, str] = field(default_factory=dict)
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()
    use_labels: bool = True

    def request(
        self,
        texts: Sequence[str],
        labels: Sequence[str | int],
        names: Mapping[str | int, str],
        max_new: int,
        encoder: Encoder,
    ) -> AugmentRequest:
        """What the sources are asked for.

        Args:
            texts: distinct.
            labels: of each text.
            names: label → name of the texts' own classes; empty where label names are not used.
            max_new: new texts of one text, at most.
            encoder: its features tell whether a new text means the same.
        """
        known = {**self.label_names, **names, **self.label_names} if names else {}
        places = {label: place for place, label in enumerate(known)}
        return AugmentRequest(
            texts=tuple(texts),
            most=max_new,
            seed=self.seed,
            synonyms=tuple(tuple(self.synonyms.get(text, ())) for text in texts) if self.synonyms else (),
            classes=tuple(places[label] for label in labels) if known and self.use_labels else (),
            class_names=tuple(known.values()),
            embed=lambda texts: normalize(encoder.encode(list(texts)), dim=-1),
        )
