"""Synonyms: a text, or a few of its words, said with the other words that a lexicon has for them.

nlpaug's augmenter for groups of terms (`ReservedAug`) finds a term inside of longer words too ("don't" has the
abbreviation of a disease in it), puts spaces around hyphens, loses capitals, and takes 28 ms for one proposal.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from fewshot.augment.lexicon import EMBEDDED, Lexicon, Place, load_lexicon, substituted
from fewshot.augment.source import AugmentRequest, Proposal, Source, check_settings, distinct

TASK = "task"
WORDNET = "wordnet"

_Choice = tuple[Place, str, str]  # place, the words to put there, the lexicon that has them
_KNOWN = (TASK, *EMBEDDED, WORDNET)
_TRIES = 4  # draws of a combination for each one wanted, as some come twice


class Synonym(Source):
    """Proposes texts with synonyms, best first.

    First come other names of the whole text, those of the task's file before those of lexicons; then texts in which one
    place is said differently, the first synonym of each place before the second ones; then combinations, drawn.

    Args:
        lexicons: where synonyms are from, the best first: `task`, the `synonyms` of the task's own file; the embedded
            `disease_ontology` and `everyday`; `wordnet`, read from where it is installed; or the path of a .tsv or .csv
            file with a term and a synonym a line.
        most_replacements: most places of one text that are said differently at once.

    Raises:
        ConfigError: a setting cannot be used; in `propose`: a lexicon's file cannot, or WordNet is not installed.

    Example:
        >>> request = AugmentRequest(("How is a myocardial infarction treated?",), most=1)
        >>> Synonym().propose(request)[0][0].text
        'How is a heart attack treated?'
    """

    name: ClassVar[str] = "synonym"

    def __init__(
        self, lexicons: Sequence[str] = (TASK, "disease_ontology", "everyday"), most_replacements: int = 3
    ) -> None:
        is_list = not isinstance(lexicons, str) and len(lexicons) > 0
        expected = (
            f"a list of some of {', '.join(_KNOWN)}, or paths of .tsv or .csv files with a term and a synonym a line"
        )
        found = is_list and all(name in _KNOWN or Path(name).is_file() for name in lexicons)
        check_settings(
            f"augment.sources.{self.name}",
            lexicons=(lexicons, found, expected),
            most_replacements=(most_replacements, most_replacements >= 1, "1 or more places of a text"),
        )
        self.lexicons = lexicons
        self.most_replacements = most_replacements

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """See `Source.propose`."""
        return [self._proposals(request, index) for index in range(len(request.texts))]

    def notes(self, request: AugmentRequest) -> list[str]:
        """Says how many texts have synonyms from where their labels are from."""
        n_given = sum(map(bool, request.synonyms)) if TASK in self.lexicons else 0
        note = (
            f"{self.name}: {n_given:,} of {len(request.texts):,} texts have synonyms from the task's own file, which "
            f"is where the labels are from too; what they gain need not be gained on a task without such a file."
        )
        return [note] if n_given else []

    @cached_property
    def _loaded(self) -> list[Lexicon]:
        from fewshot.augment.wordnet import load_wordnet

        named = [name for name in self.lexicons if name != TASK]
        return [load_wordnet() if name == WORDNET else load_lexicon(name) for name in named]

    def _proposals(self, request: AugmentRequest, index: int) -> list[Proposal]:
        text = request.texts[index]
        generator = random.Random(request.text_seed(self.name, index))
        given = request.synonyms[index] if TASK in self.lexicons and request.synonyms else ()
        slots = _without_overlaps((place, lexicon.name) for lexicon in self._loaded for place in lexicon.places(text))
        return distinct(text, self._in_order(text, given, slots, request.most, generator), request.most)

    def _in_order(
        self, text: str, given: Sequence[str], slots: list[list[_Choice]], most: int, generator: random.Random
    ) -> Iterator[Proposal]:
        yield from (Proposal(synonym, f"{text} → {synonym} ({TASK})") for synonym in given)
        # With a name for the whole, its parts are not said differently: no slot is inside of another.
        generator.shuffle(slots)
        for rank in range(max(map(len, slots), default=0)):
            yield from (_changed(text, [slot[rank]]) for slot in slots if rank < len(slot))
        most_at_once = min(self.most_replacements, len(slots))
        drawn = set()
        for _ in range(_TRIES * most if most_at_once > 1 else 0):
            chosen = generator.sample(slots, generator.randint(2, most_at_once))
            choices = [generator.choice(slot) for slot in chosen]
            combination = frozenset(map(id, choices))  # few places have few combinations, which come many times
            if combination not in drawn:
                drawn.add(combination)
                yield _changed(text, choices)


def _without_overlaps(found: Iterable[tuple[Place, str]]) -> list[list[_Choice]]:
    """What to choose from at each place of a text; of places that overlap the longest one is kept."""
    slots: dict[tuple[int, int], list[_Choice]] = {}
    for place, lexicon in sorted(found, key=lambda pair: pair[0].start - pair[0].end):
        span = (place.start, place.end)
        if span in slots or all(place.end <= start or end <= place.start for start, end in slots):
            slots.setdefault(span, []).extend((place, synonym, lexicon) for synonym in place.synonyms)
    return [slots[span] for span in sorted(slots)]


def _changed(text: str, choices: Sequence[_Choice]) -> Proposal:
    choices = sorted(choices, key=lambda choice: choice[0].start)
    how = "; ".join(f"{text[place.start : place.end]} → {words} ({lexicon})" for place, words, lexicon in choices)
    return Proposal(substituted(text, [(place, words) for place, words, _ in choices]), how)
