"""Trained weights in a folder: whole, small, for one published model only."""

import json
import shutil
import subprocess
import sys

import pytest
import torch

from fewshot.encoders import Full, SentenceTransformerEncoder, TrainableEncoder, TransformerEncoder
from fewshot.encoders.trained import TrainedWeights, read_trained, write_trained
from fewshot.errors import EncoderError
from tests.encoders.test_trainable import KINDS, TEXTS, build, train

FILES = {
    "lora": {"adapter_config.json", "adapter_model.safetensors", "encoder.json"},
    "adapter": {"bottleneck.json", "bottleneck.safetensors", "encoder.json"},
    "full": {"changed.safetensors", "encoder.json"},
}


def saved(model, folder, kind="lora", layers="all", **settings):
    trainable = train(TrainableEncoder(build(model, **settings), KINDS[kind](layers=layers)))
    trainable.save(folder)
    return trainable


@pytest.mark.parametrize("architecture", ["bert", "mpnet", "qwen2", "deepseek_v3"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_gives_the_features_of_the_merged_encoder(checkpoints, tmp_path, architecture, kind):
    trainable = saved(checkpoints[architecture], tmp_path, kind)
    assert {path.name for path in tmp_path.iterdir()} == FILES[kind]
    merged, loaded = trainable.merged(), build(checkpoints[architecture], weights=str(tmp_path))
    assert loaded.fingerprint == merged.fingerprint
    assert torch.equal(loaded.encode(TEXTS), merged.encode(TEXTS))
    assert not torch.allclose(loaded.replace(weights=None).encode(TEXTS), loaded.encode(TEXTS), atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int8])
@pytest.mark.parametrize("kind", KINDS)
def test_fewer_bits_are_read_as_they_were_rounded_and_written_so_again(checkpoints, tmp_path, kind, dtype):
    first = train(TrainableEncoder(build(checkpoints["bert"]), KINDS[kind]())).merged()
    exact = train(TrainableEncoder(first, KINDS[kind]())).trained_weights()  # trained twice: both are rounded
    rounded = exact.rounded(dtype)
    write_trained(tmp_path, rounded, {})
    read = read_trained(tmp_path)
    assert read.digest == rounded.digest != exact.digest
    assert read.stored == read.below.stored == dtype
    assert read.rounded(dtype).digest == read.digest
    for name, tensor in exact.tensors.items():
        assert (read.tensors[name] - tensor).abs().max() <= tensor.abs().max() / 127


def test_eight_bits_take_a_quarter_of_the_room(tmp_path):
    weights = TrainedWeights("model", "base", {"map.weight": torch.randn(400, 400), "map.bias": torch.randn(400)})
    sizes = []
    for name, stored in (("exact", weights), ("int8", weights.rounded(torch.int8))):
        write_trained(tmp_path / name, stored, {})
        sizes.append((tmp_path / name / "changed.safetensors").stat().st_size)
    assert sizes[1] <= 0.26 * sizes[0]


def test_the_head_of_a_sentence_transformers_model_is_in_it(dense_model, tmp_path):
    settings = {"cache": None, "dtype": "float32"}
    trainable = train(TrainableEncoder(SentenceTransformerEncoder(str(dense_model), **settings), Full()))
    trainable.save(tmp_path)
    loaded = SentenceTransformerEncoder(str(dense_model), weights=tmp_path, **settings)
    assert torch.equal(loaded.encode(TEXTS), trainable.merged().encode(TEXTS))
    assert torch.equal(loaded.module[2].linear.weight, trainable.module[2].linear.weight)
    assert not torch.equal(loaded.module[2].linear.weight, trainable.published.module[2].linear.weight)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_process_gives_the_same_features(tmp_path, kind):
    settings = {"dtype": "float32", "cache": None}
    trainable = train(TrainableEncoder(SentenceTransformerEncoder(**settings), KINDS[kind]()))
    trainable.save(tmp_path / "encoder")
    script = (
        "from fewshot.encoders import SentenceTransformerEncoder; from safetensors.torch import save_file\n"
        f"e = SentenceTransformerEncoder(weights={str(tmp_path / 'encoder')!r}, **{settings!r})\n"
        f"save_file({{'features': e.encode({TEXTS!r})}}, {str(tmp_path / 'features')!r}, {{'print': e.fingerprint}})"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    from safetensors import safe_open

    merged = trainable.merged()
    with safe_open(tmp_path / "features", "pt") as file:
        assert torch.equal(file.get_tensor("features"), merged.encode(TEXTS))
        assert file.metadata()["print"] == merged.fingerprint


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
@pytest.mark.parametrize("architecture", ["bert", "llama", "deepseek_v3"])
def test_peft_reads_the_folder_too(checkpoints, tmp_path, architecture):
    from peft import PeftModel

    trainable = saved(checkpoints[architecture], tmp_path, layers="layered")
    theirs = PeftModel.from_pretrained(build(checkpoints[architecture]).load(), str(tmp_path)).eval()
    batch = trainable.tokenize(TEXTS[:1])
    with torch.no_grad():
        hidden = theirs(**batch).last_hidden_state[0].mean(0)
    torch.testing.assert_close(hidden / hidden.norm(), trainable.compute(TEXTS[:1])[0], atol=1e-5, rtol=0)


def test_after_interpolation_the_folder_holds_what_is_in_between(checkpoints, tmp_path):
    trainable = saved(checkpoints["bert"], tmp_path / "end")
    trainable.interpolate(0.5)
    trainable.save(tmp_path / "half")
    half = build(checkpoints["bert"], weights=tmp_path / "half").encode(TEXTS)
    torch.testing.assert_close(half, trainable.compute(TEXTS), atol=1e-5, rtol=0)
    assert not torch.allclose(half, build(checkpoints["bert"], weights=tmp_path / "end").encode(TEXTS), atol=1e-3)


def test_the_settings_stand_beside_the_weights(checkpoints, tmp_path):
    trainable = saved(checkpoints["bert"], tmp_path, pooling="cls", shallow_layer=1)
    description = json.loads((tmp_path / "encoder.json").read_text())
    assert description["kind"] == "lora"
    assert description["model"] == str(checkpoints["bert"])
    assert TransformerEncoder(**description["settings"]).fingerprint == trainable.published.fingerprint


def test_a_warm_run_loads_no_weights(checkpoints, tmp_path):
    saved(checkpoints["bert"], tmp_path / "encoder")
    settings = {"weights": tmp_path / "encoder", "cache": tmp_path / "cache"}
    first = build(checkpoints["bert"], **settings).encode(TEXTS)
    warm = build(checkpoints["bert"], **settings)
    assert torch.equal(warm.encode(TEXTS), first)
    assert warm._module is None


@pytest.mark.parametrize("kind", KINDS)
def test_another_published_model_is_refused_before_anything_is_read_from_the_cache(checkpoints, tmp_path, kind):
    saved(checkpoints["qwen2"], tmp_path, kind)
    other = build(checkpoints["llama"], weights=tmp_path, cache=tmp_path / "cache")
    for action in (other.load, other.load, lambda: other.encode(TEXTS), lambda: other.fingerprint):
        with pytest.raises(
            EncoderError, match=r"belong to '.*qwen2'.*the encoder is '.*llama'.*encoder\.model="
        ) as caught:
            action()
        assert "\n" not in str(caught.value)


def no_folder(folder):
    shutil.rmtree(folder)


def no_weights(folder):
    (folder / "adapter_model.safetensors").unlink()


def no_description(folder):
    (folder / "encoder.json").write_text("{}")


def half_a_file(folder):
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])


