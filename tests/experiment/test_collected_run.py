"""An experiment on a collection: trained on all its sources, scored on episodes of each."""

import pytest

from fewshot.errors import ConfigError
from fewshot.experiment.protocol import Protocol
from fewshot.learners import AttentionPrototypical
from fewshot.tasks import collect
from tests.experiment.test_experiment import SETTINGS, TRAINER, ClusterEncoder
from tests.experiments import experiment
from tests.synthetic import small_task

COLLECTION = collect({"small": small_task((8, 4, 5)), "large": small_task((12, 5, 6), name="large")})


def test_it_is_trained_calibrated_and_scored_within_each_source():
    result = experiment(COLLECTION, ClusterEncoder(), AttentionPrototypical, TRAINER, SETTINGS)
    assert result.trained.history.steps > 0
    assert result.evaluation.accuracy.mean > 0.5
    sources = [{COLLECTION.source_of(label) for label in episode} for episode in result.episodes.classes.tolist()]
    assert sources == [{"small"}] * 30 + [{"large"}] * 30


@pytest.mark.parametrize("asked", [{"classes": "all"}, {"protocol": "fixed_test"}])
def test_what_would_mix_the_sources_is_refused(asked):
    with pytest.raises(ConfigError, match="a collection of 2 tasks"):
        experiment(COLLECTION, ClusterEncoder(), AttentionPrototypical, TRAINER, Protocol(ways=3, shots=1, **asked))
