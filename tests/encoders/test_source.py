"""Where weights come from, and one sentence for each way in which they do not come."""

import json
import shutil
import time

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors

from fewshot.encoders import SentenceTransformerEncoder, TransformerEncoder
from fewshot.encoders.source import (
    BUNDLED,
    BUNDLED_SHA256,
    bundled_folder,
    cached_snapshot,
    check_bundled,
    has_weights,
    locate,
)
from fewshot.errors import EncoderError
from tests.tiny_models import save_sentence_transformer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ADVICE = "encoder.model=/path/to/folder"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty local cache of the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def in_the_hub_cache(hub, checkpoints):
    repository = hub / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    shutil.copytree(checkpoints["llama"], repository / "snapshots" / COMMIT)
    return "someone/tiny"


def test_the_bundled_model_has_its_published_hash():
    assert locate(BUNDLED).identity == f"sha256:{BUNDLED_SHA256}"
    check_bundled(bundled_folder() / "model.safetensors")


def test_other_weights_in_the_bundled_model_are_refused(tmp_path, monkeypatch):
    folder = shutil.copytree(bundled_folder(), tmp_path / "model")
    with open(folder / "model.safetensors", "rb+") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    monkeypatch.setattr("fewshot.encoders.source.bundled_folder", lambda: folder)
    with pytest.raises(EncoderError, match=rf"expected {BUNDLED_SHA256}.*pip install --force-reinstall"):
        SentenceTransformerEncoder(cache=None).load()


def test_a_missing_bundled_file_is_an_encoder_error(tmp_path):
    with pytest.raises(EncoderError, match="No such file"):
        check_bundled(tmp_path / "model.safetensors")


def test_a_folder_is_named_by_its_content(checkpoints, tmp_path):
    copy = shutil.copytree(checkpoints["llama"], tmp_path / "copy")
    identity = locate(str(checkpoints["llama"])).identity
    assert locate(str(copy)).identity == identity
    (copy / "README.md").write_text("no model reads this")
    assert locate(str(copy)).identity == identity
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))
    assert locate(str(copy)).identity != identity


def test_a_model_in_the_hub_cache_is_used_without_the_hub(in_the_hub_cache, monkeypatch, checkpoints):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    source = locate(in_the_hub_cache)
    assert source.identity == f"commit:someone/tiny@{COMMIT}"
    assert locate(in_the_hub_cache, revision=COMMIT) == source
    from_hub = TransformerEncoder(in_the_hub_cache, cache=None, dtype="float32").encode(["heart"])
    from_folder = TransformerEncoder(str(checkpoints["llama"]), cache=None, dtype="float32").encode(["heart"])
    assert torch.equal(from_hub, from_folder)


def test_an_unfinished_download_is_not_used(in_the_hub_cache, hub):
    snapshot = hub / "models--someone--tiny" / "snapshots" / COMMIT
    assert cached_snapshot(in_the_hub_cache) == snapshot
    assert cached_snapshot(in_the_hub_cache, revision="other") is None
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    assert not has_weights(snapshot)
    assert cached_snapshot(in_the_hub_cache) is None


def test_a_model_that_is_not_here_is_downloaded_without_pickles_and_code(hub, monkeypatch, checkpoints):
    asked = {}

    def download(model, **settings):
        asked.update(settings, model=model)
        return str(shutil.copytree(checkpoints["llama"], hub / COMMIT))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert locate("someone/tiny", "v1").identity == f"commit:someone/tiny@{COMMIT}"
    assert (asked["model"], asked["revision"]) == ("someone/tiny", "v1")
    assert "*.safetensors" in asked["allow_patterns"]
    assert not {"*.bin", "*.py", "*.pt"} & set(asked["allow_patterns"])
    assert not any(pattern == "*" for pattern in asked["allow_patterns"])


@pytest.mark.parametrize("missing", ["modules.json", "1_Pooling/config.json"])
def test_a_model_that_is_here_in_part_is_completed_before_it_is_read(hub, monkeypatch, tmp_path, missing):
    whole = save_sentence_transformer(tmp_path / "whole")
    snapshot = hub / "models--someone--tiny" / "snapshots" / COMMIT
    shutil.copytree(whole, snapshot)
    (snapshot / missing).unlink()
    asked = []

    def download(model, revision, **_):
        asked.append(revision)
        return str(shutil.copytree(whole, snapshot, dirs_exist_ok=True))

    def unreachable(*_, **__):
        return str(snapshot)  # as it is, which is what comes of a hub that cannot be reached

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    in_part = SentenceTransformerEncoder("someone/tiny", revision=COMMIT, cache=None, dtype="float32")
    before = in_part.fingerprint
    if missing != "modules.json":
        with pytest.raises(EncoderError):
            in_part.load()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    encoder = SentenceTransformerEncoder("someone/tiny", revision=COMMIT, cache=None, dtype="float32")
    assert (encoder.fingerprint != before) is (missing == "modules.json")
    assert asked == [COMMIT]
    assert torch.equal(
        encoder.encode(["heart"]),
        SentenceTransformerEncoder(str(whole), cache=None, dtype="float32").encode(["heart"]),
    )
    SentenceTransformerEncoder("someone/tiny", revision=COMMIT, cache=None).load()
    assert asked == [COMMIT]


