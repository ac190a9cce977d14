import pytest

from fewshot.augment.changes import with_typos
from fewshot.errors import ConfigError
from fewshot.experiment.episodes import labelled_support
from fewshot.experiment.experiment import run_experiment
from fewshot.experiment.protocol import Protocol
from fewshot.experiment.robustness import robustness, robustness_of
from fewshot.learners import Centroid
from fewshot.recipe import Recipe
from fewshot.tables import Row
from fewshot.tasks.assemble import Cleaned, build_task
from tests.adaptation.conftest import coloured
from tests.fakes import FakeEncoder

TEXTS, LABELS = coloured(9)
ROWS = tuple(Row(text, label, (), "") for text, label in zip(TEXTS, LABELS, strict=True))
TASK = build_task("colours", Cleaned(ROWS, (), ()), split=None, split_id="01")


@pytest.mark.parametrize("final_stage", ["none", pytest.param("head", marks=pytest.mark.slow)])
def test_a_cross_validation_is_scored_on_changed_texts_too(final_stage):
    recipe = Recipe(FakeEncoder(32), Centroid, trainable="none", augmentation=None, final_stage=final_stage)
    result = run_experiment(recipe, TASK, Protocol(ways=None, baselines=()))
    effects = {effect.name: effect for effect in robustness(result, TASK)}
    assert "small letters" not in effects  # they are in small letters as they are
    capitals, typos = effects["capitals"], effects["typos"]
    assert capitals.n_texts == len(TEXTS)
    assert capitals.before.mean == pytest.approx(float(result.evaluation.hits[0].mean()))
    assert capitals.difference.mean == 0  # the encoder does not see them
    assert capitals.difference.interval[0] < 0 < capitals.difference.interval[1]

    hits = []
    for fold in range(5):
        episode = result.episodes[fold]
        classifier = result.model.adapt_to(labelled_support(TASK, episode, result.plan.protocol.label_names))
        held = episode.query.flatten()[episode.query.flatten() >= 0].tolist()
        said = classifier.predict([with_typos(TASK.texts[place]) for place in held])
        hits += [label == TASK.label_names[TASK.labels[place]] for label, place in zip(said, held, strict=True)]
    assert typos.after.mean == pytest.approx(sum(hits) / len(hits))
    assert typos.after.mean < typos.before.mean


def test_another_protocol_is_refused():
    recipe = Recipe(FakeEncoder(32), Centroid, trainable="none", augmentation=None)
    protocol = Protocol(protocol="fixed_test", classes="all", ways=3, shots=3, test_texts=3, baselines=())
    with pytest.raises(ConfigError, match="expected a cross-validation"):
        robustness(run_experiment(recipe, TASK, protocol), TASK)


def test_a_fitted_classifier_is_scored_on_the_texts_that_a_change_alters():
    texts, labels = ["my CARD is lost", "where is my card"], ["loud", "low"]
    effects = robustness_of(lambda some: ["loud" if text != text.lower() else "low" for text in some], texts, labels)
    found = {effect.name: (effect.n_texts, effect.before.mean, effect.after.mean) for effect in effects}
    assert found["capitals"] == (2, 1.0, 0.5)
    assert found["small letters"] == (1, 1.0, 0.0)
