"""Models that share an encoder: one load, one batch, the answers that each gives by itself."""

import asyncio
from dataclasses import replace

import pytest
import torch

from fewshot.encoders import LoRA, TrainableEncoder
from fewshot.serving.batcher import Part
from fewshot.serving.models import Models
from fewshot.serving.scoring import Query, score
from fewshot.text_classifier import TextClassifier
from tests.encoders.test_trainable import train
from tests.serving.conftest import TEXTS, serving


@pytest.fixture(scope="module")
def tuned(mails, other, tmp_path_factory):
    """Folders of two classifiers whose encoder has LoRA of its own, and one that has none."""
    folders = {"mails": mails}
    for rank, name in enumerate(("first", "second"), 2):
        classifier = TextClassifier.from_pretrained(other)
        weights = train(TrainableEncoder(classifier.encoder, LoRA(rank=rank)), steps=3).trained_weights()
        folders[name] = tmp_path_factory.mktemp("tuned") / name
        trained = replace(classifier, encoder=classifier.encoder.with_trained(weights))
        trained.save_pretrained(folders[name])
    return folders


def test_adapters_of_one_encoder_answer_in_one_batch_as_each_would_alone(tuned):
    models = Models(tuned)
    asked = [Part(Query(models[name], None), [text]) for text in TEXTS[:6] for name in tuned]
    passes = []
    module = models["mails"].classifier.encoder.module
    handle = module.register_forward_hook(lambda *given: passes.append(given))
    answers = score(asked)
    handle.remove()

    assert len(passes) == 1
    for name, folder in tuned.items():
        alone = TextClassifier.from_pretrained(folder)
        expected = alone.predict_proba(TEXTS[:6])
        found = [answer for part, answer in zip(asked, answers, strict=True) if part.item.model.name == name]
        rows = torch.tensor([[dict(one.probabilities)[label] for label in alone.labels] for (one,) in found])
        torch.testing.assert_close(rows, torch.as_tensor(expected), atol=8e-3, rtol=0)
    first, second = (
        TextClassifier.from_pretrained(tuned[name]).predict_proba(TEXTS[:6]) for name in ("mails", "first")
    )
    assert not torch.allclose(first, second, atol=3e-2)


def test_an_encoder_with_an_adapter_alone_is_merged(tuned):
    models = Models({"first": tuned["first"]})
    assert models["first"].family.model is None
    assert models["first"].classifier.encoder.trained is not None


def test_loading_anew_keeps_the_weights_that_are_loaded(tuned):
    async def scenario(client, service):
        before = service.models["mails"].classifier.encoder.module
        asked = asyncio.gather(*(client.post("/predict", json={"texts": text, "model": "second"}) for text in TEXTS))
        await service.reload()
        assert service.models["mails"].classifier.encoder.module is before
        assert service.models["second"].classifier.encoder.module is before
        return [answer.status_code for answer in await asked]

    assert serving(tuned, scenario) == [200] * len(TEXTS)


@pytest.mark.slow
def test_an_exported_classifier_answers_and_neither_explains_nor_learns(mails, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    classifier = TextClassifier.from_pretrained(mails)
    classifier.export(tmp_path / "exported")

    async def scenario(client, service):
        return (
            (await client.post("/predict", json={"texts": TEXTS})).json(),
            (await client.get("/models")).json()["models"][0],
            await client.post("/predict", json={"texts": "a", "explain": True}),
            await client.post("/learn", json={"texts": ["a"], "labels": ["red"]}),
        )

    said, described, explained, learnt = serving({"exported": tmp_path / "exported"}, scenario, learns=True)
    assert [one["label"] for one in said["predictions"]] == classifier.predict(TEXTS)
    assert (described["explains"], described["n_texts"], described["labels"]) == (False, None, ["blue", "green", "red"])
    assert (explained.status_code, learnt.status_code) == (422, 422)
    assert "which cannot learn. Serve the folder that it was exported from." in learnt.json()["detail"]
