"""Lexicons: groups, where their terms are found, the embedded ones, and the form that words take in a text."""

import hashlib
import importlib.util
from itertools import pairwise
from pathlib import Path

import pytest

import fewshot.augment.lexicon as module
from fewshot.augment.lexicon import (
    EMBEDDED,
    Lexicon,
    in_case_of,
    in_style_of,
    load_lexicon,
    plural,
    singulars,
    substituted,
    with_article,
)
from fewshot.errors import ConfigError

FOLDER = Path(module.__file__).parent / "lexicons"
SCRIPT = Path(__file__).parents[2] / "episodes" / "lexicons" / "build_disease_ontology.py"
GROUPS = [
    ["heart attack", "myocardial infarction"],
    ["heart", "ticker"],
    ["buy", "purchase"],
    ["complete", "fill out", "finish"],
    ["acquired immune deficiency", "AIDS"],
]
MINE = Lexicon.from_groups("mine", GROUPS)


def found(text: str, lexicon: Lexicon = MINE) -> dict[str, tuple[str, ...]]:
    return {text[place.start : place.end]: place.synonyms for place in lexicon.places(text)}


# --- groups ---


def test_each_member_is_a_synonym_of_the_others():
    assert MINE.synonyms("complete") == ("fill out", "finish")
    assert MINE.synonyms("fill out") == ("complete", "finish")
    assert MINE.synonyms("nothing") == ()


def test_a_term_of_two_groups_has_the_synonyms_of_both_and_its_synonyms_only_those_of_their_own():
    lexicon = Lexicon.from_groups("two", [["big", "large"], ["big", "important"]])

    assert lexicon.synonyms("big") == ("large", "important")
    assert lexicon.synonyms("large") == ("big",)


def test_a_term_without_words_is_refused():
    with pytest.raises(ConfigError, match=r"'mine' has an empty term in \['buy', ' '\]"):
        Lexicon.from_groups("mine", [["buy", " "]])


# --- places ---


def test_the_longest_term_is_found_first():
    assert found("a heart attack of the heart") == {"heart attack": ("myocardial infarction",), "heart": ("ticker",)}


@pytest.mark.parametrize("text", ["buyer", "rebuy", "buy's", "can't-buy", "heartburn", "e-heart"])
def test_only_whole_words_are_found(text):
    assert found(text) == {}


@pytest.mark.parametrize("text", ["heart  attack", "Heart\nattack!", "(HEART ATTACK)", "«heart attack»"])
def test_space_capitals_and_punctuation_do_not_matter(text):
    (place,) = MINE.places(text)

    assert [word.lower() for word in text[place.start : place.end].split()] == ["heart", "attack"]
    assert place.synonyms[0].lower() == "myocardial infarction"
    assert MINE.synonyms(text) == place.synonyms


def test_an_abbreviation_is_found_in_capitals_only():
    assert found("This aids nobody") == {}
    assert found("He has AIDS now") == {"AIDS": ("acquired immune deficiency",)}


def test_a_plural_gives_plurals():
    assert found("two heart attacks") == {"heart attacks": ("myocardial infarctions",)}
    assert found("He buys it") == {"buys": ("purchases",)}


def test_places_do_not_overlap_and_stand_in_order():
    places = MINE.places("Buy a heart, complete it, fill out the heart attack form")

    assert [place.start for place in places] == sorted(place.start for place in places)
    assert all(one.end <= other.start for one, other in pairwise(places))
    assert len(places) == 5


def test_a_text_without_words_has_no_places():
    assert MINE.places("") == MINE.places(" ?! ") == []


def test_substituted_changes_the_chosen_places_and_nothing_else():
    text = "Should I  buy a heart—or not?"
    buy, heart = MINE.places(text)

    assert substituted(text, [(heart, "organ"), (buy, "purchase")]) == "Should I  purchase an organ—or not?"
    assert substituted(text, []) == text


# --- a user's file ---