def one_other_number(folder):
    file = folder / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)


def another_scale(folder):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"lora_alpha": 99}))


def other_layers(folder):
    file = folder / "adapter_config.json"
    file.write_text(file.read_text().replace("layers_to_transform", "layers_to_transforn"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_folder, "holds no trained encoder"),
        (no_weights, "holds no trained encoder"),
        (no_description, "holds no trained encoder.*not as it was written"),
        (half_a_file, "holds no trained encoder.*adapter_model.safetensors failed"),
        (one_other_number, "adapter_model.safetensors is not as it was written"),
        (other_layers, "adapter_config.json is not as it was written"),
        (another_scale, "adapter_config.json is not as it was written"),
    ],
)
def test_each_way_a_folder_fails_is_one_sentence(checkpoints, tmp_path, spoil, said):
    saved(checkpoints["bert"], tmp_path / "encoder")
    spoil(tmp_path / "encoder")
    with pytest.raises(EncoderError, match=rf"{said}.*Set encoder\.weights") as caught:
        build(checkpoints["bert"], weights=tmp_path / "encoder").encode(TEXTS)
    assert "\n" not in str(caught.value)


def test_the_folder_of_a_run_stands_for_the_encoder_in_it(checkpoints, tmp_path, caplog):
    merged = saved(checkpoints["bert"], tmp_path / "run" / "encoder").merged()
    with caplog.at_level("INFO", logger="fewshot"):
        loaded = build(checkpoints["bert"], weights=tmp_path / "run")
        assert loaded.fingerprint == merged.fingerprint
    assert f"is read from {tmp_path / 'run' / 'encoder'}" in caplog.text
    assert "trained on an unknown task" in loaded.described
