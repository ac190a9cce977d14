"""The main job, through the command line: what it returns, prints and leaves in its folder."""

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import fewshot.cli.job
from fewshot.features import TaskFeatures
from fewshot.learners import load_learner
from tests.cli.test_main import in_a_new_process
from tests.conftest import CONF as TEST_CONF
from tests.conftest import rows, write_jsonl

SAME_FOR_A_SEED = ("accuracy", "macro_f1", "ece", "ece_uncalibrated", "temperature", "baselines", "meta_training")


@pytest.fixture
def returned(monkeypatch):
    """What `run` returned, one entry per job."""
    values = []
    run = fewshot.cli.job.run

    def spy(config):
        values.append(run(config))
        return values[-1]

    monkeypatch.setattr(fewshot.cli.job, "run", spy)
    return values


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "ece"])
def test_run_returns_the_metric(metric, folder, command, returned):
    outcome = command("task=folder", f"task.path={folder}", f"metric={metric}")

    assert outcome.status == 0
    value = outcome.results[metric]
    assert returned == [value["mean"] if metric != "ece" else value]


def test_the_run_folder_holds_everything_and_no_pickle(folder, command):
    outcome = command("task=folder", f"task.path={folder}", "shots=3")

    files = {
        path.relative_to(outcome.run_folder).as_posix() for path in outcome.run_folder.rglob("*") if path.is_file()
    }
    assert files == {
        ".hydra/config.yaml",
        ".hydra/hydra.yaml",
        ".hydra/overrides.yaml",
        "episode_accuracies.json",
        "learner/learner.json",
        "meta_model.json",
        "learner/learner.safetensors",
        "report.html",
        "results.json",
        "run.log",
    }
    assert OmegaConf.load(outcome.run_folder / ".hydra" / "config.yaml").shots == 3
    assert "Evaluating on 20 episodes" in (outcome.run_folder / "run.log").read_text(encoding="utf-8")


def test_the_table_shows_learner_and_baselines_with_their_intervals(folder, command):
    outcome = command("task=folder", f"task.path={folder}")

    results = outcome.results
    lines = {line.split("\u2502")[1].strip(): line for line in outcome.out.splitlines() if line.startswith("\u2502")}
    for name, scores in {"prototypical": results, **results["baselines"]}.items():
        mean, half = 100 * scores["accuracy"]["mean"], 100 * scores["accuracy"]["ci95"]
        assert f"{mean:.1f} \u00b1 {half:.1f}" in lines[name]
    assert "animals, 2-way 2-shot, with label names" in outcome.out


@pytest.mark.parametrize("learner", ["centroid", "prototypical", "attention_prototypical", "ridge", "logistic"])
def test_a_saved_learner_gives_identical_logits(learner, folder, command, monkeypatch):
    kept = {}
    from fewshot.experiment import experiment

    run_experiment = experiment.run_experiment

    def keep(*args, **kwargs):
        kept["result"] = run_experiment(*args, **kwargs)
        return kept["result"]

    monkeypatch.setattr(experiment, "run_experiment", keep)
    outcome = command("task=folder", f"task.path={folder}", f"learner={learner}", "baselines=[]")

    loaded = load_learner(outcome.run_folder / "learner")
    generator = torch.Generator().manual_seed(0)
    features = TaskFeatures(torch.randn(64, 16, generator=generator), torch.randn(8, 16, generator=generator))
    episodes = kept["result"].episodes
    before, after = (
        model.adapt(features.support(episodes)).logits(features.query(episodes)) / model.temperature
        for model in (kept["result"].model.learner, loaded)
    )
    assert torch.equal(before, after)
    assert loaded.trained_on == outcome.results["encoder"]["fingerprint"]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_other_ones(folder, command):
    # Only every third text tells its class, so that there is something to learn.
    vague = [
        row if i % 3 == 0 else row | {"text": f"text {i} says {i % 7} and {i % 5}"} for i, row in enumerate(rows())
    ]
    write_jsonl(folder, vague)
    first, second, other = (
        command("task=folder", f"task.path={folder}", "learner=attention_prototypical", f"seed={seed}").results
        for seed in (3, 3, 4)
    )

    for key in (*SAME_FOR_A_SEED, "episodes_sha256", "task_sha256", "intra_class_distance", "inter_class_distance"):
        assert first[key] == second[key], key
    assert other["episodes_sha256"] == first["episodes_sha256"], "a seed changes training, not what is measured on"
    assert other["meta_training"] != first["meta_training"] or other["temperature"] != first["temperature"]


