"""Synonyms: a text, or a few of its words, replaced by other words of a lexicon.

nlpaug's augmenter for groups of terms (`ReservedAug`) finds a term inside of longer words too ("don't" has the
abbreviation of a disease in it), puts spaces around hyphens, loses capitals, and takes 28 ms for one proposal.
"""

import random
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

from fewshot.augment.lexicon import EMBEDDED, Lexicon, Place, Term, Words, load_lexicon, substituted
from fewshot.augment.source import AugmentRequest, Proposal, Source, distinct
from fewshot.errors import ConfigError
from fewshot.ranges import POSITIVE, Range, RangedSettings

TASK = "task"
WORDNET = "wordnet"

_Choice = tuple[Place, str, str]  # place, the words to put there, the lexicon that has them
_KNOWN = (TASK, *EMBEDDED, WORDNET)
_MAX_WORDS = 3  # in a term of WordNet
_SHARE = 0.75  # of all uses of a word, in the sense of WordNet that it is taken in
_TRIES = 4  # draws of a combination for each one wanted, as some come twice


@dataclass(eq=False)
class Synonym(RangedSettings, Source):
    """Propose texts with synonyms, best first.

    First come other names of the whole text, those of the task's file before those of lexicons; then texts in which one
    place is replaced, by the first synonym of each place before the second ones; then random combinations.

    Args:
        lexicons: sources of synonyms, the best first: `task`, the `synonyms` of the task's own file; the embedded
            `disease_ontology` and `everyday`; `wordnet`, read from where it is installed; or the path of a .tsv or .csv
            file with a term and a synonym a line.
        max_replacements: places of one text that are replaced at once, at most.

    Raises:
        ConfigError: a setting cannot be used; in `propose`: a lexicon's file cannot, or WordNet is not installed.

    Example:
        >>> request = AugmentRequest(("How is a myocardial infarction treated?",), max_new=1)
        >>> Synonym().propose(request)[0][0].text
        'How is a heart attack treated?'
    """

    name: ClassVar[str] = "synonym"
    GROUP: ClassVar[str] = "augment.sources.synonym"
    RANGES: ClassVar[dict[str, Range]] = {
        "lexicons": (
            lambda names: not isinstance(names, str) and len(names) > 0 and all(map(_is_lexicon, names)),
            f"a list of some of {', '.join(_KNOWN)}, or paths of .tsv or .csv files with a term and a synonym a line",
        ),
        "max_replacements": POSITIVE,
    }

    lexicons: Sequence[str] = (TASK, "disease_ontology", "everyday")
    max_replacements: int = 3

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """See `Source.propose`."""
        proposals = []
        for index, text in enumerate(request.texts):
            generator = random.Random(request.text_seed(self.name, index))
            given = request.synonyms[index] if TASK in self.lexicons and request.synonyms else ()
            slots = _without_overlaps((place, source.name) for source in self._loaded for place in source.places(text))
            new = self._in_order(text, given, slots, request.max_new, generator)
            proposals.append(distinct(text, new, request.max_new))
        return proposals

    def notes(self, request: AugmentRequest) -> list[str]:
        """Number of texts with synonyms from the file of their labels."""
        n_given = sum(map(bool, request.synonyms)) if TASK in self.lexicons else 0
        what = f"{self.name}: {n_given:,} of {len(request.texts):,} texts have synonyms from the task's own file, which"
        why = "is where the labels are from too; what they gain need not be gained on a task without such a file."
        return [f"{what} {why}"] if n_given else []

    @cached_property
    def _loaded(self) -> list[Lexicon]:
        named = [name for name in self.lexicons if name != TASK]
        return [load_wordnet() if name == WORDNET else load_lexicon(name) for name in named]

    def _in_order(
        self, text: str, given: Sequence[str], slots: list[list[_Choice]], max_new: int, generator: random.Random
    ) -> Iterator[Proposal]:
        yield from (Proposal(synonym, f"{text} → {synonym} ({TASK})") for synonym in given)
        # If the whole text has a name, its parts are not replaced: no slot is inside of another.
        generator.shuffle(slots)
        for rank in range(max(map(len, slots), default=0)):
            yield from (_changed(text, [slot[rank]]) for slot in slots if rank < len(slot))
        max_at_once = min(self.max_replacements, len(slots))
        drawn = set()
        for _ in range(_TRIES * max_new if max_at_once > 1 else 0):
            chosen = generator.sample(slots, generator.randint(2, max_at_once))
            choices = [generator.choice(slot) for slot in chosen]
            combination = frozenset(map(id, choices))  # few places have few combinations, which come many times
            if combination not in drawn:
                drawn.add(combination)
                yield _changed(text, choices)


