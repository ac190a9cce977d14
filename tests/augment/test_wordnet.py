"""WordNet: which sense a word is taken in; with a WordNet of ten words among nltk's data."""

import gc
import sys
from pathlib import Path

import pytest

from fewshot.augment.source import AugmentRequest
from fewshot.augment.synonym import Synonym, load_wordnet
from fewshot.errors import ConfigError

pytest.importorskip("nltk")

# Senses: part of speech, words with how often each was counted in it; each word's senses are in the order given.
SENSES = [
    ("n", {"car": 71, "auto": 2, "automobile": 5, "machine": 1, "motorcar": 0}),
    ("n", {"machine": 30}),
    ("n", {"need": 10, "pauperization": 1}),
    ("v", {"need": 9, "require": 5}),
    ("n", {"physician": 7, "doctor": 73}),
    ("n", {"myocardial_infarction": 0, "coronary": 4}),
    ("n", {"inch": 5, "in": 3}),
    ("n", {"cards": 3, "card_game": 1}),
    ("n", {"card": 9}),
    ("n", {"obelus": 0, "dagger": 3}),
]
NUMBER = {"n": 1, "v": 2}


def write_wordnet(folder: Path) -> None:
    """The files of a WordNet, in the format of wndb(5WN)."""
    folder.mkdir(parents=True)
    names = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
    counts: dict[str, int] = {}
    for letter, name in names.items():
        data, offsets = "  1 This software is WordNet 3.0 Copyright 2006\n", {}
        for index, (pos, words) in enumerate(SENSES):
            if pos != letter:
                continue
            offset = len(data)
            for word in words:
                offsets.setdefault(word, []).append(offset)
                counts[f"{word}%{NUMBER[pos]}:03:{index:02d}::"] = words[word]
            listed = " ".join(f"{word} {index:x}" for word in words)
            frames = " 00" if pos == "v" else ""
            data += f"{offset:08d} 03 {pos} {len(words):02x} {listed} 000{frames} | a gloss\n"
        index_lines = [
            f"{word} {letter} {len(where)} 0 {len(where)} 0 {' '.join(f'{offset:08d}' for offset in where)}\n"
            for word, where in sorted(offsets.items())
        ]
        (folder / f"data.{name}").write_text(data, encoding="utf-8")
        (folder / f"index.{name}").write_text("  1 A licence\n" + "".join(index_lines), encoding="utf-8")
        (folder / f"{name}.exc").write_text("", encoding="utf-8")
    lines = [f"{key} 1 {count}\n" for key, count in sorted(counts.items()) if count]
    (folder / "cntlist.rev").write_text("".join(lines), encoding="utf-8")
    (folder / "index.sense").write_text("", encoding="utf-8")
    (folder / "lexnames").write_text("".join(f"{index:02d}\t{index}\t1\n" for index in range(45)), encoding="utf-8")


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    import nltk

    home = tmp_path_factory.mktemp("nltk")
    write_wordnet(home / "corpora" / "wordnet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nltk.data, "path", [str(home)])
        load_wordnet.cache_clear()
        yield load_wordnet()
    load_wordnet.cache_clear()
    for made in gc.get_objects():  # the files that the reader leaves open
        if type(made) is nltk.data.SeekableUnicodeStreamReader:
            made.close()


@pytest.mark.parametrize(
    ("word", "synonyms"),
    [
        ("car", ("auto", "automobile")),
        ("cars", ("autos", "automobiles")),
        ("Automobile", ("Car", "Auto")),
        ("physician", ("doctor",)),
        ("myocardial infarction", ("coronary",)),  # several words need not have been counted
        ("need", ()),  # no main sense
        ("obelus", ()),  # never counted
        *((word, ()) for word in ("in", "cards", "card game", "nothing", "3.5", "")),
    ],
)
def test_a_word_has_the_synonyms_of_its_most_frequent_sense_that_are_mostly_meant_so_too(wordnet, word, synonyms):
    assert wordnet.synonyms(word) == synonyms


def test_the_source_synonym_reads_it(wordnet):
    (proposals,) = Synonym(["wordnet"]).propose(AugmentRequest(("call a physician",), max_new=3))

    assert [(p.text, p.how) for p in proposals] == [("call a doctor", "physician → doctor (wordnet)")]


def test_one_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("nltk.data.path", [])
    load_wordnet.cache_clear()

    with pytest.raises(ConfigError, match=r"nltk has no WordNet. Install it with: python -m nltk.downloader wordnet"):
        load_wordnet()


def test_without_nltk_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "nltk"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nltk", None)
    load_wordnet.cache_clear()

    with pytest.raises(ConfigError, match=r"pip install 'fewshot-text\[wordnet\]'"):
        load_wordnet()
