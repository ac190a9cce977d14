"""Rules applied one after another: first what one rule makes, then two, then three."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from fewshot.augment.source import Proposal
from fewshot.augment.syntax.reading import Text, read, write
from fewshot.augment.syntax.rule import Rule
from fewshot.tasks.task import normalise

_BATCH = 12  # texts taken further at a time: few enough to stop early, enough for a mixture
_MOST_ADDED = 10  # words
# What is said once: a second one that the text itself did not have makes it babble.
_ONCE = re.compile(
    r"\b(?:(?P<please>please)|(?P<asks>(?:can|could|would|will) you|are you able)|(?P<help>help)"
    r"|(?P<thanks>thanks|thank you)|(?P<greets>hi|hello|hey|excuse me)|(?P<tells>tell (?:me|you))|(?P<knows>know)"
    r"|(?P<likes>i(?: woul|')d like)|(?P<needs>i (?:need|want))|(?P<writes>i am (?:having|writing|contacting))"
    r"|(?P<trouble>problem|issue|seems)|(?P<possible>possible)|(?P<way>way)|(?P<just>just)|(?P<asks_self>do i)"
    r"|(?P<that>that))\b"
)


@dataclass(frozen=True)
class _Way:
    """A text and the rules that led to it."""

    text: Text
    used: tuple[str, ...] = ()
    is_dressed: bool = False


def compose(text: str, rules: Sequence[Rule], depth: int, most: int, seed: int) -> list[Proposal]:
    """Up to `most` ways to say a text differently, those of fewer rules first.

    Args:
        text: the text.
        rules: each is used once at most on the way to a proposal.
        depth: most rules for one proposal.
        most: most proposals.
        seed: of the choice among proposals of equally many rules.

    Returns:
        Proposals, distinct from each other and from the text when normalised.
    """
    chance = random.Random(seed)
    seen = {normalise(text)}
    said = _said(text)
    longest = len(text.split()) + _MOST_ADDED
    made: list[Proposal] = []
    level = [_Way(read(text))]
    for _ in range(depth):
        following: list[_Way] = []
        for way in _one_more(level, rules, chance):
            if len(made) == most:
                return made
            written = write(way.text)
            key = normalise(written)
            if key not in seen and _is_well_formed(written, said, longest):
                seen.add(key)
                made.append(Proposal(written, " + ".join(way.used)))
                following.append(way)
        level = following
    return made


def _one_more(level: Sequence[_Way], rules: Sequence[Rule], chance: random.Random) -> Iterator[_Way]:
    """What one more rule makes of each text, a few texts at a time, the rules taking turns; greetings come last."""
    order = sorted(chance.sample(level, len(level)), key=lambda way: way.is_dressed)
    for start in range(0, len(order), _BATCH):
        by_rule: dict[tuple[bool, str], list[_Way]] = {}
        for way in order[start : start + _BATCH]:
            for rule in rules:
                if rule.name not in way.used:
                    dressed = way.is_dressed or rule.is_dressing
                    news = [_Way(new, (*way.used, rule.name), dressed) for new in rule(way.text)]
                    if news:
                        by_rule.setdefault((dressed, rule.name), []).extend(news)
        for ways in by_rule.values():
            chance.shuffle(ways)
        for dressed in (False, True):
            groups = [ways for key, ways in by_rule.items() if key[0] == dressed]
            yield from _in_turns(chance.sample(groups, len(groups)))


def _in_turns(groups: Iterable[Sequence[_Way]]) -> Iterator[_Way]:
    for turn in zip_longest(*groups):
        yield from (way for way in turn if way is not None)


def _said(text: str) -> Counter[str | None]:
    return Counter(found.lastgroup for found in _ONCE.finditer(text.lower()))


def _is_well_formed(text: str, said: Counter[str | None], longest: int) -> bool:
    if len(text.split()) > longest:
        return False
    return all(count <= max(1, said[phrase]) for phrase, count in _said(text).items())
