import time

import pytest

from fewshot.housekeeping.duplicates import exact_duplicates, is_misspelt, near_duplicates, say_the_same

LONG = (
    "the parcel that i ordered three weeks ago has not arrived and nobody at your hotline could tell me where it is now"
)


@pytest.mark.parametrize(
    ("first", "second", "near"),
    [
        ("Where is my card?", "WHERE IS MY CARD", True),
        ("How do I top-up my card", "How do I top up my card?", True),
        ("I lost my card in Rome", "I lost my bag in Rome", True),
        ("I lost my card in Rome", "I lost my bag in Bonn", False),
        ("I lost my card", "I lost my bag", False),
        ("", "", False),
        ("?!", "...", False),
        (LONG, f"hello {LONG} thanks", True),
        (LONG, " ".join(reversed(LONG.split())), False),
    ],
)
def test_near_duplicates(first, second, near):
    assert near_duplicates([first, "something else", second]) == ([(0, 2)] if near else [])


def test_a_text_that_stands_very_often_is_found_each_time_in_little_time():
    start = time.process_time()
    found = near_duplicates(["the same old text again"] * 3000)
    assert {b for _, b in found} == set(range(1, 3000))
    assert time.process_time() - start < 2


def test_exact_duplicates_have_the_same_label():
    assert exact_duplicates(["a", "b", "a", "a", "", ""], ["x", "x", "y", "x", "x", "x"]) == [(0, 3)]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Where is my card?", "where is the card", True),
        ("Where is my card?", "Where is my cart", False),
        ("Refund the payment", "Refund the paymnet", True),
        ("Refund the payment", "Refuse the payment", False),
        ("block it", "block it now", False),
    ],
)
def test_what_says_the_same(first, second, same):
    assert say_the_same(first, second) == same


@pytest.mark.parametrize(
    ("first", "second", "misspelt"),
    [
        ("delivery", "delivry", True),
        ("delivery", "deliveryy", True),
        ("delivery", "deilvery", True),
        ("delivery", "dilevery", False),
        ("level2", "level3", False),
        ("cat", "car", False),
        ("delivery", "delivery", False),
    ],
)
def test_misspelt(first, second, misspelt):
    assert is_misspelt(first, second) == is_misspelt(second, first) == misspelt
