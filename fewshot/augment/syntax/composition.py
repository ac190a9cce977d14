"""Rules applied one after another: first what one rule makes, then two, then three."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from fewshot.augment.source import Proposal
from fewshot.augment.syntax.reading import Kind, Sentence, Text, read, write
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
    rewriting = _Rewriting(rules)
    for _ in range(depth):
        following: list[_Way] = []
        for way in _one_more(level, rewriting, chance):
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


class _Rewriting:
    """What rules make of texts. Most of these differ in one sentence, so what was made of a sentence is remembered."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self.of_whole = [place for place, rule in enumerate(rules) if rule.of_sentence is None]
        self.remembered: dict[tuple[Kind, Sentence], dict[int, list[Sentence]]] = {}

    def of_text(self, text: Text, used: Sequence[str]) -> Iterator[tuple[Rule, list[Text]]]:
        """Each rule that fits a text and was not used, in the order of the rules, with what it makes of the text."""
        parts = [self._of_sentence(text.kind, sentence) for sentence in text.sentences]
        for place in sorted({*self.of_whole, *(place for part in parts for place in part)}):
            rule = self.rules[place]
            if rule.name in used:
                continue
            if rule.of_sentence is None:
                news = list(rule(text))
            else:
                news = [
                    text.with_sentence(index, new) for index, part in enumerate(parts) for new in part.get(place, ())
                ]
            if news:
                yield rule, news

    def _of_sentence(self, kind: Kind, sentence: Sentence) -> dict[int, list[Sentence]]:
        """Place of each rule that fits a sentence → what it makes of it."""
        found = self.remembered.get((kind, sentence))
        if found is None:
            found = self.remembered[kind, sentence] = {}
            for place, rule in enumerate(self.rules):
                news = list(rule.of_sentence(sentence)) if rule.of_sentence and kind in rule.kinds else []
                if news:
                    found[place] = news
        return found


def _one_more(level: Sequence[_Way], rewriting: _Rewriting, chance: random.Random) -> Iterator[_Way]:
    """What one more rule makes of each text, a few texts at a time, the rules taking turns; greetings come last."""
    order = sorted(chance.sample(level, len(level)), key=lambda way: way.is_dressed)
    for start in range(0, len(order), _BATCH):
        by_rule: dict[tuple[bool, str], list[_Way]] = {}
        for way in order[start : start + _BATCH]:
            for rule, news in rewriting.of_text(way.text, way.used):
                dressed = way.is_dressed or rule.is_dressing
                ways = by_rule.setdefault((dressed, rule.name), [])
                ways += [_Way(new, (*way.used, rule.name), dressed) for new in news]
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
