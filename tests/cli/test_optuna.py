"""`hydra/sweeper=optuna`: what it draws, what it goes by, what it prunes, and that it goes on."""

import json

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fewshot.errors import ConfigError

optuna = pytest.importorskip("optuna", reason="needs the extra sweep")

from optuna.distributions import FloatDistribution, IntDistribution  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from hydra_plugins.fewshot_optuna import distribution  # noqa: E402 - it needs optuna

RATE = "training.learning_rate=tag(log, interval(1e-4, 1e-2))"


@pytest.fixture
def tune(folder, command, tmp_path):
    """Calls of one study."""

    def call(*arguments, trials=3):
        return command(
            *("-m", "hydra/sweeper=optuna", "task=folder", f"task.path={folder}", f"output={tmp_path / 'out'}"),
            *(f"hydra.sweeper.n_trials={trials}", "hydra.sweeper.seed=0", "training.evaluate_every=2", *arguments),
        )

    return call


def study_of(tmp_path):
    storage = f"sqlite:///{tmp_path / 'out' / 'studies.sqlite'}"
    (summary,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=summary.study_name, storage=storage)


def results(tmp_path):
    found = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("results.json")]
    return {next(one for one in each["overrides"] if "learning_rate" in one): each for each in found}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a=interval(1, 5)", FloatDistribution(1.0, 5.0)),
        ("a=int(interval(1, 5))", IntDistribution(1, 5)),
        ("a=range(0.0, 1.0, 0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
        ("a=range(5, 1, -2)", IntDistribution(3, 5, step=2)),
        ("a=tag(log, range(1, 65))", IntDistribution(1, 64, log=True)),
    ],
)
def test_what_is_drawn_is_what_hydra_reads(typed, expected):
    assert distribution(OverridesParser.create().parse_override(typed)) == expected


def test_choices_are_texts_as_they_are_typed():
    override = OverridesParser.create().parse_override("a=choice(1, 'two words', [1,5])")
    assert distribution(override).choices == ("1", r"two\ words", "[1,5]")


@pytest.mark.parametrize("typed", ["a=interval(5, 1)", "a=range(1, 1)", "a=tag(log, interval(0, 1))"])
def test_a_range_without_a_number_gets_a_sentence(typed):
    with pytest.raises(ConfigError, match="Expected a range with a number in it"):
        distribution(OverridesParser.create().parse_override(typed))


@pytest.mark.slow
def test_a_study_goes_by_the_valid_accuracy_and_goes_on(tune, tmp_path):
    first = tune(RATE, "learner=choice(prototypical, centroid)", trials=1)
    assert first.status == 0, first.err
    values = [trial.value for trial in study_of(tmp_path).trials]
    assert sorted(values) == sorted(one["valid_accuracy"] for one in results(tmp_path).values())
    assert "valid %" in first.out

    left = study_of(tmp_path).ask(study_of(tmp_path).trials[0].distributions)  # a call that is killed leaves such a one
    again = tune(RATE, "learner=choice(prototypical, centroid)", trials=3)

    assert again.status == 0, again.err
    trials = study_of(tmp_path).trials
    assert [trial.value for trial in trials[:1]] == values
    assert [trial.state for trial in trials[1:]] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert trials[2].params == left.params, "what was left unfinished is run again"
    for trial in trials[:1] + trials[2:]:
        (rate, learner) = (trial.params["++training.learning_rate"], trial.params["learner"])
        assert results(tmp_path)[f"training.learning_rate={rate}"]["learner"] == learner
    best = (tmp_path / "out").rglob("optimization_results.yaml")
    assert any(f"best_value: {study_of(tmp_path).best_value}" in path.read_text() for path in best)

    done = tune(RATE, "learner=choice(prototypical, centroid)", trials=3)
    assert done.status == 0
    assert len(study_of(tmp_path).trials) == 4


@pytest.mark.slow
def test_a_trial_below_the_median_is_pruned_and_is_a_row(tune, tmp_path, monkeypatch):
    seen = []

    def worse_each_time(learner, features, episodes):
        seen.append(learner)
        return 1 - len(seen) / 1000

    monkeypatch.setattr("fewshot.training.meta_trainer.mean_accuracy", worse_each_time)

    outcome = tune(RATE, "hydra.sweeper.startup_trials=1", trials=3)

    assert outcome.status == 0, outcome.err
    states = [trial.state for trial in study_of(tmp_path).trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED]
    jobs = [json.loads(path.read_text()) for path in sorted((tmp_path / "out").rglob("job.json"))]
    assert [job["status"] for job in jobs] == ["done", "pruned", "pruned"]
    assert "Pruned after step 0" in " ".join(outcome.out[outcome.out.index("No results") :].split())
    assert len(results(tmp_path)) == 1


def test_test_classes_and_baselines_are_no_part_of_a_trial(tune, tmp_path, monkeypatch):
    monkeypatch.setattr("fewshot.experiment.valid_accuracy.mean_accuracy", lambda *of_valid: 0.625)

    outcome = tune(RATE, "learner=prototypical", "baselines=[maml]", "training.steps=4", trials=1)

    assert outcome.status == 0, outcome.err
    (trial,) = study_of(tmp_path).trials
    assert list(trial.intermediate_values) == [1_000_000, 1_000_002, 1_000_004]
    assert trial.value == 0.625
    assert results(tmp_path).popitem()[1]["accuracy"]["mean"] != 0.625


@pytest.mark.slow
def test_a_job_that_fails_is_a_failed_trial(tune, tmp_path):
    outcome = tune("shots=choice(1, 50)", "seed=choice(0, 1)", trials=4)

    assert outcome.status == 2
    for trial in study_of(tmp_path).trials:
        assert trial.state == (TrialState.FAIL if trial.params["shots"] == "50" else TrialState.COMPLETE)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "without a setting to search"),
        ((RATE, "metric=accuracy"), "Got metric=accuracy with hydra/sweeper=optuna, which goes by valid_accuracy"),
        ((RATE, "hydra.sweeper.direction=up"), "cannot be used with these settings"),
        ((RATE, "hydra.sweeper.storage=nonsense"), "cannot be used with these settings"),
    ],
)
def test_mistakes_get_a_sentence(arguments, expected, tune):
    outcome = tune(*arguments)

    assert outcome.status == 2
    assert expected in outcome.err
    assert "Traceback" not in outcome.err


def test_another_search_under_the_same_name_gets_a_sentence(tune):
    assert tune("shots=choice(1, 2)", "hydra.sweeper.study_name=one", trials=1).status == 0

    outcome = tune("shots=choice(1, 2, 3)", "hydra.sweeper.study_name=one", trials=2)

    assert outcome.status == 2
    assert "The study 'one' cannot be used with these settings" in outcome.err


def test_without_valid_classes_there_is_nothing_to_go_by(command, plain_folder):
    outcome = command("task=folder", f"task.path={plain_folder}", "metric=valid_accuracy", "shots=auto", "ways=all")

    assert outcome.status == 2
    assert "which has 0 valid classes" in outcome.err
