"""Classifiers that give a text several labels or none."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from fewshot.adaptation.multi_label import MultiLabelTuner, f1_scores, platt
from fewshot.episodes.multi_labelled import MultiLabelledTexts
from fewshot.errors import ConfigError
from fewshot.learners import Centroid
from fewshot.text_classifier import TextClassifier
from tests.adaptation.conftest import coloured
from tests.fakes import FakeEncoder

WORDS = {"late": ["late", "delay", "waiting"], "broken": ["broken", "cracked", "dented"], "lost": ["lost", "gone"]}
NOISE = ["parcel", "order", "box", "item", "please", "today", "number", "thing"]


def mails(n: int, seed: int = 0) -> tuple[list[str], list[tuple[str, ...]]]:
    """Texts of words of their labels among noise; one in four has no label, one in four two."""
    random = np.random.default_rng(seed)
    texts, sets = [], []
    for number in range(n):
        own = sorted(random.choice(list(WORDS), size=(0, 1, 1, 2)[number % 4], replace=False).tolist())
        words = [*random.choice(NOISE, size=3), *(random.choice(WORDS[label]) for label in own)]
        texts.append(" ".join(random.permutation(words)))
        sets.append(tuple(own))
    return texts, sets


def fitted(n=60, **settings) -> TextClassifier:
    texts, sets = mails(n)
    support = MultiLabelledTexts.of(texts, sets, {label: label for label in WORDS})
    return MultiLabelTuner(**settings).fit(FakeEncoder(dim=48), support, Centroid(48))


@pytest.fixture(scope="module")
def classifier():
    return fitted()


def test_it_finds_several_labels_and_none(classifier):
    texts, sets = mails(200, seed=1)
    found = classifier.predict(texts)
    assert np.mean([one == right for one, right in zip(found, sets, strict=True)]) > 0.85
    assert () in found
    assert ("broken", "late") in found


def test_probabilities_are_of_each_label_for_itself_and_calibrated(classifier):
    texts, sets = mails(200, seed=2)
    probabilities = classifier.predict_proba(texts)
    truth = torch.tensor([[label in own for label in classifier.labels] for own in sets]).float()
    assert not torch.allclose(probabilities.sum(1), torch.ones(200), atol=0.1)
    assert abs(float(probabilities.mean() - truth.mean())) < 0.06
    torch.testing.assert_close(probabilities, (classifier.logits(texts) / classifier.temperature).sigmoid())


def test_a_text_has_the_labels_that_reach_their_thresholds(classifier):
    texts, _ = mails(20, seed=3)
    probabilities = classifier.predict_proba(texts)
    raised = TextClassifier(**vars(classifier) | {"thresholds": torch.tensor([0.0, 1.1, float(probabilities[0, 2])])})
    found = raised.predict(texts)
    assert all("broken" in own and "late" not in own for own in found)
    assert [("lost" in own) for own in found] == (probabilities[:, 2] >= probabilities[0, 2]).tolist()


def test_predictions_tell_the_least_sure_label_and_the_next_one(classifier):
    texts = ["broken late order", "parcel order box today"]
    probabilities = classifier.predict_proba(texts)
    two, none = classifier.predictions(texts)
    assert two.label == ("broken", "late")
    assert two.probability == pytest.approx(float(probabilities[0, :2].min()))
    assert (two.runner_up, two.runner_up_probability) == ("lost", pytest.approx(float(probabilities[0, 2])))
    assert none.label == ()
    assert none.probability == pytest.approx(1 - float(probabilities[1].max()))


def test_thresholds_of_few_texts_are_drawn_to_the_common_one():
    random = torch.Generator().manual_seed(0)
    targets = torch.rand(400, 2, generator=random) < torch.tensor([0.5, 0.02])
    logits = 2 * targets.float() + torch.randn(400, 2, generator=random) + torch.tensor([3.0, 3.0])
    own, _ = MultiLabelTuner(shrinkage=0.0).thresholds(logits, targets)
    drawn, common = MultiLabelTuner(shrinkage=40.0).thresholds(logits, targets)
    assert (drawn[1] - common).abs() < 0.5 * (own[1] - common).abs()
    assert (drawn[0] - own[0]).abs() < (drawn[0] - common).abs()
    best = max(np.linspace(0.02, 0.999, 400), key=lambda t: f1_score(targets[:, 0], logits[:, 0].sigmoid() > t))
    assert f1_score(targets[:, 0], logits[:, 0].sigmoid() >= own[0]) >= f1_score(
        targets[:, 0], logits[:, 0].sigmoid() > best
    )


def test_without_texts_held_out_thresholds_are_a_half():
    thresholds, common = MultiLabelTuner().thresholds(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.bool))
    assert thresholds.tolist() == [0.5] * 3
    assert common == 0.5


def test_label_names_alone_are_enough():
    support = MultiLabelledTexts.of([], [], {label: label for label in WORDS})
    classifier = MultiLabelTuner().fit(FakeEncoder(dim=48), support, Centroid(48))
    assert classifier.predict(["late", "broken"]) == [("late",), ("broken",)]


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_handful_of_texts_is_no_obstacle(n):
    classifier = fitted(n)
    assert torch.isfinite(classifier.predict_proba(["late order"])).all()
    assert math.isfinite(classifier.temperature)
    assert classifier.temperature > 0


def test_platt_finds_the_temperature_and_the_shift_that_made_the_labels():
    random = torch.Generator().manual_seed(1)
    logits = 4 * torch.randn(4000, 2, generator=random)
    targets = torch.rand(4000, 2, generator=random) < ((logits + 1.5) / 2.5).sigmoid()
    temperature, shift = platt(logits, targets)
    assert temperature == pytest.approx(2.5, rel=0.1)
    assert shift == pytest.approx(1.5, abs=0.25)


def test_f1_is_that_of_scikit_learn():
    random = torch.Generator().manual_seed(2)
    chosen, targets = torch.rand(50, 4, generator=random) < 0.3, torch.rand(50, 4, generator=random) < 0.4
    chosen[:, 3] = targets[:, 3] = False
    expected = [f1_score(targets, chosen, average=kind, zero_division=0) for kind in ("micro", "macro")]
    assert f1_scores(chosen, targets) == pytest.approx(expected)


def test_it_is_saved_with_thresholds_evidence_and_its_way_with_long_texts(encoder, tmp_path):
    texts, labels = coloured(6)
    sets = [(label,) for label in labels] + [("blue", "red")] * 6
    texts = texts + [f"{texts[i]} {texts[i + 2]}" for i in range(0, 18, 3)]
    support = MultiLabelledTexts.of(texts, sets, {label: label for label in labels})
    own = MultiLabelTuner().fit(encoder.reading("chunk_max"), support, Centroid(32))
    own.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors", ".md"}
    new = [*texts[:4], "heart " * 300 + "red"]
    for loaded in (TextClassifier.from_pretrained(tmp_path), TextClassifier.from_pretrained(tmp_path, encoder)):
        assert loaded.long_texts == "chunk_max"
        assert torch.equal(loaded.logits(new), own.logits(new))
        assert torch.equal(loaded.thresholds, own.thresholds)
        assert loaded.predict(new) == own.predict(new)
        assert loaded.evidence.support.label_sets() == support.label_sets()
        assert str(loaded.explain(new[-1])) == str(own.explain(new[-1]))


def test_an_explanation_adds_up_to_the_score(classifier):
    text = "late broken order"
    found = classifier.explain(text, "late")
    logit = float(classifier.logits([text])[0, classifier.labels.index("late")])
    assert found.logit == pytest.approx(logit)
    assert sum(one.weight for one in found.contributions) + found.rest == pytest.approx(logit, abs=1e-4)
    bias = float(classifier.classifier.bias[0, classifier.labels.index("late")])
    assert found.rest == pytest.approx(bias, abs=0.05)
    assert "late" in found.contributions[0].label
    assert "late" in found._repr_html_()


def test_sets_of_labels_are_refused_with_a_sentence(classifier):
    with pytest.raises(ConfigError, match=r"gives a text several labels.*Use predict_proba"):
        classifier.predict_set(["late"])


def test_a_refit_on_the_same_texts_is_the_same_classifier(classifier):
    texts, _ = mails(20, seed=5)
    again = MultiLabelTuner().refit(classifier, classifier.evidence.support)
    torch.testing.assert_close(again.logits(texts), classifier.logits(texts))
    assert torch.equal(again.thresholds, classifier.thresholds)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"multi_label\.l2=\[\].*multi_label\.folds=1|folds=1.*l2=\[\]"):
        MultiLabelTuner(l2=[], folds=1)
