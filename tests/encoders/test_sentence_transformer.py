from pathlib import Path

import pytest
import torch

from fewshot.encoders import SentenceTransformerEncoder
from tests.tiny_models import save_sentence_transformer, save_transformer

TEXTS = ["heart attack", "acute pain in the chest", "tax form", "a child with fever"]


def encoder(folder, **settings):
    return SentenceTransformerEncoder(str(folder), **{"cache": None, "dtype": "float32"} | settings)


def theirs(folder):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu").encode(TEXTS, convert_to_tensor=True)


def test_a_dense_layer_counts(dense_model):
    features = encoder(dense_model).encode(TEXTS)
    assert features.shape == (4, 8)
    torch.testing.assert_close(features, theirs(dense_model), atol=1e-5, rtol=0)


def test_the_prompt_of_a_model_goes_in_front(tmp_path):
    folder = save_sentence_transformer(tmp_path / "a", prompt="acute pain ")
    features = encoder(folder).encode(TEXTS)
    torch.testing.assert_close(features, theirs(folder), atol=1e-5, rtol=0)
    without = encoder(save_sentence_transformer(tmp_path / "b")).encode(TEXTS)
    assert not torch.allclose(features, without, atol=1e-3)


def test_a_model_without_attention_is_encoded_too(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    save_transformer("bert", tmp_path / "bert")
    words = Tokenizer.from_file(str(tmp_path / "bert" / "tokenizer.json"))
    torch.manual_seed(0)
    SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=8)], device="cpu").save(
        str(tmp_path / "static"), create_model_card=False
    )
    torch.testing.assert_close(encoder(tmp_path / "static").encode(TEXTS), theirs(tmp_path / "static"))


def test_a_plain_checkpoint_gets_mean_pooling(checkpoints):
    torch.testing.assert_close(
        encoder(checkpoints["bert"]).encode(TEXTS), theirs(checkpoints["bert"]), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("model", ["all-mpnet-base-v2", "sentence-transformers/all-mpnet-base-v2"])
def test_a_bare_name_is_looked_for_under_sentence_transformers(model, monkeypatch):
    monkeypatch.setattr("fewshot.encoders.source.cached_snapshot", lambda model, *_: Path(model))
    monkeypatch.setattr("fewshot.encoders.source.has_weights", lambda *_: True)
    monkeypatch.setattr("fewshot.encoders.source._is_whole", lambda *_: True)
    identity = SentenceTransformerEncoder(model)._source.identity
    assert identity == "commit:sentence-transformers/all-mpnet-base-v2@all-mpnet-base-v2+mean"
