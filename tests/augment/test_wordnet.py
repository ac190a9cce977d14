"""WordNet: which sense a word is taken in, and where the files are looked for; with a WordNet of ten words."""

import sys
import zipfile
from pathlib import Path

import pytest

from fewshot.augment.source import AugmentRequest
from fewshot.augment.synonym import Synonym
from fewshot.augment.wordnet import find_wordnet, load_wordnet
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


def write_wordnet(folder: Path) -> Path:
    """The files of a WordNet as Debian installs it, in the format of wndb(5WN)."""
    folder.mkdir(parents=True, exist_ok=True)
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
    return folder


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    return load_wordnet(write_wordnet(tmp_path_factory.mktemp("wordnet")))


@pytest.fixture
def nowhere(monkeypatch):
    """No WordNet of this machine is seen."""
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.setattr("nltk.data.path", [])
    monkeypatch.setattr("fewshot.augment.wordnet._SYSTEM_FOLDERS", ())


# --- senses ---


def test_a_word_has_the_synonyms_of_its_most_frequent_sense_that_are_mostly_meant_so_too(wordnet):
    assert wordnet.synonyms("car") == ("auto", "automobile")
    assert wordnet.synonyms("Automobile") == ("Car", "Auto")
    assert wordnet.synonyms("physician") == ("doctor",)


def test_a_plural_is_found(wordnet):
    assert wordnet.synonyms("cars") == ("autos", "automobiles")


def test_a_word_without_a_main_sense_has_none(wordnet):
    assert wordnet.synonyms("need") == ()


def test_a_word_that_was_never_counted_is_not_taken(wordnet):
    assert wordnet.synonyms("obelus") == ()


def test_several_words_that_were_never_counted_are(wordnet):
    assert wordnet.synonyms("myocardial infarction") == ("coronary",)


@pytest.mark.parametrize("word", ["in", "cards", "card game", "nothing", "3.5", ""])
def test_function_words_inflected_forms_and_unknown_words_have_none(wordnet, word):
    assert wordnet.synonyms(word) == ()


def test_places_in_a_text(wordnet):
    text = "My cars need a physician in myocardial infarction."

    assert {text[p.start : p.end]: p.synonyms[0] for p in wordnet.places(text)} == {
        "cars": "autos",
        "physician": "doctor",
        "myocardial infarction": "coronary",
    }


# --- where it is ---


def test_it_is_found_by_wordnets_own_variable(tmp_path, monkeypatch, nowhere):
    folder = write_wordnet(tmp_path / "dict")
    monkeypatch.setenv("WNSEARCHDIR", str(folder))

    assert find_wordnet() == folder


def test_it_is_found_in_nltks_folders(tmp_path, monkeypatch, nowhere):
    folder = write_wordnet(tmp_path / "corpora" / "wordnet")
    monkeypatch.setattr("nltk.data.path", ["/no/such/folder", str(tmp_path)])

    assert find_wordnet() == folder


def test_it_is_read_from_the_archive_that_nltk_downloads(tmp_path, monkeypatch, nowhere):
    folder = write_wordnet(tmp_path / "files")
    (tmp_path / "corpora").mkdir()
    with zipfile.ZipFile(tmp_path / "corpora" / "wordnet.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"wordnet/{file.name}")
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])

    assert load_wordnet(find_wordnet()).synonyms("car") == ("auto", "automobile")


def test_the_source_synonym_reads_it(tmp_path, monkeypatch, nowhere):
    monkeypatch.setenv("WNSEARCHDIR", str(write_wordnet(tmp_path)))
    load_wordnet.cache_clear()

    (proposals,) = Synonym(["wordnet"]).propose(AugmentRequest(("call a physician",), most=3))
    load_wordnet.cache_clear()

    assert [(p.text, p.how) for p in proposals] == [("call a doctor", "physician → doctor (wordnet)")]


def test_one_that_is_not_installed_says_how_to_install_it(monkeypatch, nowhere):
    def refuse(*args, **kwargs):
        raise AssertionError("tried to download")

    monkeypatch.setattr("nltk.download", refuse)

    with pytest.raises(ConfigError, match=r"WordNet is not installed. Install it with: apt-get install wordnet-base"):
        find_wordnet()


def test_files_of_something_else_are_refused(tmp_path):
    folder = write_wordnet(tmp_path)
    (folder / "index.noun").write_text("car\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"Could not read WordNet in '.*': .*Expected its version 3.0 or 3.1"):
        load_wordnet(folder)


def test_without_nltk_the_extra_is_named(monkeypatch, nowhere):
    monkeypatch.setitem(sys.modules, "nltk", None)

    with pytest.raises(ConfigError, match=r"pip install 'fewshot-text\[wordnet\]'"):
        find_wordnet()


@pytest.mark.slow
def test_an_installed_wordnet_gives_what_is_meant():
    try:
        lexicon = load_wordnet(find_wordnet())
    except ConfigError:
        pytest.skip("no WordNet is installed")

    assert "automobile" in lexicon.synonyms("car")
    assert lexicon.synonyms("need") == lexicon.synonyms("bank") == ()
    assert lexicon.synonyms("physician") == ("doctor",)
