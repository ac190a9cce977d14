"""Classes come to their number: texts with much to give stand in for those with little."""

from collections import Counter

import pytest

from fewshot.augment import AugmentRequest, Proposal, SemanticAugmentation, Source, augment_texts
from tests.augment.sources import Listed
from tests.fakes import FakeEncoder

ENCODER = FakeEncoder(dim=64)
POOR, RICH, OTHER = "red fox runs", "red cat sleeps", "oak tree grows"
LABELS = ("animal", "animal", "tree")
WIDE = {"lowest_cosine": -1.0, "highest_cosine": 0.999, "duplicate_cosine": 0.999, "margin": -2.0}


class Endless(Source):
    """As many texts as are asked for, of all but `poor`, which has as many as `has`."""

    name = "endless"

    def __init__(self, poor: str = POOR, has: int = 1):
        self.poor, self.has, self.asked = poor, has, []

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        self.asked.append((request.texts, request.most))
        return [
            [
                Proposal(f"{text} {'abcdefghij'[n % 10] * 4}{n} q{n}", str(n))
                for n in range(min(request.most, self.has) if text == self.poor else request.most)
            ]
            for text in request.texts
        ]


def table(source, texts=(POOR, RICH, OTHER), labels=LABELS, embed=ENCODER.encode, **settings):
    made = SemanticAugmentation({source.name: source}, **(WIDE | {"proposals": 1.0} | settings))
    return augment_texts(texts, labels, lambda texts: embed(list(texts)), made)


def kept(rows) -> Counter[str]:
    return Counter(row.original for row in rows if row.kept)


def test_each_text_gives_its_part_whatever_another_class_needs():
    source = Endless(has=99)

    assert kept(table(source, per_class=10)) == {POOR: 4, RICH: 4, OTHER: 9}
    assert [most for _, most in source.asked] == [9]


def test_the_others_give_what_one_text_lacks():
    source = Endless()

    rows = table(source, per_class=10)

    assert kept(rows) == {POOR: 1, RICH: 7, OTHER: 9}
    assert len(source.asked) == 1


def test_sources_are_asked_again_for_texts_of_which_they_may_have_more():
    source = Endless()

    rows = table(source, texts=(POOR, RICH), labels=LABELS[:2], per_class=10)

    assert source.asked == [((POOR, RICH), 4), ((RICH,), 12)]
    assert kept(rows) == {POOR: 1, RICH: 7}
    assert len(rows) == len({row.text for row in rows}) == 1 + 12


def test_a_text_gives_three_times_its_part_at_most():
    rows = table(Endless(has=0), texts=(POOR, RICH), labels=LABELS[:2], per_class=40, per_text=5)

    assert kept(rows) == {RICH: 15}


def test_a_source_with_nothing_more_is_not_asked_again():
    source = Endless(has=0)

    assert kept(table(source, texts=(POOR, OTHER), labels=("animal", "tree"), per_class=6)) == {OTHER: 5}
    assert len(source.asked) == 1


def test_what_looks_alike_is_only_looked_at_where_a_class_needs_it():
    text = "could you tell me why my card was not accepted in the shop"
    alike = [f"{text}{mark}" for mark in ("?", "!", "...")]
    source = Listed({text: [*alike, "a reason please", "no idea at all"], OTHER: ["big oak", "old ash", "wet fir"]})
    seen: list[str] = []

    def embed(texts):
        seen.extend(texts)
        return ENCODER.encode(texts)

    few = table(source, (text, OTHER), ("why", "tree"), embed, per_class=3, proposals=9.0)
    assert kept(few) == {text: 2, OTHER: 2}
    assert not set(alike) & set(seen)

    table(source, (text, OTHER), ("why", "tree"), embed, per_class=4, proposals=9.0)
    assert set(alike) & set(seen)


@pytest.mark.parametrize("per_class", [7, 12])
def test_rows_say_what_became_of_every_proposal(per_class):
    rows = table(Endless(has=3), per_class=per_class)

    assert {row.dropped for row in rows} <= {None, "not_needed", "repeated", "near_duplicate", "too_near"}
    assert Counter(row.label for row in rows if row.kept) == {"animal": per_class - 2, "tree": per_class - 1}
