"""The command that makes the encoder: tiny data, two steps, and a second call that goes on."""

import gzip
import json

import pytest
import torch

from benchmarks.deepseek_small import SOURCES, main, read_lines
from benchmarks.small_encoders import kept
from fewshot.encoders import TransformerEncoder
from tests.encoders.conftest import save_variant
from tests.tiny_models import save_transformer


@pytest.fixture
def data(tmp_path):
    (tmp_path / "text").mkdir()
    words = ["heart", "attack", "tax", "form", "acute", "pain", "in", "the", "chest", "left", "arm", "fever", "cough"]
    lines = [" ".join(words[start : start + 1 + start % 4]) for start in range(12)]
    for name in SOURCES[:4]:
        with gzip.open(tmp_path / "text" / f"{name}.txt.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join([*lines, "", f"one  two {name}"]))
    for name in SOURCES[4:]:
        folder = tmp_path / "meta_sources" / name
        folder.mkdir(parents=True)
        (folder / "texts.jsonl").write_text(json.dumps({"text": f"red {name}", "label": "colour"}) + "\n")
    return tmp_path


def test_lines_are_distinct_and_labels_are_not_read(data):
    lines = read_lines(data, SOURCES)
    assert len(lines) == len(set(lines)) == 12 + len(SOURCES)
    assert "one two medquad" in lines
    assert "red snips" in lines
    assert not any("colour" in line for line in lines)


@pytest.mark.slow
def test_two_steps_make_an_encoder_and_a_second_call_goes_on(data, tmp_path, capsys):
    teacher = save_variant(save_transformer("bert", tmp_path / "tiny"), tmp_path / "teacher", hidden_size=384)
    out = tmp_path / "out"
    options = ["--data", str(data), "--out", str(out), "--teacher", str(teacher), "--device", "cpu", "--batch", "16"]
    first = main([*options, "--steps", "2"])
    assert (first["steps"], first["texts"]) == (2, 32)
    assert first["sha256"] in capsys.readouterr().out
    features = TransformerEncoder(str(out / "model"), cache=None).encode(["heart attack", "tax form"])
    assert features.shape == (2, 384)
    assert torch.isfinite(features).all()
    again = main([*options, "--steps", "3"])
    assert again["steps"] == 3
    assert again["sha256"] != first["sha256"]


def test_the_share_that_is_kept_is_a_mean_over_tasks():
    rows = [{"episodes": "5w1s", "kept": "98.0 %"}, {"episodes": "5w5s", "kept": "99.0 %"}]
    rows += [{"episodes": "5w1s", "kept": "99.0 %"}, {"episodes": "5w5s", "kept": "100.0 %"}]
    assert kept(rows) == {"5w1s": 98.5, "5w5s": 99.5, "5w1s and 5w5s": 99.0}
