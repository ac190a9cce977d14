"""The syntax source: the same words in another order or another frame, by rule, without a parser or a model."""

import difflib
from collections.abc import Sequence

from fewshot.augment.source import AugmentRequest, Proposal, Source
from fewshot.augment.syntax.carriers import CARRIERS, carrier_rule
from fewshot.augment.syntax.composition import compose
from fewshot.augment.syntax.rules import RULES
from fewshot.errors import ConfigError


class Syntax(Source):
    """Inversions, clause order, voice, contractions, question frames, politeness, carrier phrases.

    A rule that is not certain of what it sees leaves the text alone. Rules neither negate nor touch numbers, and every
    content word of the text stays in it.

    Args:
        rules: names of the rules to use, see `RULES`; None is all.
        depth: most rules used on the way to one proposal.
        carriers: phrases for short terms, each with one `{}` where the term goes; empty for none.

    Raises:
        ConfigError: there is no such rule, `depth` is below 1, or a carrier has no place for the term.

    Example:
        >>> request = AugmentRequest(("Bone Neoplasms",), most=2)
        >>> [proposal.text for proposal in Syntax(rules=["inverted_heading"]).propose(request)[0]]
        ['Neoplasms, Bone']
    """

    name = "syntax"

    def __init__(self, rules: Sequence[str] | None = None, depth: int = 3, carriers: Sequence[str] = CARRIERS):
        if depth < 1:
            raise ConfigError(f"Got augment.sources.syntax.depth={depth}, expected 1 or more. Set it to 3.")
        known = RULES | {"carrier": carrier_rule(carriers)}
        names = list(known) if rules is None else list(dict.fromkeys(rules))
        for name in names:
            if name not in known:
                raise ConfigError(_unknown_rule(name))
        self.rules = tuple(known[name] for name in names)
        self.depth = depth

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """What the rules make of each text, that of one rule first, then of two, and so on."""
        return [
            compose(text, self.rules, self.depth, request.most, request.text_seed(self.name, index))
            for index, text in enumerate(request.texts)
        ]


def _unknown_rule(name: str) -> str:
    near = difflib.get_close_matches(name, RULES, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return (
        f"Got augment.sources.syntax.rules with {name!r}, which is no rule.{hint} Expected some of {', '.join(RULES)}; "
        "null is all."
    )
