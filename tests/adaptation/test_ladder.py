"""The ladder: 50 examples run no LoRA, 51 do."""

import pytest

from fewshot.adaptation import STAGES, Ladder
from fewshot.errors import ConfigError


@pytest.mark.parametrize(
    ("shots", "name"),
    [
        (0, "zero_shot"),
        (1, "prototypes"),
        (9, "prototypes"),
        (10, "attention"),
        (50, "attention"),
        (51, "lora"),
        (500, "lora"),
        (501, "full"),
        (10**6, "full"),
    ],
)
def test_borders(shots, name):
    assert Ladder().rung(shots).name == name


@pytest.mark.parametrize(
    ("shots", "reason"),
    [
        (0, "0 labelled examples per class, fewer than prototypes_from=1."),
        (1, "1 labelled example per class: prototypes_from=1 or more, fewer than attention_from=10."),
        (10, "10 labelled examples per class: attention_from=10 or more, at most lora_above=50."),
        (51, "51 labelled examples per class: more than lora_above=50, at most full_above=500."),
        (501, "501 labelled examples per class, more than full_above=500."),
    ],
)
def test_the_reason_names_the_border(shots, reason):
    assert Ladder().rung(shots).reason == reason


def test_borders_are_settings():
    ladder = Ladder(prototypes_from=2, attention_from=2, lora_above=4, full_above=4)
    assert [ladder.rung(shots).name for shots in range(6)] == [
        *("zero_shot", "zero_shot", "attention", "attention", "attention", "full")
    ]


@pytest.mark.parametrize("strategy", STAGES)
@pytest.mark.parametrize("shots", [0, 1, 1000])
def test_a_stage_that_is_asked_for_is_taken_whatever_the_shots(strategy, shots):
    rung = Ladder().rung(shots, strategy)
    assert rung.name == strategy
    assert f"strategy={strategy}" in rung.reason


@pytest.mark.parametrize(
    "borders",
    [
        {"prototypes_from": 0},
        {"attention_from": 60},
        {"prototypes_from": 11},
        {"lora_above": 501},
        {"lora_above": 8},
    ],
)
def test_borders_out_of_order_are_refused(borders):
    with pytest.raises(ConfigError, match=r"ladder borders .* expected 1 <= prototypes_from <= attention_from"):
        Ladder(**borders)


def test_mistakes_are_one_sentence():
    with pytest.raises(ConfigError, match=r"strategy='lorra', expected one of auto, zero_shot, .*full"):
        Ladder().rung(5, "lorra")
    with pytest.raises(ConfigError, match="Got -1 labelled examples"):
        Ladder().rung(-1)
