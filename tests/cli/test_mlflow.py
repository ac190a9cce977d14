"""`mlflow=true` writes an entry of the run to an SQLite file; nothing else does."""

import json
import sys

import pytest


@pytest.fixture
def entries(folder, command, tmp_path, monkeypatch):
    """Runs a tiny experiment, and gives its outcome and the entries that MLflow then has."""
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def call(*arguments):
        outcome = command("task=folder", f"task.path={folder}", f"output={tmp_path / 'out'}", *arguments)
        path = tmp_path / "out" / "mlflow.sqlite"
        if not path.exists():
            return outcome, None, []
        client = mlflow.MlflowClient(f"sqlite:///{path}")
        experiment = client.get_experiment_by_name("animals")
        return outcome, client, client.search_runs([experiment.experiment_id])

    return call


@pytest.mark.slow
def test_a_run_is_an_entry_with_its_settings_scores_and_curves(entries, tmp_path):
    outcome, client, (run,) = entries("mlflow=true", "training.evaluate_every=5", "seed=3")

    assert outcome.status == 0, outcome.err
    (path,) = (tmp_path / "out").rglob("results.json")
    results = json.loads(path.read_text())
    assert run.info.status == "FINISHED"
    assert run.data.params["training.evaluate_every"] == "5"
    assert (run.data.params["seed"], run.data.params["learner"]) == ("3", "prototypical")
    assert run.data.metrics["accuracy"] == results["accuracy"]["mean"]
    assert run.data.metrics["centroid/accuracy"] == results["baselines"]["centroid"]["accuracy"]["mean"]
    curve = {one.step: one.value for one in client.get_metric_history(run.info.run_id, "learner/valid_accuracy")}
    assert sorted(curve) == [0, 5, 10]
    assert curve[results["meta_training"]["best_step"]] == results["meta_training"]["valid_accuracy"]
    assert len(client.get_metric_history(run.info.run_id, "learner/loss")) == 10
    assert run.data.tags["folder"] == str(path.parent)


def test_nothing_is_written_unless_it_is_asked_for(entries, tmp_path):
    outcome, client, _ = entries()

    assert (outcome.status, client) == (0, None)
    assert "mlflow" not in " ".join(str(path) for path in (tmp_path / "out").rglob("*"))


def test_a_file_that_is_none_of_mlflow_costs_the_entry_alone(entries, tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("no database, and long enough to be seen as none" * 40)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'notes.txt'}")

    outcome, *_ = entries("mlflow=true")

    assert outcome.status == 0
    assert "MLflow has no entry of this run: " in outcome.out
    assert list((tmp_path / "out").rglob("results.json"))


def test_without_mlflow_its_extra_is_named_before_anything_is_trained(command, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)

    outcome = command("task=folder", f"task.path={folder}", "mlflow=true")

    assert outcome.status == 2
    assert "mlflow=true needs mlflow, which is not installed" in outcome.err
    assert "pip install 'fewshot-text[mlflow]'" in outcome.err
    assert outcome.results_files == []
