"""One table of many runs."""

import json

import pytest
from rich.console import Console

from fewshot.errors import ConfigError
from fewshot.report.__main__ import main
from fewshot.report.collect import collect, sweep_table

RESULTS = {
    "task": "animals",
    "split": "01",
    "ways": 2,
    "shots": 5,
    "queries": 15,
    "seed": 0,
    "learner": "centroid",
    "encoder": {"model": "fake", "fingerprint": "0"},
    "label_names": True,
    "realistic": False,
    "support_noise": 0.0,
    "accuracy": {"mean": 0.5, "ci95": 0.1, "std": 0.2},
    "macro_f1": {"mean": 0.5, "ci95": 0.1, "std": 0.2},
    "ece": 0.1,
    "episodes_sha256": "e",
    "task_sha256": "t",
}


def write(folder, accuracies, **changes):
    folder.mkdir(parents=True)
    results = RESULTS | changes
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "episode_accuracies.json").write_text(json.dumps({results["learner"]: accuracies}))


def cells(table):
    return list(zip(*[list(column.cells) for column in table.columns], strict=True))


def headers(table):
    return [column.header for column in table.columns]


def test_the_difference_is_paired_and_to_the_first_run_on_the_same_episodes(tmp_path):
    write(tmp_path / "0", [0.5, 0.6, 0.7, 0.8])
    write(tmp_path / "1", [0.6, 0.7, 0.8, 0.9], learner="ridge")
    write(tmp_path / "2", [0.5, 0.5, 0.5, 0.5], learner="ridge", episodes_sha256="other")

    first, second, other = collect(tmp_path)
    table = sweep_table([first, second, other])

    # The runs differ by 0.1 in every episode: an interval from the two means would be wider than the difference.
    column = headers(table).index("difference")
    assert [row[column] for row in cells(table)] == ["", "+10.0 \u00b1 0.0", ""]


def test_runs_are_in_the_order_of_task_ways_shots_and_then_of_jobs(tmp_path):
    write(tmp_path / "10", [0.1], learner="ridge")
    write(tmp_path / "2", [0.1], learner="logistic")
    write(tmp_path / "1", [0.1], shots=10)
    write(tmp_path / "3", [0.1], shots=1)

    assert [run.folder.name for run in collect(tmp_path)] == ["3", "2", "10", "1"]


def test_settings_have_a_column_where_they_differ(tmp_path):
    write(tmp_path / "0", [0.5])
    write(tmp_path / "1", [0.5], seed=1)

    table = sweep_table(collect(tmp_path))

    assert "seed" in headers(table)
    assert "encoder" not in headers(table)


def test_stages_have_a_column_where_they_differ(tmp_path):
    write(tmp_path / "0", [0.5], strategy={"stage": "prototypes", "final_stage": "head"}, overrides=["strategy=auto"])
    write(tmp_path / "1", [0.5], strategy={"stage": "lora", "final_stage": "lora"}, overrides=["strategy=lora"])
    write(tmp_path / "2", [0.5])

    table = sweep_table(collect(tmp_path))

    column = headers(table).index("stage")
    assert [row[column] for row in cells(table)] == ["prototypes + head", "lora", ""]
    assert "further" not in headers(table)


def test_the_folder_of_one_run_will_do(tmp_path, capsys):
    write(tmp_path / "run", [0.5, 0.6])

    assert main([str(tmp_path / "run")]) == 0
    assert "50.0 \u00b1 10.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "results.json").unlink(), "has no results.json at any depth"),
        (lambda folder: (folder / "results.json").write_text("{"), "cannot be read (JSONDecodeError"),
        (
            lambda folder: (folder / "results.json").write_text("[]"),
            "cannot be read (TypeError: the content is no object",
        ),
        (
            lambda folder: (folder / "results.json").write_text('{"learner": "a"}'),
            "cannot be read (KeyError: 'task')",
        ),
        (lambda folder: (folder / "episode_accuracies.json").unlink(), "cannot be read (FileNotFoundError"),
        (lambda folder: (folder / "episode_accuracies.json").write_text("{}"), "cannot be read (KeyError: 'centroid')"),
        (lambda folder: (folder / "episode_accuracies.json").write_text("[1]"), "cannot be read (TypeError"),
    ],
)
def test_a_damaged_folder_gets_a_sentence(damage, words, tmp_path, capsys):
    write(tmp_path / "run", [0.5, 0.6])
    damage(tmp_path / "run")

    assert main([str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_folder_that_is_none_gets_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"'.*nowhere' is no folder\. Give the folder of a run"):
        collect(tmp_path / "nowhere")


def test_the_table_fits_a_file(tmp_path, capsys):
    write(tmp_path / "0", [0.5])
    write(tmp_path / "1", [0.5], seed=1, support_noise=0.4, label_names=False, queries=5, realistic=True)

    main([str(tmp_path)])

    assert Console().width < 140
    assert "\u2026" not in capsys.readouterr().out, "no cell is cut"


@pytest.mark.parametrize(
    "changes",
    [
        {"overrides": [True]},
        {"overrides": "x"},
        {"strategy": {"stage": {}}},
        {"strategy": [1]},
        {"macro_f1": []},
        {"shots": True},
        {"label_names": 1},
        {"accuracy": {"mean": 10**400, "ci95": 0.1}},
        {"accuracy": {"mean": 0.5, "ci95": "x"}},
        {"ways": "many"},
        {"shots": 10**400},
        {"ece": float("nan")},
    ],
)
def test_results_of_a_strange_shape_get_a_sentence(tmp_path, capsys, changes):
    write(tmp_path / "run", [0.5], **changes)
    assert main([str(tmp_path)]) == 2
    assert "cannot be read (" in capsys.readouterr().err


@pytest.mark.parametrize("changes", [{"overrides": None}, {"accuracy": {"mean": 0.5}}])
def test_what_may_be_absent_is_left_out(tmp_path, capsys, changes):
    write(tmp_path / "run", [0.5], **changes)
    assert main([str(tmp_path)]) == 0
    assert "50.0" in capsys.readouterr().out
