"""The filter's conditions, one by one, on vectors whose cosines are known."""

import math

import numpy as np
import pytest
import torch

from fewshot.augment import SemanticFilter
from fewshot.augment.semantic_filter import margins
from fewshot.errors import ConfigError

SOURCE = torch.tensor([1.0, 0.0, 0.0])
NONE = torch.empty(0, 3)


def at(cosine: float, turn: float = 0.0) -> torch.Tensor:
    """A unit vector of that cosine to SOURCE, turned about it."""
    rest = math.sqrt(1 - cosine**2)
    return torch.tensor([cosine, rest * math.cos(turn), rest * math.sin(turn)])


def dropped(*proposed: torch.Tensor, kept: torch.Tensor = NONE, room: int = 9, margin=0.0, **more) -> list[str | None]:
    chosen = SemanticFilter(0.6, 0.95, 0.9, margin)
    return [verdict.dropped for verdict in chosen.verdicts(SOURCE, kept, torch.stack(proposed), room, **more)]


def test_a_text_below_or_above_the_band_is_dropped_and_the_borders_are_in_it():
    found = dropped(at(0.59), at(0.61), at(0.94, turn=3), at(0.96))

    assert found == ["too_far", None, None, "too_near"]


def test_a_near_duplicate_of_one_that_was_kept_is_dropped():
    assert dropped(at(0.8), at(0.8, turn=0.1), at(0.8, turn=3)) == [None, "near_duplicate", None]
    assert dropped(at(0.8, turn=0.1), kept=at(0.8)[None]) == ["near_duplicate"]


def test_what_resembles_only_what_was_dropped_is_kept():
    assert dropped(at(0.5), at(0.65)) == ["too_far", None]
    assert dropped(at(0.8), at(0.8, turn=0.4), at(0.8, turn=0.8), at(0.8, turn=1.2)) == [
        None,
        "near_duplicate",
        None,
        "near_duplicate",
    ]


def test_no_more_are_kept_than_there_is_room_for():
    found = dropped(at(0.7), at(0.7, turn=2), at(0.7, turn=4), room=2)

    assert found == [None, None, "not_needed"]


def test_what_another_text_has_is_repeated():
    assert dropped(at(0.7), at(0.7, turn=2), repeated=[True, False]) == ["repeated", None]


def test_margins_are_the_cosines_of_numpy():
    generator = np.random.default_rng(0)
    rows, features = (generator.normal(size=(n, 6)) for n in (4, 5))
    rows, features = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, features))

    found = margins(torch.tensor(features), torch.tensor(rows), own=2)

    cosines = features @ rows.T
    expected = cosines[:, 2] - np.delete(cosines, 2, axis=1).max(1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_text_nearer_to_another_class_is_dropped_unless_the_margin_allows_it():
    own = torch.tensor([0.2, 0.05, -0.1])
    row = (at(0.7), at(0.7, turn=2), at(0.7, turn=4))

    assert dropped(*row, margins=own) == [None, None, "other_class"]
    assert dropped(*row, margins=own, margin=0.1) == [None, "other_class", "other_class"]
    assert dropped(*row, margins=own, margin=-2.0) == [None, None, None]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ((0.9, 0.6, 0.99), r"Got augment.lowest_cosine=0.9. Expected from -1 to below highest_cosine=0.6"),
        ((-1.5, 0.6, 0.99), r"lowest_cosine=-1.5"),
        ((0.6, 0.9, 1.5), r"Got augment.duplicate_cosine=1.5. Expected a cosine above 0, at most 1"),
    ],
)
def test_cosines_out_of_order_are_refused(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        SemanticFilter(*values)
