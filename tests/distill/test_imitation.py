"""What reaches the loss of a student: for each text the targets of its own."""

import numpy as np
import pytest
import torch
from torch import nn

from fewshot.distill import Imitation, ImitationSettings, Lessons
from fewshot.errors import TaskError
from fewshot.learners import Centroid
from fewshot.meta_model import MetaModel
from tests.fakes import FakeEncoder

TEXTS = [f"{one} {other}" for one in ("lost", "card", "stolen", "new") for other in "abcdefgh"]


class Free(nn.Module):
    """Any features for each text."""

    def __init__(self, n_texts, dim):
        super().__init__()
        self.rows = nn.Parameter(torch.randn(n_texts, dim, generator=torch.Generator().manual_seed(1)))

    def forward(self, places):
        return self.rows[places]


@pytest.fixture
def lessons():
    encoder = FakeEncoder()
    model = MetaModel(encoder, Centroid(16)).adapt(TEXTS[::8], ["lost", "card", "stolen", "new"])
    return Lessons.of(encoder, [*TEXTS, *TEXTS[:5]], model.classifier, 0.5, held_out=0.25)


def test_each_text_has_the_targets_of_its_own(lessons):
    encoder = FakeEncoder()
    assert sorted(lessons.texts) == sorted(TEXTS)
    assert list(lessons.texts) != TEXTS
    torch.testing.assert_close(lessons.features, nn.functional.normalize(encoder.encode(lessons.texts), dim=-1))
    assert len(lessons.features.unique(dim=0)) == len(lessons.log_probabilities.unique(dim=0)) == 32
    scaled = lessons.classifier.logits(lessons.features[None])[0] / 0.5
    torch.testing.assert_close(lessons.log_probabilities.exp(), scaled.softmax(-1))


def test_the_loss_of_a_batch_by_numpy(lessons):
    embed, batch = Free(32, 16), torch.tensor([3, 0, 7])
    objective = Imitation(embed, lessons, ImitationSettings(similarity_weight=2.0, probability_weight=3.0))
    losses = objective(batch)
    own = embed.rows.detach().numpy()[batch]
    own, teacher = own / np.linalg.norm(own, axis=1, keepdims=True), lessons.features.numpy()[batch]
    of_features = np.mean(1 - (own * teacher).sum(1)) + 2 * np.mean((own @ own.T - teacher @ teacher.T) ** 2)
    probabilities = lessons.log_probabilities.exp().numpy()[batch]
    found = lessons.scores(torch.from_numpy(own)).numpy()
    of_classes = np.mean((probabilities * (np.log(probabilities) - found)).sum(1))
    assert losses["features"].item() == pytest.approx(of_features, rel=1e-5)
    assert losses["classes"].item() == pytest.approx(of_classes, rel=1e-5)
    assert losses["loss"].item() == pytest.approx(of_features + 3 * of_classes, rel=1e-5)
    losses["loss"].backward()
    moved = embed.rows.grad.abs().sum(1).nonzero().flatten().tolist()
    assert moved == [0, 3, 7]


def test_a_student_that_gives_the_teachers_features_agrees_with_it(lessons):
    embed = Free(32, 16)
    objective = Imitation(embed, lessons, ImitationSettings())
    assert objective.agreement() < 0.8
    embed.rows.data = 3 * lessons.features
    assert objective.agreement() == pytest.approx(1, abs=1e-5)
    assert objective(torch.arange(24))["loss"].item() == pytest.approx(0, abs=1e-5)


def test_held_out_texts_are_never_drawn(lessons):
    settings = ImitationSettings(batch=24)
    drawn = torch.cat([settings.draw(lessons, torch.Generator().manual_seed(seed)) for seed in range(20)])
    assert drawn.unique().tolist() == list(range(24))
    assert lessons.held.tolist() == list(range(24, 32))


def test_too_few_texts_are_refused():
    with pytest.raises(TaskError, match="Got 3 distinct texts to learn from, expected 20 or more"):
        Lessons.of(FakeEncoder(), ["a", "b", "c", "a"])
