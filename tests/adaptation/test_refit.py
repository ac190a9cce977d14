import pytest
import torch

from fewshot.classifier import FewShotClassifier
from fewshot.errors import ConfigError
from tests.adaptation.conftest import coloured
from tests.fakes import FakeEncoder

TEXTS, LABELS = coloured(8)
QUERIES = coloured(5, seed=3)[0]


def fitted(stage="prototypes", part=slice(None), **settings):
    return FewShotClassifier(encoder=FakeEncoder(24), stage=stage, **settings).fit(TEXTS[part], LABELS[part])


@pytest.mark.parametrize("names", ["auto", None])
def test_more_texts_in_any_order_are_a_fit_on_all(names):
    grown = fitted(part=slice(0, 9), label_names=names)
    grown.partial_fit(TEXTS[15:], LABELS[15:]).partial_fit(TEXTS[9:15], LABELS[9:15])
    whole = fitted(label_names=names)
    assert torch.allclose(grown.model_.logits(QUERIES), whole.model_.logits(QUERIES), atol=1e-5)


def test_a_tuned_head_goes_on_with_its_penalty():
    grown = fitted("head", slice(0, 18))
    before = grown.model_.details
    grown.partial_fit(TEXTS[18:], LABELS[18:])
    assert grown.model_.details["l2_to_prototypes"] == before["l2_to_prototypes"]
    assert grown.model_.details["n_texts"] == len(TEXTS)
    assert "out_of_fold" in before
    assert "out_of_fold" not in grown.model_.details  # the score is of fewer texts


def test_a_new_label_is_learnt_and_a_known_one_forgotten():
    grown = fitted().partial_fit(["purple card tax", "tax purple"], ["purple", "purple"])
    assert grown.classes_.tolist() == ["blue", "green", "purple", "red"]
    assert grown.predict(["purple loan"]).tolist() == ["purple"]
    back = grown.forget("purple")
    assert torch.allclose(back.model_.logits(QUERIES), fitted().model_.logits(QUERIES), atol=1e-5)
    with pytest.raises(ConfigError, match="Got the label 'purple', expected one of"):
        back.forget("purple")


def test_a_label_of_the_same_text_is_the_same_label():
    numbers = [("red", "green", "blue").index(label) for label in LABELS]
    own = FewShotClassifier(encoder=FakeEncoder(24), label_names=None)
    assert own.fit(TEXTS, list(map(str, numbers))).partial_fit(["red red"], [0]).classes_.tolist() == ["0", "1", "2"]
    assert own.fit(TEXTS, numbers).partial_fit(["red red", "new"], ["0", "3"]).classes_.tolist() == [0, 1, 2, "3"]
    own.fit(TEXTS, [[str(number)] for number in numbers]).partial_fit(["red red"], [[0, 1]])
    assert own.classes_.tolist() == ["0", "1", "2"]


def test_only_new_texts_are_encoded(monkeypatch):
    grown = fitted()
    asked = []
    encode = FakeEncoder.encode
    monkeypatch.setattr(FakeEncoder, "encode", lambda self, texts: asked.append(list(texts)) or encode(self, texts))
    grown.partial_fit(["red red"], ["red"])
    assert asked == [["red red"]]


def test_a_first_part_is_a_fit():
    first = FewShotClassifier(encoder=FakeEncoder(24)).partial_fit(TEXTS, LABELS)
    assert first.classes_.tolist() == ["blue", "green", "red"]


def test_few_texts_that_are_all_right_leave_some_doubt():
    sure = FewShotClassifier(encoder=FakeEncoder(64), stage="prototypes", label_names=None)
    sure.fit(["a a", "a a a", "a a a a", "b b", "b b b", "b b b b"], ["x"] * 3 + ["y"] * 3)
    assert sure.model_.details["out_of_fold"] == {"accuracy": 1.0, "n_texts": 6}
    assert 0.8 < sure.predict_proba(["a a"]).max() < 0.99


def test_copies_of_texts_make_the_held_out_accuracy_neither_better_nor_surer():
    twice = fitted(stage="prototypes", label_names=None)
    once = twice.model_.details["out_of_fold"]
    twice.fit([*TEXTS, *TEXTS], [*LABELS, *LABELS])
    assert twice.model_.details["out_of_fold"] == once
