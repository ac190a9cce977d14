"""WordNet's synonyms, read by nltk from its own data folders; nothing is downloaded.

A text does not say in which sense a word is meant, so a word is taken in the one that it has by far most often, by
WordNet's own counts, and a synonym only if that is its own most frequent sense too, and if it was counted at all: "car"
gives "automobile" and not "machine"; "need" gives nothing, where all senses give "pauperization".

Source: Fellbaum 1998, "WordNet: An Electronic Lexical Database".
"""

import warnings
from functools import cache
from typing import Any

from fewshot.augment.lexicon import Lexicon, Term, Words
from fewshot.errors import ConfigError

_MAX_WORDS = 3  # in one term
_SHARE = 0.75  # of all uses of a word, in the sense that it is taken in


@cache
def load_wordnet() -> Lexicon:
    """The lexicon of the WordNet among nltk's data.

    Raises:
        ConfigError: there is none, or nltk is not installed.
    """
    try:
        from nltk.corpus.reader import WordNetCorpusReader
        from nltk.corpus.util import LazyCorpusLoader
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        reader = LazyCorpusLoader("wordnet", WordNetCorpusReader, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it has no multilingual part, which nobody asked for
            reader.ensure_loaded()
    except ImportError as error:
        raise ConfigError(
            "Got the lexicon 'wordnet', which needs nltk. Install it with: pip install 'fewshot-text[wordnet]'"
        ) from error
    except (LookupError, OSError) as error:
        raise ConfigError(
            "Got the lexicon 'wordnet', and nltk has no WordNet. Install it with: python -m nltk.downloader wordnet"
        ) from error

    @cache
    def main_sense(lemma: str) -> tuple[Any, int]:
        """The sense that a lemma has by far most often, or its only one, and how often; None if there is no such."""
        counts = {}
        for sense in reader.synsets(lemma):
            own = [entry for entry in sense.lemmas() if entry.name().lower() == lemma]
            if not own:  # nltk gives the senses of the base form too: "using" is a noun, but not often
                return None, 0
            counts[sense] = sum(entry.count() for entry in own)
        likeliest = max(counts, key=counts.__getitem__, default=None)
        if len(counts) > 1 and counts[likeliest] <= _SHARE * sum(counts.values()):
            return None, 0
        return likeliest, counts.get(likeliest, 0)

    @cache
    def term(words: Words) -> Term | None:
        # WordNet's nouns "in", the inch, and "was", of Washington, are not what is meant.
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
