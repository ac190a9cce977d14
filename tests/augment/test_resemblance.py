"""Likeness by letters, against sets of strings."""

import pytest

from fewshot.augment.resemblance import Shingles, distance


def by_hand(one: str, other: str) -> float:
    first, second = ({f" {text} "[i : i + 3] for i in range(len(text))} for text in (one, other))
    return 1 - len(first & second) / len(first | second)


@pytest.mark.parametrize(
    ("one", "other"), [("my card", "the card"), ("how do I pay", "how can I pay"), ("x", "y"), ("banana", "ananas")]
)
def test_the_distance_is_that_of_the_sets(one, other):
    shingles = Shingles()
    first, second = shingles.of(one), shingles.of(other)

    assert distance(first, second) == distance(second, first) == pytest.approx(by_hand(one, other))
    assert distance(first, first) == 0


def test_nothing_is_like_nothing():
    assert distance(Shingles().of(""), Shingles().of("")) == 0


def test_a_set_does_not_depend_on_the_hash_of_strings():
    shingles = Shingles()
    texts = ("could you freeze my card", "can you freeze my card", "thanks")
    found = [distance(shingles.of(a), shingles.of(b)) for a in texts for b in texts]

    assert found == [distance(Shingles.of(again := Shingles(), a), again.of(b)) for a in texts for b in texts]


def test_politeness_is_less_of_a_difference_than_matter():
    shingles = Shingles()
    text, thanked, other = map(
        shingles.of,
        (
            "please tell me why my card was not accepted in the shop. thanks.",
            "please tell me why my card was not accepted in the shop, thanks.",
            "please tell me why my cash was not accepted at the till. thanks.",
        ),
    )

    assert distance(text, thanked) < 0.1 < distance(text, other)