def _without_overlaps(places: Iterable[tuple[Place, str]]) -> list[list[_Choice]]:
    """The choices at each place of a text; of places that overlap the longest one is kept."""
    slots: dict[tuple[int, int], list[_Choice]] = {}
    for place, lexicon in sorted(places, key=lambda pair: pair[0].start - pair[0].end):
        span = (place.start, place.end)
        if span in slots or all(place.end <= start or end <= place.start for start, end in slots):
            slots.setdefault(span, []).extend((place, synonym, lexicon) for synonym in place.synonyms)
    return [slots[span] for span in sorted(slots)]


def _changed(text: str, choices: Sequence[_Choice]) -> Proposal:
    choices = sorted(choices, key=lambda choice: choice[0].start)
    how = "; ".join(f"{text[place.start : place.end]} → {words} ({lexicon})" for place, words, lexicon in choices)
    return Proposal(substituted(text, [(place, words) for place, words, _ in choices]), how)


def _is_lexicon(name: str) -> bool:
    return name in _KNOWN or Path(name).is_file()


@cache
def load_wordnet() -> Lexicon:
    """The lexicon of the WordNet among nltk's data; nothing is downloaded.

    The sense of a word in a text is unknown, so a word is taken in the sense that is by far its most frequent one by
    WordNet's own counts, and a synonym only if that is its own most frequent sense too, and if it was counted at all:
    "car" gives "automobile" and not "machine"; "need" gives nothing, while all senses would give "pauperization".

    Source: Fellbaum 1998, "WordNet: An Electronic Lexical Database".
    """
    try:
        from nltk.corpus.reader import WordNetCorpusReader
        from nltk.corpus.util import LazyCorpusLoader
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        reader = LazyCorpusLoader("wordnet", WordNetCorpusReader, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that the multilingual part, unused here, is missing
            reader.ensure_loaded()
    except ImportError as error:
        raise ConfigError(
            "Lexicon 'wordnet' needs nltk. Install it with: pip install 'fewshot-text[wordnet]'"
        ) from error
    except (LookupError, OSError) as error:
        what = "Got the lexicon 'wordnet', and nltk has no WordNet."
        raise ConfigError(f"{what} Install it with: python -m nltk.downloader wordnet") from error

    @cache
    def main_sense(lemma: str) -> tuple[Any, int]:
        """The sense that a lemma has by far most often, or its only one, and its count; None if there is none."""
        counts = {}
        for sense in reader.synsets(lemma):
            entries = [entry for entry in sense.lemmas() if entry.name().lower() == lemma]
            if not entries:  # nltk gives the senses of the base form too: "using" is a noun, but not often
                return None, 0
            counts[sense] = sum(entry.count() for entry in entries)
        likeliest = max(counts, key=counts.__getitem__, default=None)
        if len(counts) > 1 and counts[likeliest] <= _SHARE * sum(counts.values()):
            return None, 0
        return likeliest, counts.get(likeliest, 0)

    @cache
    def term(words: Words) -> Term | None:
        # Not WordNet's nouns "in", the inch, and "was", of Washington.
        if not all(map(str.isalpha, words)) or all(len(word) < 3 or word in ENGLISH_STOP_WORDS for word in words):
            return None
        sense, count = main_sense("_".join(words))
        if sense is None or (count == 0 and len(words) == 1):
            return None
        others = [name for name in sense.lemma_names() if name.lower() != "_".join(words)]
        mains = {name.replace("_", " "): main_sense(name.lower()) for name in others}
        synonyms = tuple(name for name, (main, uses) in mains.items() if main == sense and uses > 0)
        return Term(" ".join(words), synonyms) if synonyms else None

    return Lexicon("wordnet", term, lambda first: range(_MAX_WORDS, 0, -1))
