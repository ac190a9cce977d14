"""WordNet's synonyms, read with nltk from where WordNet is installed; nothing is downloaded.

A word has many senses and a text does not say which one is meant, so a word is used in one sense only: the one that it
has by far most often, by WordNet's own counts.  A synonym is taken only if that is its own most frequent sense too, and
if it was counted at all.  "car" gives "automobile" and not "machine"; "need" gives nothing, where all senses give
"pauperization".

Source: Fellbaum 1998, "WordNet: An Electronic Lexical Database"; the files are described in WordNet's wndb(5WN).
"""

import os
import warnings
import zipfile
from collections.abc import Iterable
from functools import cache
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

from fewshot.augment.lexicon import Lexicon, Term, Words
from fewshot.errors import ConfigError

Folder = Path | zipfile.Path

HOW_TO_GET_IT = (
    "Install it with: apt-get install wordnet-base, or python -m nltk.downloader wordnet; or set WNSEARCHDIR to the "
    "folder of its files"
)
_FILES = ("cntlist.rev", *(f"{kind}.{pos}" for kind in ("index", "data") for pos in ("noun", "verb", "adj", "adv")))
_SYSTEM_FOLDERS = ("/usr/share/wordnet", "/usr/local/share/wordnet", "/opt/homebrew/opt/wordnet/dict")
_MOST_WORDS = 3  # in one term
_SHARE = 0.75  # of all uses of a word, in the sense that it is taken in


@cache
def load_wordnet(folder: Folder | None = None) -> Lexicon:
    """The lexicon of an installed WordNet.

    Args:
        folder: where its files (`index.noun`, `data.noun`, ...) are; looked for if None: in `$WNSEARCHDIR`, in the
            folders of nltk's data, and where systems install it.

    Raises:
        ConfigError: there is none, or nltk is not installed.
    """
    senses = _Senses(open_reader(folder or find_wordnet()))
    return Lexicon("wordnet", cache(senses.term), lambda first: range(_MOST_WORDS, 0, -1))


def find_wordnet() -> Folder:
    """The folder of the first installed WordNet.

    Raises:
        ConfigError: there is none, or nltk is not installed.
    """
    for folder in _candidates():
        if all((folder / name).is_file() for name in _FILES):
            return folder
    raise ConfigError(f"Got the lexicon 'wordnet', but WordNet is not installed. {HOW_TO_GET_IT}.")


def open_reader(folder: Folder) -> Any:
    """nltk's reader of WordNet, of files that need not be below nltk's own data.

    Debian's WordNet has no `lexnames`, a list of 45 names that are not used here.

    Raises:
        ConfigError: nltk is not installed, or the files are not those of a WordNet.
    """
    _need_nltk()
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.data import PathPointer

    names = "".join(f"{index:02d} {index} 1\n" for index in range(45))

    class Pointer(PathPointer):
        """A file of `folder`, which may be inside of an archive."""

        def __init__(self, name: str = "") -> None:
            self.name = name

        def content(self) -> bytes:
            file = folder / self.name
            return names.encode() if self.name == "lexnames" and not file.is_file() else file.read_bytes()

        def open(self, encoding: str | None = None) -> Any:
            return _Stream(BytesIO(self.content()), encoding or "utf8")

        def file_size(self) -> int:
            return len(self.content())

        def join(self, fileid: str) -> "Pointer":
            return Pointer(fileid)

    class Reader(WordNetCorpusReader):
        """Opens what its pointer points to; nltk's own `open` allows only what is below its data folders."""

        def open(self, file: str) -> Any:
            return self._root.join(file).open(self._ENCODING)

        def map_wn(self, version: str = "wordnet") -> None:
            """Maps to another installed version, for other languages; neither is asked for."""

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it has no multilingual part, which nobody asked for
            return Reader(Pointer(), None)
    except Exception as error:
        raise ConfigError(
            f"Could not read WordNet in {str(folder)!r}: {type(error).__name__}: {error}. Expected its version 3.0 "
            f"or 3.1. {HOW_TO_GET_IT}."
        ) from error


class _Stream(TextIOWrapper):
    """A text in memory, read several times as fast as by nltk's own streams."""

    def discard_line(self) -> None:
        """What nltk calls after a jump into the middle of a line."""
        self.readline()


class _Senses:
    """The one sense that a word is taken in."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader
        self.main = cache(self._main)

    def term(self, words: Words) -> Term | None:
        """Synonyms of words that are in WordNet as they are, and are no inflected form of others."""
        if not all(word.isalpha() for word in words) or all(map(_is_function_word, words)):
            return None
        sense, count = self.main("_".join(words))
        if sense is None or (count == 0 and len(words) == 1):
            return None
        own = " ".join(words)
        mains = {name.replace("_", " "): self.main(name.lower()) for name in sense.lemma_names()}
        fitting = [name for name, (main, uses) in mains.items() if main == sense and uses > 0]
        synonyms = tuple(name for name in fitting if name.lower() != own)
        return Term(own, synonyms) if synonyms else None

    def _main(self, lemma: str) -> tuple[Any, int]:
        """The sense that a lemma has by far most often, or its only one, and how often; None where there is no such."""
        counts = {}
        for sense in self.reader.synsets(lemma):
            own = [entry for entry in sense.lemmas() if entry.name().lower() == lemma]
            if not own:  # nltk gives the senses of the base form too: "using" is a noun, but not often
                return None, 0
            counts[sense] = sum(entry.count() for entry in own)
        likeliest = max(counts, key=counts.__getitem__, default=None)
        if len(counts) > 1 and counts[likeliest] <= _SHARE * sum(counts.values()):
            return None, 0
        return likeliest, counts.get(likeliest, 0)


def _candidates() -> Iterable[Folder]:
    if os.environ.get("WNSEARCHDIR"):
        yield Path(os.environ["WNSEARCHDIR"])
    _need_nltk()
    from nltk.data import path

    for place in path:
        yield Path(place) / "corpora" / "wordnet"
        archive = Path(place) / "corpora" / "wordnet.zip"
        if zipfile.is_zipfile(archive):
            yield zipfile.Path(archive) / "wordnet"
    yield from map(Path, _SYSTEM_FOLDERS)


def _need_nltk() -> None:
    try:
        import nltk  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "Got the lexicon 'wordnet', which needs nltk. Install it with: pip install 'fewshot-text[wordnet]'"
        ) from error


@cache
def _function_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)


def _is_function_word(word: str) -> bool:
    """Whether WordNet's nouns of that spelling ("in", the inch; "was", of Washington) are not what is meant."""
    return len(word) < 3 or word in _function_words()