def test_a_tokenizer_that_is_not_here_is_fetched(in_the_hub_cache, hub, monkeypatch, checkpoints):
    snapshot = hub / "models--someone--tiny" / "snapshots" / COMMIT
    for file in snapshot.glob("*token*"):
        file.unlink()
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda *_, **__: str(shutil.copytree(checkpoints["llama"], snapshot, dirs_exist_ok=True)),
    )
    assert TransformerEncoder(in_the_hub_cache, cache=None).encode(["heart"]).shape[0] == 1


def response(status):
    import httpx2

    return httpx2.Response(status, request=httpx2.Request("GET", "https://huggingface.co/someone/tiny"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (lambda: errors.RepositoryNotFoundError("404", response=response(404)), "neither such a folder nor"),
        (lambda: errors.GatedRepoError("403", response=response(403)), "access on request only.*hf auth login"),
        (lambda: errors.RevisionNotFoundError("404", response=response(404)), "no revision .*encoder.revision=main"),
        (lambda: errors.LocalEntryNotFoundError("offline"), "hub cannot be reached"),
        (lambda: errors.OfflineModeIsEnabled("offline"), "hub cannot be reached.*HF_HUB_OFFLINE"),
        (lambda: ConnectionError("refused"), "hub cannot be reached"),
        (lambda: OSError(28, "No space left on device"), "No space left"),
    ],
)  # fmt: skip
def test_each_way_the_hub_fails_is_one_sentence(hub, monkeypatch, error, said):
    def fail(*_, **__):
        raise error()

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(EncoderError, match=rf"Encoder model 'someone/tiny' could not be loaded: .*{said}") as caught:
        TransformerEncoder("someone/tiny", revision="v1").load()
    assert "Expected" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("offline", [True, False])
def test_without_a_hub_it_fails_within_seconds(hub, monkeypatch, offline):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    started = time.perf_counter()
    with pytest.raises(EncoderError, match=rf"hub cannot be reached.*{ADVICE}"):
        TransformerEncoder("someone/tiny").encode(["heart"])
    assert time.perf_counter() - started < 5


def no_folder(path):
    return path / "not" / "there"


def a_file(path):
    (path / "file").write_text("x")
    return path / "file"


def no_weights(path):
    shutil.rmtree(path)
    path.mkdir()
    (path / "config.json").write_text("{}")
    return path


def only_pickled_weights(path):
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    return path


def no_config(path):
    (path / "config.json").unlink()
    return path


def unknown_architecture(path):
    (path / "config.json").write_text('{"model_type": "abacus"}')
    return path


def code_of_its_own(path):
    config = {"model_type": "abacus", "auto_map": {"AutoConfig": "abacus.Config", "AutoModel": "abacus.Model"}}
    (path / "config.json").write_text(json.dumps(config))
    (path / "abacus.py").write_text("raise SystemExit('this code was run')")
    return path


def damaged_weights(path):
    (path / "model.safetensors").write_bytes(b"no tensors")
    return path


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_folder, "no such folder"),
        (a_file, "not a folder"),
        (no_weights, "no complete safetensors weights.*save_pretrained"),
        (only_pickled_weights, "only .bin weights.*encoder.pickled_weights=true.*save_pretrained"),
        (no_config, "could not be loaded.*Expected config.json"),
        (unknown_architecture, "abacus.*upgrade transformers"),
        (code_of_its_own, "Python code of its own.*encoder.trust_remote_code=true"),
        (damaged_weights, "SafetensorError"),
    ],
)
@pytest.mark.parametrize("kind", [TransformerEncoder, SentenceTransformerEncoder])
def test_each_way_a_folder_fails_is_one_sentence(tmp_path, checkpoints, kind, spoil, said):
    folder = spoil(shutil.copytree(checkpoints["bert"], tmp_path / "model"))
    with pytest.raises(EncoderError, match=said) as caught:
        kind(str(folder), cache=None).encode(["heart"])
    assert "Expected" in str(caught.value) or "expected" in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
