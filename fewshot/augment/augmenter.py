"""New texts with the meaning of given ones: sources propose them, and a filter selects."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, get_args

from torch.nn.functional import normalize

from fewshot.augment.adversarial import Adversarial
from fewshot.augment.policy import AugmentationPolicy
from fewshot.augment.selection import Bank, CachedEmbed, Candidates, Selection, bank_of
from fewshot.augment.semantic_filter import SemanticFilter
from fewshot.augment.source import AugmentRequest, Proposal, Source
from fewshot.augment.synonym import Synonym
from fewshot.augment.syntax import Syntax
from fewshot.encoders import Encoder
from fewshot.errors import ConfigError
from fewshot.features import Variants
from fewshot.progress import track
from fewshot.ranges import POSITIVE, Range

Use = Literal["support", "meta_training"]
Proposals = dict[str, list[list[Proposal]]]  # source → for each text, best first
_PIECE = 64  # texts between two steps of the bar; enough for full batches


@dataclass(frozen=True)
class SemanticAugmentation(SemanticFilter):
    """Settings of augmentation: the sources, the filter, and the use of the new texts.

    Args:
        sources: name → source; None is synonyms, syntax and adversarial substitutions.
        per_class: maximum of texts of a class, real ones included.
        per_text: maximum of new texts of one text; it is the limit at few shots.
        proposals: number that each source is asked for, as a multiple of the new texts that are wanted.
        weight: of all new texts made from a text together; the text itself has 1.
        use: the `support` of valid and test episodes, `meta_training`, or both.
        train_texts: of each train class that are augmented for meta-training.
        train_variants: maximum of new texts of one text in meta-training.
        valid_texts: of each valid class that valid episodes are drawn from, if their support is augmented.
        valid_variants: maximum of new texts of one text in valid episodes; more hardly change their mean.
        policy: decides on valid classes if the support is augmented, with which sources and which weight.
        save: write the table of all new texts with their scores.

    The other settings are those of `SemanticFilter`.

    Raises:
        ConfigError: no source, or settings that cannot be used; names them all.
    """

    RANGES: ClassVar[dict[str, Range]] = {
        **dict.fromkeys(("per_class", "per_text", "train_texts", "train_variants"), POSITIVE),
        **dict.fromkeys(("valid_texts", "valid_variants"), POSITIVE),
        "proposals": (lambda value: 1 <= value < math.inf, "1 or more"),
        **SemanticFilter.RANGES,
        **Variants.RANGES,
    }

    sources: Mapping[str, Source] | None = None
    per_class: int = 200
    per_text: int = 40
    proposals: float = 2.0
    weight: float = 0.5
    use: Sequence[Use] = ("support",)
    train_texts: int = 20
    train_variants: int = 5
    valid_texts: int = 40
    valid_variants: int = 10
    policy: AugmentationPolicy | None = None
    save: bool = False

    def __post_init__(self) -> None:
        if self.sources is None:
            free = (Synonym(), Syntax(), Adversarial())  # need neither a download nor a key
            object.__setattr__(self, "sources", {source.name: source for source in free})
        super().__post_init__()
        if not self.sources:
            raise ConfigError("Got no augment/source, expected one or more. Write augment/source=[synonym,syntax].")

    def out_of_range(self) -> dict[str, str]:
        """See `RangedSettings`; the policy decides on the support."""
        uses, needs_support = get_args(Use), self.policy is not None
        fits = not isinstance(self.use, str) and len(self.use) > 0 and set(self.use) <= set(uses)
        expected = f"a list of some of {', '.join(uses)}" + (", support for the policy" if needs_support else "")
        fits = fits and (not needs_support or "support" in self.use)
        return super().out_of_range() | ({} if fits else {"use": expected})

    def max_new(self, shots: int) -> int:
        """Number of new texts for each of the `shots` texts of a class, so that the class has about `per_class` texts.

        Raises:
            ConfigError: there are that many texts already.

        Example:
            >>> SemanticAugmentation(per_class=200).max_new(shots=5)
            39
        """
        if self.per_class <= shots:
            what = f"Got augment.per_class={self.per_class} with shots={shots}, which leaves no room for new texts."
            raise ConfigError(f"{what} Raise augment.per_class above shots, or set augment=none.")
        return min(self.per_text, math.ceil((self.per_class - shots) / shots))

    def make(self, request: AugmentRequest, excluded: Collection[str] = ()) -> Bank:
        """New texts of all sources, `max_new` of each text of the request or fewer, none equal to an `excluded` one."""
        return self.make_each(request, {"": tuple(self.sources or ())}, excluded)[""]

    def make_each(
        self, request: AugmentRequest, choices: Mapping[str, Collection[str]], excluded: Collection[str] = ()
    ) -> dict[str, Bank]:
        """Like `make`, for several choices of sources (name → names of sources); each source proposes once."""
        if request.embed is None:
            raise ConfigError("The semantic filter goes by features and got no embed. Give AugmentRequest(embed=...).")
        opened: dict[str, list[Candidates]] = {name: [] for name in choices}
        for _, piece, proposals in self.proposed(request):
            assert piece.embed is not None
            selection = Selection(self, piece.embed, excluded)
            for name, chosen in choices.items():
                rows = {source: rows for source, rows in proposals.items() if source in chosen}
                candidates = selection.open(piece.texts, rows)
                selection.fill(candidates, [request.max_new] * len(candidates))
                opened[name] += candidates
        dim = request.embed(request.texts[:1]).shape[1]
        return {name: bank_of(candidates, dim) for name, candidates in opened.items()}

    def proposed(self, request: AugmentRequest) -> Iterator[tuple[int, AugmentRequest, Proposals]]:
        """The proposals for pieces of a request: index of the first text, the piece, and source → proposals.

        Sources are asked for more texts than are wanted, see `proposals`.
        """
        assert request.embed is not None
        max_new, n_texts = math.ceil(self.proposals * request.max_new), len(request.texts)
        with track("Augmenting", total=n_texts, unit="texts") as advance:
            for start in range(0, n_texts, _PIECE):
                part = request.only(range(start, min(start + _PIECE, n_texts)))
                piece = replace(part, max_new=max_new, embed=CachedEmbed(request.embed))
                yield start, piece, {name: source.propose(piece) for name, source in (self.sources or {}).items()}
                advance(len(piece.texts))

    def settings(self) -> dict[str, Any]:
        """The settings, as JSON can hold them."""
        policy = None if self.policy is None else _plain(self.policy)
        return _plain(self) | {"sources": list(self.sources or ()), "policy": policy}


@dataclass(frozen=True)
class StageAugmentation(SemanticAugmentation):
    """The augmentation of the attention stage of the ladder: few new texts, if they help on valid classes."""

    per_text: int = 5  # few, for time; more were not measured
    valid_texts: int = 20
    policy: AugmentationPolicy | None = field(default_factory=lambda: AugmentationPolicy(weights=(0.5,), episodes=100))


@dataclass(frozen=True)
class SupportAugmentation:
    """The augmentation of supports, with names and synonyms; the new texts of a text do not depend on the other texts.

    Args:
        augmentation: the sources and settings.
        seed: root seed.
        label_names: label → name of further classes that a new text must not be mistaken for.
        synonyms: text → other names of the same thing.
        excluded: normalised texts that no new text may equal, such as those of a task.
        use_labels: True if sources may use the labels; False if some are wrong on purpose.
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
        """The request for distinct texts; `names` are those of their classes, empty if label names are not used."""
        known = {**self.label_names, **names, **self.label_names} if names else {}
        indices = {label: index for index, label in enumerate(known)}
        return AugmentRequest(
            texts=tuple(texts),
            max_new=max_new,
            seed=self.seed,
            synonyms=tuple(tuple(self.synonyms.get(text, ())) for text in texts) if self.synonyms else (),
            classes=tuple(indices[label] for label in labels) if known and self.use_labels else (),
            class_names=tuple(known.values()),
            embed=lambda texts: normalize(encoder.encode(list(texts)), dim=-1),
        )


def _plain(settings: object) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(settings).items()}
