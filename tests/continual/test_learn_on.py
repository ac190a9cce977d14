"""Learning on: what is learnt, what is kept, what is refused; and going on after saving."""

import pytest
import torch

from fewshot.classifier import FewShotClassifier
from fewshot.continual import METHODS, NewTexts, learn_on
from fewshot.continual.learn_on import REPLAYED
from fewshot.errors import ConfigError, TaskError
from fewshot.text_classifier import TextClassifier
from tests.adaptation.conftest import *  # noqa: F403  (its fixtures)
from tests.adaptation.conftest import coloured
from tests.fakes import FakeEncoder

TEXTS, LABELS = coloured(8)
QUERIES = coloured(5, seed=3)[0]
NEW = NewTexts(["purple card tax", "tax purple", "purple pain"], ["purple"] * 3, {"purple": "purple"})
UNTRAINED = [method for method in METHODS if method != "ewc"]


def fitted(stage="prototypes", part=slice(None), **settings):
    return FewShotClassifier(encoder=FakeEncoder(24), stage=stage, **settings).fit(TEXTS[part], LABELS[part])


def of(part):
    return NewTexts(TEXTS[part], LABELS[part], {label: label for label in LABELS})


@pytest.mark.parametrize("method", UNTRAINED)
def test_a_new_label_is_learnt_and_the_old_ones_stay(method):
    before = fitted().model_
    after = learn_on(before, NEW, method)
    assert after.labels == ("blue", "green", "purple", "red")
    assert after.predict(["purple loan"]) == ["purple"]
    right = [sum(a == b for a, b in zip(own.predict(TEXTS), LABELS, strict=True)) for own in (before, after)]
    assert right[1] >= right[0] - 1
    assert before.labels == ("blue", "green", "red")
    assert "out_of_fold" in before.details
    assert "out_of_fold" not in after.details  # the score is of other texts
    assert after.details["n_texts"] == 27 if method == "replay" else after.evidence is None


def test_prototypes_in_any_order_and_any_parts_are_the_same():
    first = fitted(part=slice(0, 9)).model_
    once = learn_on(first, of(slice(9, 24)))
    twice = learn_on(learn_on(first, of(slice(15, 24))), of(slice(9, 15)))
    assert twice.details["stage"] == "prototypes"
    torch.testing.assert_close(once.logits(QUERIES), twice.logits(QUERIES), atol=1e-3, rtol=1e-3)
    assert torch.equal(once.memory.statistics.counts, torch.tensor([9.0, 9.0, 9.0]))  # eight texts and the name


def on_a_real_encoder(encoder):
    return FewShotClassifier(encoder=encoder, stage="prototypes").fit(TEXTS[:12], LABELS[:12]).model_


@pytest.mark.parametrize("method", UNTRAINED)
def test_it_goes_on_after_saving(encoder, tmp_path, method):
    first = learn_on(on_a_real_encoder(encoder), NEW, method)
    first.save_pretrained(tmp_path)
    loaded = TextClassifier.from_pretrained(tmp_path)
    assert loaded.memory.method == method
    more = NewTexts(["grey card", "grey loan"], ["grey", "grey"], {"grey": "grey"})
    own, other = learn_on(loaded, more, method), learn_on(first, more, method)
    assert own.labels == ("blue", "green", "grey", "purple", "red")
    torch.testing.assert_close(own.logits(QUERIES), other.logits(QUERIES), atol=1e-3, rtol=1e-3)


def test_frozen_rows_of_the_old_labels_do_not_change():
    before = fitted().model_
    after = learn_on(before, NEW, "freeze")
    old = [0, 1, 3]
    torch.testing.assert_close(after.classifier.prototypes[0, old], before.classifier.prototypes[0])


def test_replay_keeps_few_texts():
    texts, labels = coloured(REPLAYED + 5)
    classifier = FewShotClassifier(encoder=FakeEncoder(24), stage="prototypes").fit(texts, labels)
    after = learn_on(classifier.model_, NEW, "replay")
    assert after.evidence.support.counts.tolist() == [REPLAYED, REPLAYED, 3, REPLAYED]
    assert set(after.evidence.support.texts) <= {*texts, *NEW.texts}
    assert len(after.evidence.features) == 3 * REPLAYED + 3 + 4


def test_an_encoder_is_trained_and_its_fisher_information_kept(encoder, tmp_path):
    first = learn_on(on_a_real_encoder(encoder), NEW, "ewc")
    assert first.encoder.trained is not None
    assert first.memory.fisher.values.keys() == first.encoder.trained.tensors.keys()
    first.save_pretrained(tmp_path)
    loaded = TextClassifier.from_pretrained(tmp_path)
    name = next(iter(first.memory.fisher.values))
    assert torch.equal(loaded.memory.fisher.values[name], first.memory.fisher.values[name])
    again = learn_on(loaded, NewTexts(["grey card", "grey loan"], ["grey", "grey"]), "ewc")
    assert again.labels == ("blue", "green", "grey", "purple", "red")
    assert float((again.memory.fisher.values[name] - first.memory.fisher.values[name]).min()) >= 0


def test_the_door():
    classifier = fitted()
    classifier.learn_on(NEW.texts, NEW.labels)
    assert classifier.classes_.tolist() == ["blue", "green", "purple", "red"]
    assert classifier.predict(["purple loan"]).tolist() == ["purple"]
    assert classifier.predict_proba(QUERIES).sum(1).tolist() == pytest.approx([1] * len(QUERIES))
    with pytest.raises(ConfigError, match="cannot explain"):
        classifier.explain("purple loan")
    with pytest.raises(ConfigError, match=r"Go on with learn_on\(method='prototypes'\), or fit it anew"):
        classifier.partial_fit(["red red"], ["red"])


def test_a_label_of_the_same_text_is_the_same_label():
    numbered = FewShotClassifier(encoder=FakeEncoder(24), label_names=None)
    numbered.fit(TEXTS, [str(("red", "green", "blue").index(label)) for label in LABELS])
    assert numbered.learn_on(["red red"], [0]).classes_.tolist() == ["0", "1", "2"]


def test_what_it_cannot_go_on_from_is_refused():
    model = fitted().model_
    with pytest.raises(ConfigError, match=r"Got method='magic', expected one of prototypes, ewc, replay, freeze"):
        learn_on(model, NEW, "magic")
    with pytest.raises(ConfigError, match=r"It has learnt on by method='freeze'\. Go on with the same method"):
        learn_on(learn_on(model, NEW, "freeze"), NEW, "prototypes")
    with pytest.raises(ConfigError, match=r"goes on from one row per label|one row per label"):
        learn_on(learn_on(model, NEW), NEW, "freeze")
    with pytest.raises(ConfigError, match="rejects texts"):
        learn_on(fitted(reject=0.05).model_, NEW)
    with pytest.raises(ConfigError, match="several labels"):
        learn_on(FewShotClassifier(encoder=FakeEncoder(24)).fit(TEXTS, [[label] for label in LABELS]).model_, NEW)
    with pytest.raises(TaskError, match="Got 2 texts and 1 labels"):
        NewTexts(["a", "b"], ["x"])
