"""The page that compares runs."""

import pytest

from fewshot.page.comparison import comparison_of
from fewshot.page.render import render
from fewshot.report.collect import collect
from tests.report.test_collect import RESULTS, write


def compared(folder):
    return comparison_of(collect(folder), folder / "comparison.html")


def test_each_run_is_compared_with_each_on_the_same_episodes(tmp_path):
    write(tmp_path / "0", [0.5, 0.6, 0.7, 0.8])
    write(tmp_path / "1", [0.6, 0.7, 0.8, 0.9], learner="ridge")
    write(tmp_path / "2", [0.5, 0.5, 0.5, 0.5], learner="maml", episodes_sha256="other")
    found = compared(tmp_path)
    same, other = found.groups
    assert same.differences.rows == (("1: centroid", "", "-10.0 ± 0.0"), ("2: ridge", "+10.0 ± 0.0", ""))
    assert other.differences is None
    assert found.title == "3 runs of animals"
    assert len(found.table.rows) == 3
    assert found.curves == ()


def test_runs_that_differ_in_shots_alone_are_points_of_a_line(tmp_path):
    for number, (learner, shots, mean) in enumerate(
        [("centroid", 1, 0.5), ("centroid", 50, 0.7), ("centroid", 51, 0.8), ("ridge", 1, 0.4), ("maml", 5, 0.9)]
    ):
        accuracy = RESULTS["accuracy"] | {"mean": mean, "interval": [mean - 0.1, mean + 0.1]}
        changes = {"learner": learner, "shots": shots, "accuracy": accuracy, "episodes_sha256": str(shots)}
        write(tmp_path / str(number), [0.5, 0.6], **changes)
    (curve,) = compared(tmp_path).curves
    assert list(curve.lines) == ["centroid"]  # a single point is no line
    assert [point[:2] for point in curve.lines["centroid"]] == [(1, 0.5), (50, 0.7), (51, 0.8)]
    assert curve.lines["centroid"][0][2:] == pytest.approx((0.4, 0.6))
    assert curve.log


def test_a_run_leads_to_its_page_if_it_has_one(tmp_path):
    folder = tmp_path / "runs" / "javascript:alert(1)"
    write(folder, [0.5, 0.6], command="python -m fewshot.run +task=animals", learner="<b>")
    (folder / "report.html").write_text("")
    write(tmp_path / "runs" / "without", [0.5, 0.6])
    found = compared(tmp_path)
    assert [one.page for one in found.runs] == ["./runs/javascript%3Aalert%281%29/report.html", ""]
    html = render(found)
    assert "&lt;b&gt;</a>" in html
    assert html.count("python -m fewshot.run +task=animals") == 1


def test_names_say_what_differs(tmp_path):
    write(tmp_path / "0", [0.5, 0.6], seed=1)
    write(tmp_path / "1", [0.5, 0.6], seed=2, overrides=["+task=animals", "learner.scale=3"])
    assert [one.name for one in compared(tmp_path).runs] == ["centroid, seed 1", "centroid, seed 2, learner.scale=3"]
