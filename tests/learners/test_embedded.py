"""Embedding each text once changes nothing but the time."""

import pytest
import torch

from fewshot.episodes import sample_realistic_episodes
from fewshot.features import TaskFeatures
from fewshot.learners import LEARNERS
from fewshot.tasks.task import ClassPools
from tests.synthetic import seeded

LABELS = torch.arange(120) % 6
FEATURES = TaskFeatures(torch.randn(120, 8, generator=seeded(0)), torch.randn(6, 8, generator=seeded(1)))


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("features", [FEATURES, FEATURES.without_label_names()], ids=["names", "no names"])
def test_the_head_on_embedded_features_equals_the_learner(name, features):
    learner = LEARNERS[name](8)
    for parameter in learner.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=seeded(2))
    learner.prepare(torch.randn(4, 8, generator=seeded(3)))
    batch = sample_realistic_episodes(ClassPools.from_labels(LABELS, range(6)), 5, 3, 4, 2, seeded(4))
    expected = learner.adapt(features.support(batch))
    embedded = features.embedded(learner, batch)
    ours = learner.on_embedded().adapt(embedded.support(batch))
    torch.testing.assert_close(ours.logits(embedded.query(batch)), expected.logits(features.query(batch)))
    torch.testing.assert_close(ours.metric(embedded.query(batch)), expected.metric(features.query(batch)))
    assert not isinstance(getattr(learner, "projection", None), torch.nn.Identity)
