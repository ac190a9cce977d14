"""`augment_texts`: every proposal with its scores, and classes that come to their number."""

import math
from collections import Counter

import numpy as np
import pytest

from fewshot.augment import SemanticAugmentation, augment_texts
from fewshot.errors import TaskError
from tests.augment.sources import Listed, Prefixes
from tests.fakes import FakeEncoder

ENCODER = FakeEncoder(dim=32)
TEXTS = ("bear eats honey", "crow eats corn", "deer eats grass")
LABELS = ("bear", "crow", "deer")
FREE = {"lowest_cosine": -1.0, "margin": -2.0}
WIDE = {"lowest_cosine": 0.2, "highest_cosine": 0.999, "duplicate_cosine": 0.999}


def embed(texts):
    return ENCODER.encode(list(texts))


def table(*sources, texts=TEXTS, labels=LABELS, embed=embed, settings=None, **more):
    chosen = {source.name: source for source in sources or (Prefixes(),)}
    return augment_texts(
        texts, labels, embed, SemanticAugmentation(sources=chosen, **(WIDE | (settings or {}))), **more
    )


def kept(rows) -> Counter[str]:
    return Counter(row.original for row in rows if row.kept)


def test_every_proposal_has_its_row_with_scores():
    rows = table()

    assert len(rows) == 3 * 8
    first = rows[0]
    assert (first.label, first.original, first.text, first.source) == ("bear", TEXTS[0], f"a {TEXTS[0]}", "prefixes")
    new, own, *others = embed([first.text, *TEXTS]).numpy()
    assert first.cosine == pytest.approx(new @ own, abs=1e-6)
    assert first.margin == pytest.approx(new @ own - max(new @ other for other in others), abs=1e-6)


def test_a_name_is_one_more_text_of_its_prototype():
    [row, *_] = table(class_names=["large animal", "black bird", "horns"])

    new, text, name, others = np.split(
        embed([f"a {TEXTS[0]}", TEXTS[0], "large animal", *TEXTS[1:], "black bird", "horns"]).numpy(), [1, 2, 3]
    )
    own = (text + name)[0] / np.linalg.norm(text + name)
    wrong = [pair / np.linalg.norm(pair) for pair in (others[0] + others[2], others[1] + others[3])]
    assert row.margin == pytest.approx(new[0] @ own - max(new[0] @ p for p in wrong), abs=1e-5)


def test_what_is_nearest_to_another_class_is_dropped():
    [row] = table(Listed({TEXTS[0]: ["bear eats corn crow corn"]}))

    assert row.dropped == "other_class"
    assert row.margin is not None
    assert row.margin < 0


def test_two_texts_do_not_keep_the_same_new_one_and_none_is_a_text_that_was_given():
    both = Listed({TEXTS[0]: ["bear eats", TEXTS[1].upper()], "bear eats honey now": ["Bear  eats", "bear honey"]})
    rows = table(both, texts=(*TEXTS, "bear eats honey now"), labels=(*LABELS, "bear"))

    assert [(row.text, row.dropped) for row in rows if row.dropped != "task_text"] == [
        ("bear eats", None),
        ("Bear  eats", "repeated"),
        ("bear honey", None),
    ]
    assert [(row.text, row.cosine) for row in rows if row.dropped == "task_text"] == [(TEXTS[1].upper(), None)]


def test_the_same_arguments_give_the_same_table():
    assert table() == table()


def test_one_class_has_no_margin():
    rows = table(labels=["animal"] * 3)

    assert {row.margin for row in rows} == {None}
    assert all(row.kept for row in rows)


def test_features_of_any_length_do():
    longer = table(embed=lambda texts: 7 * embed(texts))

    assert all(math.isclose(a.cosine, b.cosine, abs_tol=1e-5) for a, b in zip(longer, table(), strict=True))


class TestNumberOfTexts:
    """Each text gives its part of what its class wants."""

    POOR, RICH, OTHER = "red fox runs", "red cat sleeps", "oak tree grows"

    def rows(self, poor_has: int, per_class: int, **settings):
        endless = [f"{letter * 4} q{letter} w{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
        made = {text: [f"{text} {word}" for word in endless] for text in (self.RICH, self.OTHER)}
        made[self.POOR] = [f"{self.POOR} {word}" for word in endless[:poor_has]]
        return table(
            Listed(made),
            texts=(self.POOR, self.RICH, self.OTHER),
            labels=("animal", "animal", "tree"),
            settings=FREE | {"per_class": per_class} | settings,
        )

    def test_each_text_gives_its_part_whatever_another_class_needs(self):
        assert kept(self.rows(99, per_class=10)) == {self.POOR: 4, self.RICH: 4, self.OTHER: 9}

    def test_a_text_with_few_gives_what_it_has(self):
        assert kept(self.rows(1, per_class=10)) == {self.POOR: 1, self.RICH: 4, self.OTHER: 9}

    def test_rows_say_what_became_of_every_proposal(self):
        rows = self.rows(3, per_class=12)

        assert {row.dropped for row in rows} <= {None, "not_needed", "repeated", "near_duplicate", "too_near"}
        assert Counter(row.label for row in rows if row.kept) == {"animal": 3 + 5, "tree": 11}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": ("bear",)}, "Got 3 texts and 1 labels"),
        ({"texts": (TEXTS[0], TEXTS[1], TEXTS[0].upper())}, "The text 'bear eats honey' stands twice"),
        ({"class_names": ("a",)}, "Got 1 class names for 3 labels"),
        ({"synonyms": ((),)}, "Got synonyms of 1 texts"),
    ],
)
def test_what_does_not_fit_is_refused(change, sentence):
    with pytest.raises(TaskError, match=sentence):
        table(**change)