@pytest.mark.slow
def test_another_process_in_another_folder_with_another_hash_seed_gives_the_same_numbers(folder, command, tmp_path):
    here = command("task=folder", f"task.path={folder}")
    there = tmp_path / "there"
    there.mkdir()
    arguments = ["task=folder", f"task.path={folder}", "--config-dir", str(TEST_CONF), "encoder=fake"]
    arguments += ["learner=prototypical", "training.steps=10", "ways=2", "shots=2", "queries=3", "episodes=20"]

    done = in_a_new_process([*arguments, "baselines=[centroid]"], {"PYTHONHASHSEED": "12345"}, cwd=there)

    assert (done.returncode, done.stderr) == (0, "")
    (path,) = there.glob("outputs/folder/*/results.json")
    assert f"results in {path.parent.relative_to(there)}" in done.stdout
    assert [entry.name for entry in there.iterdir()] == ["outputs"]
    results = json.loads(path.read_text(encoding="utf-8"))
    for key in ("task_sha256", "episodes_sha256", *SAME_FOR_A_SEED):
        assert results[key] == here.results[key], key


def test_texts_are_encoded_once(folder, command, tmp_path):
    cache = f"encoder.cache={tmp_path / 'cache'}"

    first = command("task=folder", f"task.path={folder}", cache)
    second = command("task=folder", f"task.path={folder}", cache)

    assert first.results["texts_encoded"] == 64 + 8
    assert second.results["texts_encoded"] == 0
    assert first.results["accuracy"] == second.results["accuracy"]


def test_test_episodes_are_kept_beside_the_outputs_and_used_again(folder, command):
    outcome = command("task=folder", f"task.path={folder}")
    (kept,) = outcome.output.glob("episodes/animals-01-*/test-2way-2shot-3query-20.safetensors")
    before, episodes = kept.read_bytes(), outcome.results["episodes_sha256"]

    again = command("task=folder", f"task.path={folder}", f"output={outcome.output}", "hydra.run.dir=${output}/again")

    assert again.status == 0
    assert kept.read_bytes() == before
    results = json.loads((outcome.output / "again" / "results.json").read_text(encoding="utf-8"))
    assert results["episodes_sha256"] == episodes


def test_a_path_that_is_a_number_is_a_path(command, tmp_path, monkeypatch):
    write_jsonl(tmp_path / "2024", rows())
    monkeypatch.chdir(tmp_path)

    outcome = command("task=folder", "task.path=2024", "task.name=7", "episodes=3")

    assert outcome.status == 0
    assert outcome.results["task"] == "7"


def test_a_single_file_is_a_task_and_nothing_is_written_beside_it(command, tmp_path):
    (tmp_path / "data").mkdir()
    lines = ["message;category", *(f"{row['text']};{row['label']}" for row in rows())]
    (tmp_path / "data" / "mails.csv").write_text("\n".join(lines))

    outcome = command("task=folder", f"task.path={tmp_path / 'data' / 'mails.csv'}", "classes=test")

    assert outcome.status == 0
    assert outcome.results["task"] == "mails"
    assert "Its columns are separated by ';'." in outcome.results["notes"]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mails.csv"]


def test_the_bundled_encoder_runs_the_job_end_to_end(folder, command, tmp_path):
    outcome = command("task=folder", f"task.path={folder}", "encoder=minilm", f"encoder.cache={tmp_path / 'cache'}")

    assert outcome.status == 0
    assert outcome.results["encoder"]["model"] == "bundled/all-MiniLM-L6-v2"
    assert outcome.results["accuracy"]["mean"] > 0.8, "the label names are in the texts"
    assert list(Path(tmp_path / "cache").rglob("*.safetensors"))


def test_a_run_goes_on_from_its_checkpoints_when_asked(folder, command, tmp_path):
    arguments = ["task=folder", f"task.path={folder}", f"output={tmp_path / 'output'}", "baselines=[]"]
    arguments += ["training.checkpoint_seconds=0", "training.evaluate_every=5", "training.patience=5", "reuse=false"]
    first = command(*arguments, "hydra.run.dir=${output}/first")
    again = command(*arguments, "hydra.run.dir=${output}/again", "resume=true")
    other = command(*arguments, "hydra.run.dir=${output}/other", "resume=true", "training.learning_rate=0.1")

    assert [outcome.status for outcome in (first, again, other)] == [0, 0, 0]
    assert "Going on after step 10" in again.out
    assert "training starts from the beginning" in other.out
    [home, _] = sorted((tmp_path / "output" / "checkpoints").iterdir(), key=lambda path: path.stat().st_mtime)
    assert home.name.startswith("animals-Prototypical-")
    results = [
        json.loads((tmp_path / "output" / name / "results.json").read_text(encoding="utf-8"))
        for name in ("first", "again")
    ]
    for key in SAME_FOR_A_SEED:
        assert results[0][key] == results[1][key], key


def test_a_short_training_writes_no_checkpoints(folder, command):
    outcome = command("task=folder", f"task.path={folder}")

    assert not (outcome.output / "checkpoints").exists()
