"""Settings are checked as a whole, and every mistake is named at once."""

import pytest

from fewshot.cli.settings import METRICS, RunSettings
from fewshot.errors import ConfigError


def test_all_stands_for_every_class():
    assert RunSettings.checked(ways="all").ways is None


def test_values_are_kept():
    settings = RunSettings.checked(ways=7, shots=3, baselines=["ridge"], metric="ece", support_noise=0.4)

    assert (settings.ways, settings.shots, settings.metric, settings.support_noise) == (7, 3, "ece", 0.4)
    assert settings.baselines == ("ridge",)


@pytest.mark.parametrize("metric", METRICS)
def test_each_metric_is_accepted(metric):
    assert RunSettings.checked(metric=metric).metric == metric


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ways", 1, "2 or more"),
        ("ways", "every", "(or all)"),
        ("ways", True, "2 or more"),
        ("shots", -1, "0 or more, or auto, for shots"),
        ("shots", "five", "shots=five. Expected a whole number of 0 or more"),
        ("shots", 1.5, "whole number"),
        ("shots", None, "Got shots=null"),
        ("shots", True, "Got shots=true"),
        ("support_noise", 2, "between 0 and 1"),
        ("queries", 0, "1 or more"),
        ("episodes", 0, "from 1 to 1,000,000"),
        ("episodes", 1.0, "whole number"),
        ("seed", -1, "0 or more"),
        ("label_names", "yes", "true or false"),
        ("realistic", 1, "true or false"),
        ("support_noise", -0.1, "between 0 and 1"),
        ("support_noise", True, "between 0 and 1"),
        ("support_noise", float("nan"), "between 0 and 1"),
        ("metric", "f1", "accuracy, macro_f1, ece"),
        ("strategy", "best", "auto, zero_shot, prototypes, attention, lora, adapter, full"),
        ("final_stage", "lora", "auto, none, head, light"),
        ("classes", ["all"], "auto, test, all"),
        ("protocol", None, "auto, sampled, fixed_test"),
        ("test_texts", 0, "1 or more"),
        ("supports", 0, "1 or more"),
        ("minutes", 0, "a positive number"),
        ("minutes", float("inf"), "a positive number"),
        ("baselines", "ridge", "Write baselines=[centroid,logistic,ridge]"),
        ("baselines", ["rigde"], "baselines=[rigde]"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name, value, words):
    with pytest.raises(ConfigError) as caught:
        RunSettings.checked(**{name: value})

    assert name.rstrip("s") in str(caught.value)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_every_mistake_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        RunSettings.checked(shots=-1, queries=0, episodes=0, metric="f1")

    assert str(caught.value) == (
        "Got shots=-1, queries=0, episodes=0, metric=f1. Expected a whole number of 0 or more, or auto, for shots; a "
        "whole number of 1 or more for queries; a whole number from 1 to 1,000,000 for episodes; one of accuracy, "
        "macro_f1, ece, valid_accuracy for metric. Write shots=auto queries=15 episodes=600 metric=accuracy, for "
        "example."
    )


def test_noise_needs_equal_support_sizes():
    with pytest.raises(ConfigError, match="equal support sizes"):
        RunSettings.checked(support_noise=0.2, realistic=True)


def test_noise_that_would_change_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"support_noise=0.3, which is no text of 1 shots"):
        RunSettings.checked(shots=1, support_noise=0.3)


def test_one_and_one_point_zero_are_the_same_noise():
    assert repr(RunSettings.checked(support_noise=1)) == repr(RunSettings.checked(support_noise=1.0))


def test_the_constructor_checks_as_well():
    with pytest.raises(ConfigError, match=r"shots=-1. Expected a whole number of 0 or more"):
        RunSettings(shots=-1)


@pytest.mark.parametrize(
    "others",
    [
        {"label_names": False},
        {"realistic": True},
        {"support_noise": 0.2},
    ],
)
def test_without_a_labelled_text_there_is_little_to_ask_for(others):
    with pytest.raises(ConfigError, match="shots"):
        RunSettings(shots=0, **others)
    assert RunSettings(shots=0, strategy="zero_shot").shots == 0
