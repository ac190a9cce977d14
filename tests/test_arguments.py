"""Values against annotations: what fits passes untouched, what does not is named."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from fewshot.arguments import as_typed, checked_arguments
from fewshot.errors import ConfigError


def target(
    path: str | Path | None,
    split: str | int = "01",
    rate: float = 0.1,
    steps: int = 3,
    flag: bool = False,
    shots: Sequence[int] = (1,),
    word: Literal["error", "drop"] = "error",
    names: tuple[str, ...] | list[str] = (),
    shares: Sequence[float] = (0.5,),
    classes: Sequence[Literal["train", "valid"]] = ("train",),
) -> None: ...


@pytest.mark.parametrize(
    "values",
    [
        {"path": None, "split": 2, "rate": 0.5},
        {"path": "a", "split": "02", "flag": True, "word": "drop"},
        {"shots": [1, 5], "names": ["oos"]},
    ],
)
def test_values_that_fit_come_back_as_they_are(values):
    assert checked_arguments(target, values, "task") == values


def test_a_number_where_a_text_goes_becomes_the_text():
    assert checked_arguments(target, {"path": 2024}, "task") == {"path": "2024"}


def test_a_whole_number_where_a_number_goes_becomes_one():
    (rate,) = checked_arguments(target, {"rate": 1}, "task").values()
    assert type(rate) is float
    (shares,) = checked_arguments(target, {"shares": [0.5, 1]}, "task").values()
    assert list(map(type, shares)) == [float, float]
    (shots,) = checked_arguments(target, {"shots": [1]}, "task").values()
    assert type(shots[0]) is int


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("rate", "fast", "Got task.rate='fast', expected a number."),
        ("steps", 2.5, "Got task.steps=2.5, expected a whole number."),
        ("steps", True, "Got task.steps=true, expected a whole number."),
        ("steps", None, "Got task.steps=null, expected a whole number."),
        ("flag", "yes", "Got task.flag='yes', expected true or false."),
        ("shares", [True], "Got task.shares=[True], expected a list of numbers such as [0.1,0.5]."),
        ("classes", ["test"], "Got task.classes=['test'], expected a list of some of train, valid."),
        ("shots", 5, "Got task.shots=5, expected a list of whole numbers such as [1,5]."),
        ("shots", [1, "five"], "Got task.shots=[1, 'five'], expected a list of whole numbers such as [1,5]."),
        ("word", "keep", "Got task.word='keep', expected error or drop."),
        ("path", True, "Got task.path=true, expected a text or null."),
    ],
)
def test_a_value_of_another_kind_is_refused(name, value, sentence):
    with pytest.raises(ConfigError) as caught:
        checked_arguments(target, {name: value}, "task")
    assert str(caught.value) == sentence


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        checked_arguments(target, {"rate": "a", "steps": "b", "pathh": 1}, "task")
    assert len(str(caught.value).splitlines()) == 3
    assert "Did you mean task.path?" in str(caught.value)


def test_what_is_not_the_users_to_choose_is_passed_on_and_never_offered():
    def learner(dim: int, scale: float = 1.0) -> None: ...

    assert checked_arguments(learner, {"scale": 2.0}, "learner", dim=8) == {"scale": 2.0, "dim": 8}
    with pytest.raises(ConfigError, match=r"no setting 'learner\.dim'.*Expected one of learner\.scale\.$"):
        checked_arguments(learner, {"dim": 3}, "learner", dim=8)


def test_a_function_that_takes_anything_gets_it():
    assert checked_arguments(lambda **options: None, {"any": 1}, "task") == {"any": 1}


@pytest.mark.parametrize(("value", "typed"), [(None, "null"), (True, "true"), ("five", "'five'"), (5, "5")])
def test_values_are_shown_as_they_would_be_typed(value, typed):
    assert as_typed(value) == typed
