"""Weights as .bin files: refused unless asked for, then the same features as from safetensors, and nothing is run."""

import json
import os
import pickle
import shutil

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file

from fewshot.encoders import SentenceTransformerEncoder, TransformerEncoder
from fewshot.encoders.source import cached_snapshot, has_weights, locate
from fewshot.errors import EncoderError

TEXTS = ["heart attack", "acute pain in the chest", "tax form"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REFUSED = r"only \.bin weights.*Expected safetensors.*Set encoder\.pickled_weights=true"


def pickle_weights(folder, shards=1):
    """Turn model.safetensors into pytorch_model.bin, or into so many shards with an index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if shards == 1:
        torch.save(weights, folder / "pytorch_model.bin")
        return folder
    places = {name: f"pytorch_model-{i % shards + 1:05}-of-{shards:05}.bin" for i, name in enumerate(sorted(weights))}
    for place in sorted(set(places.values())):
        torch.save({name: weights[name] for name in places if places[name] == place}, folder / place)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def pickled(tmp_path, checkpoints):
    """A copy of the tiny Llama whose only weights are a .bin file."""
    return pickle_weights(shutil.copytree(checkpoints["llama"], tmp_path / "llama"))


@pytest.mark.parametrize("kind", [TransformerEncoder, SentenceTransformerEncoder])
@pytest.mark.parametrize("shards", [1, 2])
def test_they_are_refused_unless_asked_for_and_give_equal_features(kind, shards, checkpoints, tmp_path):
    published = kind(str(checkpoints["llama"]), cache=None, dtype="float32")
    folder = pickle_weights(shutil.copytree(checkpoints["llama"], tmp_path / "llama"), shards)
    with pytest.raises(EncoderError, match=REFUSED) as caught:
        published.replace(model=str(folder)).encode(TEXTS)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    accepted = published.replace(model=str(folder), pickled_weights=True)
    assert torch.equal(accepted.encode(TEXTS), published.encode(TEXTS))


def test_a_module_with_pickled_weights_counts_too(dense_model, tmp_path):
    folder = shutil.copytree(dense_model, tmp_path / "model")
    (dense,) = folder.glob("*_Dense")
    pickle_weights(dense)
    settings = {"cache": None, "dtype": "float32"}
    with pytest.raises(EncoderError, match=REFUSED) as caught:
        SentenceTransformerEncoder(str(folder), **settings).encode(TEXTS)
    assert str(dense) in str(caught.value)
    accepted = SentenceTransformerEncoder(str(folder), pickled_weights=True, **settings)
    assert torch.equal(accepted.encode(TEXTS), SentenceTransformerEncoder(str(dense_model), **settings).encode(TEXTS))


def test_a_damaged_list_of_modules_is_one_sentence(dense_model, tmp_path):
    folder = shutil.copytree(dense_model, tmp_path / "model")
    (folder / "modules.json").write_text('[{"pa')
    with pytest.raises(EncoderError, match="could not be loaded: JSONDecodeError"):
        SentenceTransformerEncoder(str(folder), cache=None).load()


def test_their_content_is_in_the_fingerprint(pickled):
    before = TransformerEncoder(str(pickled), pickled_weights=True).fingerprint
    assert TransformerEncoder(str(pickled), pickled_weights=True).fingerprint == before
    weights = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    weights["embed_tokens.weight"][0, 0] += 1
    torch.save(weights, pickled / "pytorch_model.bin")
    assert TransformerEncoder(str(pickled), pickled_weights=True).fingerprint != before


def test_accepting_them_changes_nothing_for_a_model_without(checkpoints):
    model = str(checkpoints["llama"])
    assert TransformerEncoder(model, pickled_weights=True).fingerprint == TransformerEncoder(model).fingerprint


def test_safetensors_come_first(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["llama"], tmp_path / "llama")
    (folder / "pytorch_model.bin").write_bytes(b"not read")
    settings = {"cache": None, "dtype": "float32"}
    both = TransformerEncoder(str(folder), pickled_weights=True, **settings).encode(TEXTS)
    assert torch.equal(both, TransformerEncoder(str(checkpoints["llama"]), **settings).encode(TEXTS))
    (folder / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}')
    assert has_weights(folder, pickled_weights=True)  # its missing shard is not read either


class Trap:
    """Unpickled by a loader that runs what it reads, it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("kind", [TransformerEncoder, SentenceTransformerEncoder])
def test_code_in_them_is_not_executed(kind, pickled, tmp_path):
    sprung = tmp_path / "sprung"
    torch.save({"embed_tokens.weight": Trap(str(sprung))}, pickled / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="hold more than tensors, so they were not read") as caught:
        kind(str(pickled), pickled_weights=True, cache=None).load()
    assert not sprung.exists()
    assert "\n" not in str(caught.value)
    pickle.loads(pickle.dumps(Trap(str(sprung))))
    assert sprung.exists()  # the trap works


@pytest.mark.parametrize("accepted", [True, False])
def test_they_are_downloaded_only_when_asked_for(accepted, pickled, tmp_path, monkeypatch):
    """A hub whose repository holds `pickled`, as `snapshot_download` filters it."""
    from huggingface_hub.utils import filter_repo_objects

    def download(model, revision, allow_patterns, ignore_patterns):
        files = [file.relative_to(pickled).as_posix() for file in pickled.rglob("*")] + ["1_Dense/pytorch_model.bin"]
        chosen = filter_repo_objects(files, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns)
        for file in {*chosen}:
            (tmp_path / COMMIT / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(pickled / file.rpartition("/")[2], tmp_path / COMMIT / file)
        return str(tmp_path / COMMIT)

    (pickled / "training_args.bin").write_bytes(b"of no use")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    encoder = TransformerEncoder("someone/tiny", pickled_weights=accepted, cache=None, dtype="float32")
    if accepted:
        assert encoder.encode(TEXTS).shape == (3, 32)
    else:
        with pytest.raises(EncoderError, match=r"no complete safetensors weights.*encoder\.pickled_weights=true"):
            encoder.encode(TEXTS)
    fetched = {file.relative_to(tmp_path / COMMIT).as_posix() for file in (tmp_path / COMMIT).rglob("*.bin")}
    assert fetched == ({"pytorch_model.bin", "1_Dense/pytorch_model.bin"} if accepted else set())


def test_an_unfinished_download_is_not_used(checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--someone--tiny" / "snapshots" / COMMIT
    pickle_weights(shutil.copytree(checkpoints["llama"], snapshot), shards=2)
    assert cached_snapshot("someone/tiny", COMMIT) is None
    assert cached_snapshot("someone/tiny", COMMIT, pickled_weights=True) == snapshot
    assert locate("someone/tiny", COMMIT, pickled_weights=True).identity == f"commit:someone/tiny@{COMMIT}"
    (snapshot / "pytorch_model-00002-of-00002.bin").unlink()
    assert cached_snapshot("someone/tiny", COMMIT, pickled_weights=True) is None
