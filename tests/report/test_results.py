"""results.json: every documented key, finite, strict JSON, under names that do not change."""

import json
import math
import re
from dataclasses import fields

import pytest

from fewshot.cli.settings import RunSettings
from fewshot.report import results as report

DISTANCES = ("intra_class_distance", "inter_class_distance")
SCORES = ("accuracy", "macro_f1", "ece", "ece_uncalibrated", "temperature", *DISTANCES)


def documented_keys() -> list[str]:
    """The words left of the gap in the table of the module's docstring."""
    lines = [line for line in report.__doc__.splitlines() if line.startswith("    ") and not line.startswith("     ")]
    return [key for line in lines for key in re.split(r", ", re.split(r"\s{2,}", line.strip())[0])]


def numbers(content):
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list):
        return [number for part in content for number in numbers(part)]
    return [content] if isinstance(content, (int, float)) else []


@pytest.fixture
def outcome(folder, command):
    return command("task=folder", f"task.path={folder}", "learner=prototypical", "baselines=[centroid,ridge]")


def test_the_keys_are_those_of_the_docstring_and_all_is_strict_json(outcome):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads((outcome.run_folder / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)

    asked_for = {"valid_accuracy"}  # by metric=valid_accuracy
    assert {*content} == {*documented_keys()} - asked_for
    assert all(math.isfinite(number) for number in numbers(content))
    for name in ("accuracy", "macro_f1", *DISTANCES):
        assert list(content[name]) == ["mean", "ci95", "std", "interval"]
    assert list(content["encoder"]) == ["model", "weights", "fingerprint"]
    assert list(content["meta_training"]) == ["steps", "best_step", "valid_accuracy", "valid_accuracy_before"]
    assert {"encode", "meta_train", "calibrate", "evaluate", "baselines", "total"} < set(content["timings"])
    for scores in content["baselines"].values():
        assert set(scores) == {*SCORES, "difference"}

    assert content["learner"] == "prototypical"
    assert list(content["baselines"]) == ["centroid", "ridge"]
    assert (content["ways"], content["shots"], content["queries"], content["episodes"]) == (2, 2, 3, 20)
    assert content["texts_encoded"] == 72
    assert content["command"].startswith("python -m fewshot.run ")
    assert "+task=folder" in content["command"]
    assert set(content["versions"]) >= {"python", "torch", "fewshot-text"}
    assert content["peak_memory_mb"] > 50
    assert re.fullmatch(r"[0-9a-f]{64}", content["task_sha256"])


def test_the_numbers_are_those_of_the_episodes(outcome):
    accuracies = json.loads((outcome.run_folder / "episode_accuracies.json").read_text(encoding="utf-8"))
    results = outcome.results

    assert list(accuracies) == ["prototypical", "centroid", "ridge"]
    for name, values in accuracies.items():
        mean = sum(values) / 20
        std = math.sqrt(sum((value - mean) ** 2 for value in values) / 19)
        written = results if name == "prototypical" else results["baselines"][name]
        assert written["accuracy"]["mean"] == pytest.approx(mean)
        assert written["accuracy"]["std"] == pytest.approx(std, abs=1e-9)
        assert written["accuracy"]["ci95"] == pytest.approx(2.0930 * std / math.sqrt(20), rel=1e-4, abs=1e-9)
    difference = [a - b for a, b in zip(accuracies["prototypical"], accuracies["ridge"], strict=True)]
    assert results["baselines"]["ridge"]["difference"]["mean"] == pytest.approx(sum(difference) / 20)


def test_one_episode_has_no_interval_and_that_is_null(folder, command):
    outcome = command("task=folder", f"task.path={folder}", "episodes=1")

    assert outcome.status == 0
    assert outcome.results["accuracy"]["ci95"] is None
    assert "Traceback" not in outcome.err


def test_the_settings_are_all_in_the_results():
    """What a sweep optimises, where a run starts and where it is noted stand elsewhere; the results show the rest."""
    elsewhere = {"metric", "resume", "reuse", "mlflow", "adapter", "final_stage", "classes", "protocol"}
    elsewhere |= {"test_texts", "supports", "minutes"}
    assert {field.name for field in fields(RunSettings)} - elsewhere <= set(documented_keys())
