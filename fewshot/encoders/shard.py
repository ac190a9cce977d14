"""One file of the feature cache: text keys and their features, with a checksum over both."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fewshot.storage import write_tensors

KEY_BYTES = 16
_CHECKSUM = "blake2b"
_ADVICE = "Free space, or set encoder.cache=/another/folder or encoder.cache=null."


class DamagedShardError(Exception):
    """A shard is truncated or changed."""


@dataclass(frozen=True)
class Shard:
    """The content of a file: `KEY_BYTES` bytes for each text, and a row of features, mapped into memory."""

    keys: list[bytes]
    features: Float[Tensor, "n_keys dim"]


def write_shard(folder: Path, keys: Sequence[bytes], features: Float[Tensor, "n_keys dim"]) -> Path:
    """Write a shard under the hash of its content, whatever its order; StorageError, with nothing left, if it fails."""
    order = sorted(range(len(keys)), key=keys.__getitem__)
    joined = bytearray(b"".join(keys[index] for index in order))
    key_rows = torch.frombuffer(joined, dtype=torch.uint8).view(len(keys), KEY_BYTES)
    features = features.detach().to("cpu", torch.float32)[order]
    checksum = _checksum(key_rows, features)
    path = folder / f"{checksum}.safetensors"
    write_tensors(path, {"keys": key_rows, "features": features}, {_CHECKSUM: checksum}, _ADVICE)
    return path


def read_shard(path: Path) -> Shard:
    """Map a shard into memory and check it.

    Raises:
        OSError: it is gone, or cannot be read.
        DamagedShardError: it is truncated or changed.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            keys, features = file.get_tensor("keys"), file.get_tensor("features")
            expected = (file.metadata() or {}).get(_CHECKSUM)
    except (SafetensorError, ValueError) as error:
        raise DamagedShardError(f"reading it failed with {str(error).rstrip('.')!r}") from error
    if _checksum(keys, features) != expected:
        raise DamagedShardError("its content does not match its checksum")
    content = keys.numpy().tobytes()
    return Shard([content[start : start + KEY_BYTES] for start in range(0, len(content), KEY_BYTES)], features)


def _checksum(keys: UInt8[Tensor, "n_keys 16"], features: Float[Tensor, "n_keys dim"]) -> str:
    content = blake2b(keys.contiguous().numpy().data, digest_size=16)
    content.update(features.contiguous().numpy().data)
    return content.hexdigest()
