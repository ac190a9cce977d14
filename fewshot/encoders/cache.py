"""Features on disk: one folder per encoder, in it immutable files that two processes can share."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.errors import StorageError
from fewshot.storage import read_tensors, remove_leftovers, tensors_digest, write_tensors

log = logging.getLogger(__name__)

MAX_SMALL_SHARDS = 32  # more than these are merged into one
SMALL = 64 * 2**20  # bytes; larger shards are left alone, so that merging never rewrites the whole cache
KEY_BYTES = 16
_ADVICE = "Free space, or set encoder.cache=/another/folder or encoder.cache=null."


def default_folder() -> Path:
    """`$FEWSHOT_CACHE`, or `fewshot/features` in the user's cache folder (`$XDG_CACHE_HOME`, `~/.cache`)."""
    if chosen := os.environ.get("FEWSHOT_CACHE"):
        return Path(chosen).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "fewshot" / "features"


def text_key(text: str) -> bytes:
    """16 bytes that stand for a text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True, eq=False)
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
    tensors = {"keys": key_rows, "features": features}
    path = folder / f"{tensors_digest(tensors, {})}.safetensors"
    write_tensors(path, tensors, advice=_ADVICE)
    return path


def read_shard(path: Path, dim: int | None = None) -> Shard | None:
    """Map a shard into memory; None if it is gone or cannot be read now.

    A file that is damaged, or has features of another size than `dim`, is removed, and gives None too.
    """
    try:
        tensors, _ = read_tensors(path, mapped=True)
        return _checked(tensors, dim)
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning(f"The feature file {path} cannot be read now ({error}); its texts are encoded again.")
        return None
    except ValueError as error:
        if not path.exists():  # another process has merged it
            return None
        done = "It is removed" if _remove(path) else "It is left out"
        log.warning(f"The feature file {path} cannot be used: {error}. {done}, and its texts are encoded again.")
        return None


def _checked(tensors: Mapping[str, Tensor], dim: int | None) -> Shard:
    if tensors.keys() != {"keys", "features"}:
        raise ValueError("it holds no features")
    keys, features = tensors["keys"], tensors["features"]
    if keys.dtype != torch.uint8 or keys.dim() != 2 or keys.shape[1] != KEY_BYTES or features.dtype != torch.float32:
        raise ValueError("it holds no keys and features")
    if features.dim() != 2 or len(keys) != len(features) or features.shape[1] != (dim or features.shape[1]):
        raise ValueError(f"its features are of shape {tuple(features.shape)}")
    content = keys.numpy().tobytes()
    return Shard([content[start : start + KEY_BYTES] for start in range(0, len(content), KEY_BYTES)], features)


class FeatureCache:
    """The features that one encoder has already computed.

    A shard is written whole under the hash of its content and never changed, so readers need no lock. A shard
    that vanishes is a miss; a damaged one is removed and its texts are encoded again. Each encoder has a sub-folder,
    named by its fingerprint.
    """

    def __init__(self, folder: Path | str, fingerprint: str):
        self.folder = Path(folder) / fingerprint
        self._dim: int | None = None  # of the features, once some were read
        self._seen: set[str] = set()  # names of the files that were opened or refused
        self._rows: dict[bytes, tuple[Shard, int]] = {}  # key → shard, row in it

    def __getstate__(self) -> dict[str, Any]:
        """Without what was read: a copy, in another process perhaps, reads the files itself."""
        return {**vars(self), "_dim": None, "_seen": set(), "_rows": {}}

    def lookup(self, texts: Sequence[str]) -> tuple[Float[Tensor, "n_texts dim"] | None, list[int]]:
        """Features in the cache, NaN where one is missing (None if all are), and the missing positions, ascending."""
        self._refresh()
        rows = [self._rows.get(text_key(text)) for text in texts]
        missing = [position for position, row in enumerate(rows) if row is None]
        if len(missing) == len(texts):
            return None, missing
        rows_of: dict[Shard, dict[int, int]] = {}  # shard → position in texts → row in the shard
        for position, row in enumerate(rows):
            if row is not None:
                rows_of.setdefault(row[0], {})[position] = row[1]
        features = torch.full((len(texts), next(iter(rows_of)).features.shape[1]), float("nan"))
        for shard, numbers in rows_of.items():
            features[list(numbers)] = shard.features[list(numbers.values())]
        return features, missing

    def store(self, texts: Sequence[str], features: Float[Tensor, "n_texts dim"]) -> None:
        """Add the features of distinct texts in one new shard.

        Raises StorageError, with the cache as it was before, if it cannot be written.
        """
        file = write_shard(self.folder, [text_key(text) for text in texts], features)
        remove_leftovers(self.folder)
        self._seen.discard(file.name)  # a damaged file of this name may have been refused before

    def _refresh(self) -> None:
        """Open the shards that this process has not seen yet, other processes' shards among them."""
        small = []
        # A file that vanishes before it is opened went into a merged one: look until there is nothing new.
        while unseen := [file for file in self._files() if file.name not in self._seen]:
            for file in unseen:
                self._seen.add(file.name)
                shard = read_shard(file, self._dim)
                if shard is None:
                    continue
                self._dim = shard.features.shape[1]
                self._rows.update((key, (shard, row)) for row, key in enumerate(shard.keys))
                if shard.features.nbytes < SMALL:
                    small.append((file, shard))
        if len(small) > MAX_SMALL_SHARDS:
            self._merge(small)

    def _files(self) -> Iterable[Path]:
        try:
            return sorted(file for file in self.folder.iterdir() if file.suffix == ".safetensors")
        except OSError:  # not there yet; anything worse shows, with advice, when features are stored
            return []

    def _merge(self, parts: Sequence[tuple[Path, Shard]]) -> None:
        """Put small shards into one; a process that still reads the removed parts keeps its memory map."""
        keys = [key for _, shard in parts for key in shard.keys]
        features = torch.cat([shard.features for _, shard in parts])
        rows = {key: row for row, key in enumerate(keys)}
        try:
            whole = write_shard(self.folder, list(rows), features[list(rows.values())])
        except StorageError as error:
            log.info(f"The small feature files were not merged. {error}")
            return
        self._seen.add(whole.name)
        for file, _ in parts:
            if file != whole:
                _remove(file)


def _remove(file: Path) -> bool:
    """Remove a file; True if it is gone."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        log.warning(f"The feature file {file} could not be removed: {error.strerror or error}.")
        return False
    return True


def filled(
    cache: FeatureCache | None,
    texts: Sequence[str],
    encode: Callable[[list[str]], Iterable[Float[Tensor, "n_part dim"]]],
) -> Float[Tensor, "n_texts dim"]:
    """Features of distinct texts, float32: from the cache, if there is one, or computed and put there.

    `encode` computes features part by part; each part is put into the cache before the next one is computed. A cache
    that cannot be written is left as it is, with a warning.
    """
    rows, missing = (None, list(range(len(texts)))) if cache is None else cache.lookup(texts)
    if rows is not None and not missing:
        return rows
    absent, done = [texts[index] for index in missing], 0
    for part in encode(absent):
        if rows is None:
            rows = part.new_empty(len(texts), part.shape[1])
        if cache is not None:
            try:
                cache.store(absent[done : done + len(part)], part)
            except StorageError as error:
                log.warning(f"Features are not kept. {error}")
                cache = None
        rows[missing[done : done + len(part)]] = part
        done += len(part)
    assert rows is not None
    return rows
