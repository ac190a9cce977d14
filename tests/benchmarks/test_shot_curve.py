"""The tables of the shot curve, from points as they are kept."""

import json

import pytest

from benchmarks.record import RESULTS
from benchmarks.shot_curve import applies, table, tuned
from benchmarks.shot_curve_picture import STYLES, draw, series

POINT = {"task": "banking77", "ways": 3, "queries": 4, "seconds": 1.0}


def point(shots, stage, accuracies, before=None, **details):
    own = {"shots": shots, "stage": stage, "accuracies": accuracies, "before": before}
    return {**POINT, "final_stage": None, "kept": [], **own, **details}


POINTS = [
    point(51, "prototypes", [0.7, 0.8]),
    point(51, "attention + head", [0.8, 0.9], [0.7, 0.8], final_stage="head", kept=["head", "head"]),
    point(
        51,
        "LoRA",
        [0.9, 0.85],
        [0.7, 0.8],
        final_stage="lora",
        kept=["lora", "head"],
        trained={"trained": 200, "total": 10_000},
        tuning_seconds=[30.0, 50.0],
    ),
    point(51, "auto", [0.9, 0.85], [0.7, 0.8], final_stage="lora", kept=["lora", "head"]),
    point(100, "auto", [0.9]),
]


def test_auto_stands_beside_the_best_of_the_stages():
    at_51, at_100 = table(POINTS)

    assert at_51["shots"] == 51
    assert at_51["prototypes"].startswith("75.0 ")
    assert at_51["auto - best"].startswith("+0.0 ")  # to LoRA, whose mean is the head's best by 2.5 points
    assert at_100["LoRA"] == at_100["auto - best"] == ""


def test_what_was_tuned_is_set_beside_learner_and_head_on_each_support():
    (row,) = tuned(POINTS)

    assert row["stage"] == "LoRA"
    assert row["kept on"] == "1 of 2"
    assert (row["trained"], row["share %"], row["s a support"]) == ("200", "2.0", "40")
    assert (row["against learner, lowest"], row["against head, lowest"]) == ("+5.0", "-5.0")
    assert row["against head"].startswith("+2.5 ")


def test_stages_begin_where_there_are_texts_enough_for_them():
    assert [stage for stage in ("label names", "prototypes", "LoRA", "full") if applies(stage, 10)] == [
        "label names",
        "prototypes",
        "LoRA",
    ]


def test_a_series_is_accuracy_or_the_difference_on_the_same_supports():
    assert series(POINTS, "LoRA")[0][:2] == (51, pytest.approx(87.5))
    ((shots, mean, half),) = series(POINTS, "LoRA", "attention + head")
    assert (shots, mean) == (51, pytest.approx(2.5))
    assert half == pytest.approx(12.706 * 7.5, abs=0.01)  # of +10 and -5 points: t times the standard error
    assert series(POINTS, "auto", "LoRA")[-1][0] == 51  # at 100 there is nothing to compare it with


def test_the_picture_has_50_and_51_side_by_side_the_zero_and_lines_of_their_own(tmp_path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(pyplot, "close", lambda figure: None)
    points = json.loads((RESULTS / "shot_curve.json").read_text(encoding="utf-8"))["points"]

    draw(points, tmp_path / "shot_curve.png")

    figure = pyplot.gcf()
    top, zero, below = figure.axes
    place = {shots: below.transData.transform((shots, 0))[0] for shots in (0, 1, 20, 50, 51, 100)}
    assert place[51] - place[50] < (place[50] - place[20]) / 20
    assert place[1] > place[0] + 50
    assert zero.get_ylim()[0] == 0 < top.get_ylim()[0]
    assert [label.get_text() for label in below.get_xticklabels()][-3:] == ["50, 51", "", "100"]
    (caption,) = [text.get_text() for text in figure.texts]
    assert "95 % interval" in caption
    for name in ("color", "marker", "linestyle"):
        assert len({str(style[name]) for style in STYLES.values()}) == len(STYLES)
    pyplot.clf()
    assert (tmp_path / "shot_curve.png").stat().st_size < 200_000
