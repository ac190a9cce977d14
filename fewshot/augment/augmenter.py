"""Texts of a support set in, many more that mean the same out: sources propose, the filter keeps."""

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
    """How texts are augmented, by which filter, and what the new ones are used for.

    Args:
        sources: name → source; None is synonyms, syntax and adversarial substitutions.
        per_class: most texts of a class, real ones included.
        per_text: most new texts of one text, which is what bounds them at few shots.
        proposals: how many each source is asked for, for one new text that is wanted.
        weight: of all new texts made from a text together, where the text itself has 1.
        use: where new texts stand: in the `support` of valid and test episodes, in `meta_training`, or both.
        train_texts: of each train class that are augmented for meta-training.
        train_variants: most new texts of one text in meta-training, where every step looks at many.
        valid_texts: of each valid class that valid episodes are drawn from, if their support is augmented.
        valid_variants: most new texts of one text there; their mean, which is what counts, hardly moves with more.
        policy: decides on valid classes whether, with which sources and which weight the support is augmented.
        save: whether a run writes the table of all new texts with their scores.

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
            free = (Synonym(), Syntax(), Adversarial())  # what needs neither a download nor a key
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
        """New texts for each of so many texts of a class, so that the class comes to `per_class` or near it.

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
        """As `make`, for several choices of sources (name → names of sources), each of which proposes once."""
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
        """Ask for more than are wanted: the place of a first text, some texts from there on, source → proposals."""
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
    """Few new texts, where valid classes say that they help: what the attention stage of the ladder begins with."""

    per_text: int = 5  # few, for time; what more would bring was not measured
    valid_texts: int = 20
    policy: AugmentationPolicy | None = field(default_factory=lambda: AugmentationPolicy(weights=(0.5,), episodes=100))


@dataclass(frozen=True)
class SupportAugmentation:
    """How a support is augmented, the same for each text whatever others stand beside it, and what is known of it.

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
        """What is asked for distinct texts; `names` of their own classes, empty where label names are not used."""
        known = {**self.label_names, **names, **self.label_names} if names else {}
        places = {label: place for place, label in enumerate(known)}
        return AugmentRequest(
            texts=tuple(texts),
            max_new=max_new,
            seed=self.seed,
            synonyms=tuple(tuple(self.synonyms.get(text, ())) for text in texts) if self.synonyms else (),
            classes=tuple(places[label] for label in labels) if known and self.use_labels else (),
            class_names=tuple(known.values()),
            embed=lambda texts: normalize(encoder.encode(list(texts)), dim=-1),
        )


def _plain(settings: object) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(settings).items()}
