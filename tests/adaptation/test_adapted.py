"""Adapted models in a folder: small, without pickle, and the same logits in any process."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from fewshot.adaptation import load_adapted
from fewshot.encoders import SentenceTransformerEncoder
from fewshot.errors import ConfigError
from tests.adaptation.conftest import coloured

TEXTS = coloured(5, seed=7)[0]
FILES = {
    "lora": {"adapter_config.json", "adapter_model.safetensors", "encoder.json"},
    "adapter": {"bottleneck.json", "bottleneck.safetensors", "encoder.json"},
    "full": {"changed.safetensors", "encoder.json"},
    "head": set(),
    "prototypes": set(),
}


@pytest.mark.parametrize("kind", FILES)
def test_it_reads_what_it_wrote(adapted, tmp_path, kind):
    model = adapted[kind]
    assert model.details["stage"] == kind
    model.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES[kind] | {"head.safetensors", "adapted.json"}
    loaded = load_adapted(tmp_path)
    assert torch.equal(loaded.logits(TEXTS), model.logits(TEXTS))
    assert loaded.predict(TEXTS) == model.predict(TEXTS)
    assert loaded.labels == model.labels == ("blue", "green", "red")
    assert loaded.details == json.loads(json.dumps(model.details))
    assert torch.equal(load_adapted(tmp_path, model.encoder).logits(TEXTS), model.logits(TEXTS))


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_a_fresh_process_gives_identical_logits(adapted, tmp_path, kind):
    adapted[kind].save(tmp_path / "model")
    script = (
        "from fewshot.adaptation import load_adapted; from safetensors.torch import save_file\n"
        f"logits = load_adapted({str(tmp_path / 'model')!r}).logits({TEXTS!r})\n"
        f"save_file({{'logits': logits}}, {str(tmp_path / 'logits')!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert torch.equal(load_file(tmp_path / "logits")["logits"], adapted[kind].logits(TEXTS))


def test_saved_twice_into_one_folder_the_last_one_counts(adapted, tmp_path):
    for kind in ("lora", "prototypes"):
        adapted[kind].save(tmp_path)
        assert torch.equal(load_adapted(tmp_path).logits(TEXTS), adapted[kind].logits(TEXTS))


def test_another_encoder_is_refused(adapted, tmp_path):
    adapted["lora"].save(tmp_path)
    for other in (adapted["lora"].encoder.replace(pooling="cls"), SentenceTransformerEncoder(cache=None)):
        with pytest.raises((ConfigError, RuntimeError), match=r"the encoder is another one|belong to"):
            load_adapted(tmp_path, other).logits(TEXTS)


def no_head(folder):
    (folder / "head.safetensors").unlink()


def no_description(folder):
    (folder / "adapted.json").write_text("{}")


@pytest.mark.parametrize("spoil", [no_head, no_description])
def test_a_folder_that_cannot_be_read_is_one_sentence(adapted, tmp_path, spoil):
    adapted["lora"].save(tmp_path)
    spoil(tmp_path)
    with pytest.raises(
        ConfigError, match=r"holds no adapted model that can be read.*Run the adaptation again"
    ) as caught:
        load_adapted(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_head_beside_other_encoder_weights_is_refused(adapted, tmp_path):
    adapted["lora"].save(tmp_path / "a")
    adapted["adapter"].save(tmp_path / "b")
    (tmp_path / "a" / "adapted.json").replace(tmp_path / "b" / "adapted.json")
    with pytest.raises(ConfigError, match="tuned with other encoder weights"):
        load_adapted(tmp_path / "b")


def test_nothing_is_pickled(adapted, tmp_path):
    for kind, model in adapted.items():
        model.save(tmp_path / kind)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json", ".safetensors"}
