"""Texts of a support set in, many more that mean the same out: sources propose, the filter keeps."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from fewshot.augment.bank import Bank
from fewshot.augment.policy import AugmentationPolicy
from fewshot.augment.selection import CachedEmbed, Candidates, Selection, bank_of
from fewshot.augment.semantic_filter import SemanticFilter
from fewshot.augment.source import AugmentRequest, Proposal, Source, check_settings
from fewshot.errors import ConfigError
from fewshot.progress import track

Use = Literal["support", "meta_training"]
_PIECE = 64  # texts between two steps of the bar; enough for full batches


@dataclass(frozen=True)
class SemanticAugmentation:
    """How texts are augmented, and what the new ones are used for.

    Args:
        sources: name → source; None is synonyms, syntax and adversarial substitutions.
        per_class: most texts of a class, real ones included.
        per_text: most new texts of one text, which is what bounds them at few shots.
        proposals: how many each source is asked for, for one new text that is wanted.
        weight: of all new texts made from a text together, where the text itself has 1.
        merge: whether a text and its new texts are one point in a support; else each is evidence of its own.
        lowest_cosine, highest_cosine, duplicate_cosine: see `SemanticFilter`.
        margin: by which a new text is nearer to the prototype of its own class than to any other, in cosine.
        use: where new texts stand: in the `support` of valid and test episodes, in `meta_training`, or both.
        train_texts: of each train class that are augmented for meta-training.
        train_variants: most new texts of one text in meta-training, where every step looks at many.
        valid_texts: of each valid class that valid episodes are drawn from, if their support is augmented.
        valid_variants: most new texts of one text there; their mean, which is what counts, hardly moves with more.
        policy: decides on valid classes whether, with which sources and which weight the support is augmented.
        save: whether a run writes the table of all new texts with their scores.

    Raises:
        ConfigError: no source, or settings that cannot be used; names them all.
    """

    sources: Mapping[str, Source] | None = None
    per_class: int = 200
    per_text: int = 40
    proposals: float = 2.0
    weight: float = 0.5
    merge: bool = True
    lowest_cosine: float = 0.3
    highest_cosine: float = 0.995
    duplicate_cosine: float = 0.995
    margin: float = 0.0
    use: Sequence[Use] = ("support",)
    train_texts: int = 20
    train_variants: int = 5
    valid_texts: int = 40
    valid_variants: int = 10
    policy: AugmentationPolicy | None = None
    save: bool = False

    def __post_init__(self) -> None:
        if self.sources is None:
            object.__setattr__(self, "sources", default_sources())
        whole = ("per_class", "per_text", "train_texts", "train_variants", "valid_texts", "valid_variants")
        uses, is_list = get_args(Use), not isinstance(self.use, str) and len(self.use) > 0
        may_decide = self.policy is None or "support" in self.use
        expected_use = f"a list of some of {', '.join(uses)}" + ("" if may_decide else ", support for the policy")
        check_settings(
            "augment",
            **{name: (getattr(self, name), getattr(self, name) >= 1, "1 or more") for name in whole},
            weight=(self.weight, 0 < self.weight < math.inf, "a number above 0"),
            proposals=(self.proposals, 1 <= self.proposals < math.inf, "1 or more"),
            margin=(self.margin, -2 <= self.margin <= 2, "a difference of two cosines, from -2 to 2"),
            use=(self.use, is_list and set(self.use) <= set(uses) and may_decide, expected_use),
        )
        if not self.sources:
            raise ConfigError(
                "Got no augment/source, expected one or more to make new texts with. Write "
                "augment/source=[synonym,syntax]."
            )
        self.filter()

    def filter(self) -> SemanticFilter:
        """The filter of these settings."""
        return SemanticFilter(self.lowest_cosine, self.highest_cosine, self.duplicate_cosine, self.margin)

    def most(self, shots: int) -> int:
        """New texts for each of so many texts of a class, so that the class comes to `per_class` or near it.

        Raises:
            ConfigError: there are that many texts already.

        Example:
            >>> SemanticAugmentation(per_class=200).most(shots=5)
            39
        """
        if self.per_class <= shots:
            raise ConfigError(
                f"Got augment.per_class={self.per_class} with shots={shots}, which leaves no room for new texts. "
                f"Raise augment.per_class above shots, or set augment=none."
            )
        return min(self.per_text, math.ceil((self.per_class - shots) / shots))

    def make(self, request: AugmentRequest, excluded: Collection[str] = ()) -> Bank:
        """New texts of all sources, `most` of each text of the request or fewer, none equal to an `excluded` one.

        Raises:
            FewshotError: a source lacks what it needs.
        """
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
            selection = Selection(self.filter(), piece.embed, excluded)
            for name, chosen in choices.items():
                rows = {source: rows for source, rows in proposals.items() if source in chosen}
                candidates = selection.open(piece.texts, rows)
                selection.fill(candidates, [request.most] * len(candidates))
                opened[name] += candidates
        dim = request.embed(request.texts[:1]).shape[1]
        return {name: bank_of(candidates, dim) for name, candidates in opened.items()}

    def proposed(
        self, request: AugmentRequest
    ) -> Iterator[tuple[int, AugmentRequest, dict[str, list[list[Proposal]]]]]:
        """Ask for more than are wanted: the place of a first text, some texts from there on, source → proposals."""
        assert request.embed is not None
        done, wanted = 0, replace(request, most=math.ceil(self.proposals * request.most))
        with track("Augmenting", total=len(request.texts), unit="texts") as advance:
            for part in wanted.split(_PIECE):
                piece = replace(part, embed=CachedEmbed(request.embed))
                yield done, piece, {name: source.propose(piece) for name, source in (self.sources or {}).items()}
                done += len(piece.texts)
                advance(len(piece.texts))

    def settings(self) -> dict[str, Any]:
        """The settings, as JSON can hold them."""
        values = {name: _plain(value) for name, value in vars(self).items()}
        policy = None if self.policy is None else {name: _plain(value) for name, value in vars(self.policy).items()}
        return values | {"sources": list(self.sources or ()), "policy": policy}


@dataclass(frozen=True)
class StageAugmentation(SemanticAugmentation):
    """Few new texts, where valid classes say that they help: what the attention stage of the ladder begins with."""

    per_text: int = 5  # few, for time; what more would bring was not measured
    valid_texts: int = 20
    policy: AugmentationPolicy | None = field(default_factory=lambda: AugmentationPolicy(weights=(0.5,), episodes=100))


def default_sources() -> dict[str, Source]:
    """Synonyms, syntax and adversarial substitutions: what needs neither a download nor a key."""
    from fewshot.augment.adversarial import Adversarial
    from fewshot.augment.synonym import Synonym
    from fewshot.augment.syntax import Syntax

    return {source.name: source for source in (Synonym(), Syntax(), Adversarial())}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
