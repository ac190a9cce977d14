"""Capitals, plurals and articles of words that are put into a text."""

import pytest

from fewshot.augment.lexicon import in_case_of, in_style_of, plural, singulars, with_article


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
