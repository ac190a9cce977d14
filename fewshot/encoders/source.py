"""Where an encoder's weights are, and a name for exactly these weights; without importing transformers."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from fewshot.encoders import bundled
from fewshot.encoders.hub import download
from fewshot.errors import EncoderError

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_READ_BY_MODELS = {".json", ".jinja", ".model", ".py", ".safetensors", ".txt"}


@dataclass(frozen=True)
class Source:
    """A folder of weights.

    Args:
        folder: holds config, tokenizer and safetensors.
        identity: two sources with the same identity hold the same weights.
    """

    folder: Path
    identity: str


def locate(model: str, revision: str | None = None, trust_remote_code: bool = False) -> Source:
    """Find a model: bundled, in a folder, in the local cache of the Hugging Face hub, or on the hub itself.

    A hub model that is already here is used as it is, without asking the hub for news, so that a run gives
    the same features next week.

    Args:
        model: `bundled.NAME`, a folder, or a hub id such as `"deepseek-ai/deepseek-llm-7b-base"`.
        revision: branch, tag or commit on the hub.
        trust_remote_code: also fetch the model's own Python files.

    Raises:
        EncoderError: there is no such model, it has no safetensors, or the hub cannot be reached.
    """
    if model == bundled.NAME:
        return Source(bundled.folder(), f"sha256:{bundled.SHA256}")
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not has_weights(folder):
            raise EncoderError(_no_weights(model, folder))
        return Source(folder, f"sha256:{digest(folder)}")
    if folder.exists() or not _HUB_ID.fullmatch(model):
        raise EncoderError(
            f"Encoder model {model!r} could not be loaded: {'not a folder' if folder.exists() else 'no such folder'}. "
            f"Expected a folder with config.json and safetensors, a hub id such as 'organisation/name', "
            f"or {bundled.NAME!r}. Set encoder.model=/path/to/folder."
        )
    snapshot = cached_snapshot(model, revision)
    if snapshot is None:
        snapshot = download(model, revision, trust_remote_code)
        if not has_weights(snapshot):
            raise EncoderError(_no_weights(model, snapshot))
    return Source(snapshot, f"commit:{model}@{snapshot.name}")


def cached_snapshot(model: str, revision: str | None = None) -> Path | None:
    """The folder of a hub model in the hub's local cache, if all its weights are there."""
    from huggingface_hub.constants import HF_HUB_CACHE

    repository = Path(HF_HUB_CACHE) / f"models--{model.replace('/', '--')}"
    reference = repository / "refs" / (revision or "main")
    commit = reference.read_text().strip() if reference.is_file() else revision
    if not commit:
        return None
    snapshot = repository / "snapshots" / commit
    return snapshot if has_weights(snapshot) else None


def has_weights(folder: Path) -> bool:
    """Whether a folder holds safetensors, and every shard that an index in it names."""
    if not any(folder.rglob("*.safetensors")):
        return False
    for index in folder.rglob("*.safetensors.index.json"):
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        if not all((index.parent / shard).is_file() for shard in shards):
            return False
    return True


def digest(folder: Path) -> str:
    """SHA-256 over names and contents of all the files that loading a model may read."""
    total = hashlib.sha256()
    files = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.suffix in _READ_BY_MODELS)
    for name in files:
        with open(folder / name, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{name.as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def _no_weights(model: str, folder: Path) -> str:
    return (
        f"Encoder model {model!r} could not be loaded: {str(folder)!r} holds no complete safetensors weights. "
        "Expected model.safetensors, or all the shards of its index. "
        "Save the model with save_pretrained(folder) and set encoder.model=/path/to/folder."
    )
