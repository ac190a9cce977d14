"""Values against annotations: what fits passes untouched, what does not is named."""

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Literal

import pytest

from fewshot.cli.arguments import checked_arguments
from fewshot.errors import ConfigError, as_typed


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


def checked(function, values, group="task", **fixed):
    return checked_arguments(signature(function).parameters, values, group, fixed)


@pytest.mark.parametrize(
    "values",
    [
        {"path": None, "split": 2, "rate": 0.5},
        {"path": "a", "split": "02", "flag": True, "word": "drop"},
        {"shots": [1, 5], "names": ["oos"]},
    ],
)
def test_values_that_fit_come_back_as_they_are(values):
    assert checked(target, values) == values


def test_a_number_where_a_text_goes_becomes_the_text():
    assert checked(target, {"path": 2024}) == {"path": "2024"}


def test_a_whole_number_where_a_number_goes_becomes_one():
    (rate,) = checked(target, {"rate": 1}).values()
    assert type(rate) is float
    (shares,) = checked(target, {"shares": [0.5, 1]}).values()
    assert list(map(type, shares)) == [float, float]
    (shots,) = checked(target, {"shots": [1]}).values()
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
        ("steps", -1, "Got task.steps=-1, expected 0 or more."),
        ("rate", -0.5, "Got task.rate=-0.5, expected 0 or more."),
        ("path", True, "Got task.path=true, expected a text or null."),
    ],
)
def test_a_value_of_another_kind_is_refused(name, value, sentence):
    with pytest.raises(ConfigError) as caught:
        checked(target, {name: value})
    assert str(caught.value) == sentence


def test_what_may_be_negative_may_be():
    def policy(margin: float = 0.0, lowest_cosine: float = 0.3, layer: int | None = None) -> None: ...

    below = {"margin": -2.0, "lowest_cosine": -1.0}
    assert checked(policy, below, "augment") == below
    with pytest.raises(ConfigError, match=r"Got augment\.layer=-1, expected 0 or more\."):
        checked(policy, {"layer": -1}, "augment")


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        checked(target, {"rate": "a", "steps": "b", "pathh": 1})
    assert len(str(caught.value).splitlines()) == 3
    assert "Did you mean task.path?" in str(caught.value)


def test_what_is_not_the_users_to_choose_is_passed_on_and_never_offered():
    def learner(dim: int, scale: float = 1.0) -> None: ...

    assert checked(learner, {"scale": 2.0}, "learner", dim=8) == {"scale": 2.0, "dim": 8}
    with pytest.raises(ConfigError, match=r"no setting 'learner\.dim'.*Expected one of learner\.scale\.$"):
        checked(learner, {"dim": 3}, "learner", dim=8)


def test_a_function_that_takes_anything_gets_it():
    assert checked(lambda **options: None, {"any": 1}) == {"any": 1}


@pytest.mark.parametrize(("value", "typed"), [(None, "null"), (True, "true"), ("five", "'five'"), (5, "5")])
def test_values_are_shown_as_they_would_be_typed(value, typed):
    assert as_typed(value) == typed
