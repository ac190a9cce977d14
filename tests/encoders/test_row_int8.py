"""Weights in 8 bits: near the originals, a quarter of float32, and read by the ordinary encoder."""

import json

import pytest
import torch
from safetensors.torch import load_file

from fewshot.encoders import SentenceTransformerEncoder, TransformerEncoder
from fewshot.encoders.row_int8 import WEIGHTS, is_packed, pack, unpack, write_packed
from fewshot.encoders.source import DEEPSEEK_SMALL, DEEPSEEK_SMALL_SHA256, locate
from fewshot.errors import EncoderError


def test_no_weight_is_further_away_than_half_a_step():
    weight = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    weight[0, 1] = 0.0
    weight[1, 2] *= 1000
    packed = pack({"experts": weight})
    assert packed["experts"].dtype == torch.int8
    error = (unpack(packed)["experts"] - weight).abs()
    assert (error <= weight.abs().amax(-1, keepdim=True) / 127 * 0.503).all()
    assert error[0, 1].max() == 0


def test_vectors_and_routers_stay_as_they_are():
    exact = {"norm.weight": torch.rand(4, dtype=torch.bfloat16), "layers.1.mlp.gate.weight": torch.rand(2, 4)}
    packed = pack(exact)
    assert packed.keys() == exact.keys()
    assert all(
        torch.equal(packed[name], tensor) and packed[name].dtype == tensor.dtype for name, tensor in exact.items()
    )


def test_what_was_unpacked_is_packed_to_the_same_again():
    weight = torch.randn(300, 7, generator=torch.Generator().manual_seed(0))
    weight *= torch.logspace(-12, 3, 300)[:, None]
    once = pack({"up": weight})
    again = pack(unpack(once))
    assert all(torch.equal(tensor, again[name]) for name, tensor in once.items())


def test_names_stay_those_of_the_model():
    assert set(unpack(pack({"up.weight": torch.rand(3, 4), "up.bias": torch.rand(3)}))) == {"up.weight", "up.bias"}


@pytest.mark.parametrize("architecture", ["deepseek_v3", "qwen2"])
def test_the_encoder_reads_a_packed_folder(checkpoints, tmp_path, architecture):
    plain = checkpoints[architecture]
    for file in plain.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    write_packed(tmp_path, load_file(plain / WEIGHTS))
    assert (tmp_path / WEIGHTS).stat().st_size < 0.5 * (plain / WEIGHTS).stat().st_size  # tiny rows have many steps
    texts = ["heart attack", "tax form", "acute pain in the chest"]
    encoders = [TransformerEncoder(str(folder), cache=None, dtype="float32") for folder in (plain, tmp_path)]
    features = [encoder.encode(texts) for encoder in encoders]
    assert torch.cosine_similarity(*features).min() > 0.99
    assert encoders[0].identity != encoders[1].identity


def test_ordinary_weights_are_not_taken_for_packed_ones(checkpoints, tmp_path):
    assert not is_packed(checkpoints["bert"])
    assert not is_packed(tmp_path)


def test_sentence_transformers_would_misread_them_and_is_not_asked_to():
    with pytest.raises(EncoderError, match=r"8 bits.*Set encoder=deepseek_small"):
        SentenceTransformerEncoder(DEEPSEEK_SMALL, cache=None).load()


def test_the_shipped_encoder_sees_both_sides_and_knows_related_texts():
    encoder = TransformerEncoder(DEEPSEEK_SMALL, cache=None, attention="bidirectional")
    assert encoder.identity == f"sha256:{DEEPSEEK_SMALL_SHA256}"
    texts = ["my card was stolen", "someone took my bank card", "acute myocardial infarction", "heart attack"]
    features = encoder.encode(texts)
    similar = features @ features.T
    assert features.shape == (4, 384)
    assert similar[0].argsort(descending=True)[1] == 1
    assert similar[2].argsort(descending=True)[1] == 3
    (router,) = {
        m.e_score_correction_bias.dtype for m in encoder.backbone.modules() if hasattr(m, "e_score_correction_bias")
    }
    assert router == torch.float32


def test_other_weights_in_the_shipped_folder_are_refused(tmp_path, monkeypatch):
    folder = locate(DEEPSEEK_SMALL).folder
    copied = tmp_path / "weights" / "deepseek_small"
    copied.mkdir(parents=True)
    for file in folder.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    with open(copied / WEIGHTS, "rb+") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    monkeypatch.setattr("fewshot.encoders.source.shipped", lambda name: tmp_path / name)
    with pytest.raises(EncoderError, match=rf"expected {DEEPSEEK_SMALL_SHA256}.*--force-reinstall fewshot-text"):
        TransformerEncoder(DEEPSEEK_SMALL, cache=None).load()


def test_the_shipped_folder_is_small_and_names_its_sources():
    folder = locate(DEEPSEEK_SMALL).folder
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 25e6
    notice = (folder / "NOTICE.md").read_text(encoding="utf-8")
    assert all(
        word in notice for word in ("WordNet", "MedQuAD", "MTL-Bioinformatics-2016", "Tatoeba", "snips", "MiniLM")
    )
    assert json.loads((folder / "training.json").read_text())["sha256"] == DEEPSEEK_SMALL_SHA256