@pytest.mark.parametrize("header", ["", "term\tsynonym\n", "Term\tSynonyms\n"])
def test_a_file_is_read_with_or_without_a_header(tmp_path, header):
    path = tmp_path / "mine.tsv"
    path.write_text(f'\ufeff{header}buy\tpurchase|acquire\n\nBuy\tget hold of\r\nnet\t5" mesh\n', encoding="utf-8")

    lexicon = Lexicon.read(path)

    assert lexicon.name == "mine"
    assert lexicon.synonyms("acquire") == ("buy", "purchase", "get hold of")
    assert lexicon.synonyms("net") == ('5" mesh',)


def test_a_csv_has_commas_and_quotes(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text('term,synonym\n"well, well",oh\n', encoding="utf-8")

    assert Lexicon.read(path).synonyms("Well, well") == ("Oh",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", b"buy\tpurchase\nbuy purchase\n", r"a.tsv, line 2 has .*, expected a term and a synonym"),
        ("a.csv", b"buy,purchase,get\n", r"a.csv, line 1 has "),
        ("a.tsv", b"buy\tpurchase\n\nsell\t\n", r"a.tsv, line 3 has "),
        ("a.tsv", b"\tpurchase\n", r"a.tsv, line 1 has "),
        ("a.tsv", b"buy\tget||take\n", r"a.tsv, line 1 has "),
        ("a.tsv", b"term\tsynonym\n", r"a.tsv is empty, expected a term and a synonym a line"),
        (
            "a.tsv",
            b"buy\tget\ncaf\xe9\tbar\n",
            r"Could not read the lexicon .*a.tsv': .*0xe9.* Expected a file in UTF-8",
        ),
        ("a.txt", b"buy\tget\n", r"a.txt', expected a file with a term and a synonym a line"),
        ("a.tsv", None, r"Could not read the lexicon .*a.tsv': No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigError, match=message):
        Lexicon.read(tmp_path / name)


# --- the embedded ones ---


def test_heart_attack_comes_out_for_myocardial_infarction():
    lexicon = load_lexicon("disease_ontology")

    assert lexicon.synonyms("Myocardial Infarction")[0] == "Heart Attack"
    assert "myocardial infarction" in lexicon.synonyms("heart attack")


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_file_is_plain_and_says_each_thing_once(name):
    groups = groups_of(name)

    assert (FOLDER / f"{name}.tsv").stat().st_size < 1_500_000
    for group in groups:
        assert len(group) > 1
        assert len({member.casefold() for member in group}) == len(group)
        assert all(member == " ".join(member.split()) and '"' not in member for member in group)


def test_no_everyday_term_has_two_meanings():
    terms = [member.casefold() for group in groups_of("everyday") for member in group]

    assert len(terms) == len(set(terms)) > 1000


def test_names_of_diseases_are_not_found_in_everyday_language():
    groups = groups_of("everyday")

    assert [member for group in groups for member in group if load_lexicon("disease_ontology").places(member)] == []


def groups_of(name: str) -> list[list[str]]:
    lines = (FOLDER / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [[term, *synonyms.split("|")] for term, synonyms in (line.split("\t") for line in lines if line)]


# --- how the Disease Ontology's file is built ---


def build_script():
    spec = importlib.util.spec_from_file_location("build_disease_ontology", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_rules_of_the_disease_ontology():
    entries = [
        {"name": "chronic lung failure of Smith", "synonyms": ["Lung failure", "CLFS", "CLF", "XLTT", "Smith disease"]},
        {"name": "lung fever", "synonyms": ["Fever, lung", "fever of the lung", "acute lung fever", "Lung fire"]},
        {"name": "blindness 7", "synonyms": ["dark eyes"]},
        {"name": "gout", "synonyms": ["podagra with stones", "toe evil", "BLIND TOE"]},
        {"name": "toe pain", "synonyms": ["Toe evil"]},
    ]

    assert build_script().groups(entries) == [
        ["chronic lung failure of Smith", "lung failure", "Smith disease", "CLFS"],
        ["lung fever", "fever of the lung", "lung fire"],
    ]


def test_the_shipped_files_are_those_that_the_readme_describes():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    groups = groups_of("disease_ontology")

    assert hashlib.sha256((FOLDER / "disease_ontology.tsv").read_bytes()).hexdigest() in readme
    assert build_script().SOURCE_SHA256 in readme
    assert f"| {len(groups):,} | {sum(map(len, groups)):,} | CC0 1.0 |" in readme
    everyday = groups_of("everyday")
    assert f"| `everyday.tsv` | {len(everyday)} | {sum(map(len, everyday)):,} |" in readme


def test_the_script_refuses_another_source(tmp_path):
    (tmp_path / "doid.json").write_text("[]", encoding="utf-8")

    with pytest.raises(ValueError, match="has SHA-256 4f53cda18c2baa0c"):
        build_script().read_source(tmp_path / "doid.json")


@pytest.mark.parametrize(
    ("text", "place", "written", "replacement", "expected"),
    [
        ("a heart attack", "heart attack", "heart attack", "myocardial infarction", "myocardial infarction"),
        ("A HEART ATTACK", "HEART ATTACK", "heart attack", "myocardial infarction", "MYOCARDIAL INFARCTION"),
        ("Acute Heart Attack", "Heart Attack", "heart attack", "myocardial infarction", "Myocardial Infarction"),
        ("Lung Cancer", "Lung Cancer", "lung cancer", "cancer of the lung", "Cancer of the Lung"),
        ("Influenza is bad", "Influenza", "influenza", "flu", "Flu"),
        ("How do I pay?", "How do I", "how do I", "what is the way to", "What is the way to"),
        ("Can I pay?", "Can I", "can I", "am I able to", "Am I able to"),
        ("Paid. I think so", "I think", "I think", "it seems to me", "It seems to me"),
        ("crohn's disease hurts", "crohn's disease", "Crohn's disease", "Morbus Crohn", "morbus crohn"),
        ("has copd, he says", "copd", "COPD", "COLD lungs", "COLD lungs"),
        ("Where is an ATM?", "ATM", "atm", "cash machine", "cash machine"),
        ("Are ATMs free?", "ATMs", "atms", "cash machines", "cash machines"),
        ("COPD", "COPD", "COPD", "chronic lung disease", "Chronic lung disease"),
        ("His COPD is bad", "COPD", "COPD", "chronic lung disease", "chronic lung disease"),
    ],
)
def test_a_replacement_has_the_capitals_of_its_place(text, place, written, replacement, expected):
    start = text.index(place)

    assert in_style_of(text, start, start + len(place), written, replacement) == expected


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("heart attack", "heart attacks"),
        ("currency", "currencies"),
        ("delay", "delays"),
        ("tax", "taxes"),
        ("branch", "branches"),
        ("diabetes", None),
        ("cancer of the lung", None),
        ("type 2", None),
        ("COPD", None),
    ],
)
def test_a_plural_is_regular_or_none(term, expected):
    assert plural(term) == expected


@pytest.mark.parametrize("term", ["fee", "currency", "tax", "branch", "pass", "house", "hero", "delay", "purchase"])
def test_the_singulars_of_a_regular_plural_have_its_singular(term):
    made = {"pass": "passes", "hero": "heroes"}.get(term) or plural(term)

    assert term in singulars(made)


@pytest.mark.parametrize("word", ["bus", "diabetes mellitus", "pass", "gas", "illness", "tennis", "card"])
def test_what_is_no_plural_has_no_wrong_singular(word):
    assert all(len(singular) >= 3 and singular != word for singular in singulars(word))
    assert singulars(word) == [] or word == "gas"


@pytest.mark.parametrize(
    ("before", "old", "new", "expected"),
    [
        ("It was a ", "fee", "extra fee", "It was an "),
        ("It was an ", "extra fee", "fee", "It was a "),
        ("An ", "illness", "sickness", "A "),
        ("AN ", "ILLNESS", "SICKNESS", "A "),
        ("for a ", "scan", "MRI", "for an "),
        ("for an ", "hour", "unit", "for a "),
        ("for a ", "fee", "charge", "for a "),
        ("Vitamin a", "fee", "extra fee", "Vitamin a"),
        ("visa ", "fee", "extra fee", "visa "),
    ],
)
def test_the_article_before_fits_what_follows(before, old, new, expected):
    assert with_article(before, old, new) == expected


@pytest.mark.parametrize(("old", "expected"), [("card", "bill"), ("Card", "Bill"), ("PIN", "BILL"), ("I", "Bill")])
def test_a_word_takes_the_case_of_the_one_it_replaces(old, expected):
    assert in_case_of(old, "bill") == expected
