"""Folders of the usual kind, read without sentence-transformers: the same names and the same numbers."""

import json
import subprocess
import sys

import pytest
import torch

from fewshot.encoders import SentenceTransformerEncoder
from fewshot.encoders.plain_model import PlainModel, PlainParts
from tests.tiny_models import save_sentence_transformer

TEXTS = ["ok", "a card that was lost", "lost " * 40, ""]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_is_what_sentence_transformers_reads(tmp_path, monkeypatch, dtype):
    folder = str(save_sentence_transformer(tmp_path / "model"))
    ours = SentenceTransformerEncoder(folder, cache=None, dtype=dtype)
    assert isinstance(ours.module, PlainModel)
    monkeypatch.setattr(PlainParts, "of", lambda folder: None)
    theirs = SentenceTransformerEncoder(folder, cache=None, dtype=dtype)
    assert not isinstance(theirs.module, PlainModel)
    names = [[name for name, _ in one.module.named_parameters()] for one in (ours, theirs)]
    assert names[0] == names[1]
    assert torch.equal(ours.compute(TEXTS), theirs.compute(TEXTS))
    assert ours.portable_fingerprint == theirs.portable_fingerprint


def test_other_folders_are_left_to_sentence_transformers(tmp_path):
    assert PlainParts.of(save_sentence_transformer(tmp_path / "dense", dense=8)) is None
    assert PlainParts.of(save_sentence_transformer(tmp_path / "prompt", prompt="query: ")) is None
    usual = save_sentence_transformer(tmp_path / "usual")
    assert PlainParts.of(usual) == PlainParts(normalised=True, max_length=PlainParts.of(usual).max_length)
    pooling = next(usual.glob("1_*")) / "config.json"
    content = json.loads(pooling.read_text("utf-8"))
    key = "pooling_mode" if "pooling_mode" in content else "pooling_mode_cls_token"
    pooling.write_text(json.dumps(content | {key: "cls" if key == "pooling_mode" else True}), encoding="utf-8")
    assert PlainParts.of(usual) is None


@pytest.mark.slow
def test_sentence_transformers_is_not_imported_for_the_bundled_model():
    code = (
        "import sys; from fewshot import SentenceTransformerEncoder; SentenceTransformerEncoder(cache=None).load(); "
        "print('sentence_transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
