"""The command that makes the general student: two steps, a second call that goes on, and weights an encoder reads."""

import pytest
import torch

from benchmarks.deepseek_small import SOURCES
from benchmarks.layers_student import main
from fewshot.encoders import SentenceTransformerEncoder
from tests.benchmarks.test_deepseek_small import data  # noqa: F401

TEXTS = ["heart attack", "tax form"]


@pytest.mark.slow
def test_two_steps_make_weights_and_a_second_call_goes_on(data, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    options = ["--data", str(data), "--out", str(out), "--batch", "8", "--warmup", "1", "--sources", *SOURCES[:2]]
    first = main([*options, "--steps", "2"])
    assert (first["layers"], first["steps"], first["texts"]) == ([0, 5], 2, 16)
    published = SentenceTransformerEncoder(cache=None, layers=[0, 5], dtype="float32")
    trained = published.replace(weights=str(out / "model"))
    assert trained.encode(TEXTS).shape == (2, 768)
    whole = published.replace(layers=None).encode(TEXTS)
    near, far = (torch.cosine_similarity(encoder.encode(TEXTS), whole).mean() for encoder in (trained, published))
    assert near > far
    assert (out / "model" / "changed.safetensors").stat().st_size < 3.7e6  # 3.5 million weights
    again = main([*options, "--steps", "3"])
    assert again["steps"] == 3
    assert again["held_out_cosine"] != first["held_out_cosine"]
