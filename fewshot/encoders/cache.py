"""Features on disk: one folder per encoder, in it immutable files that two processes can share."""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.encoders.shard import DamagedShardError, Shard, read_shard, write_shard
from fewshot.errors import StorageError

log = logging.getLogger(__name__)

MAX_SMALL_SHARDS = 32  # more than these are merged into one
SMALL = 64 * 2**20  # bytes; larger shards are left alone, so that merging never rewrites the whole cache


def default_folder() -> Path:
    """`$FEWSHOT_CACHE`, or `fewshot/features` in the user's cache folder (`$XDG_CACHE_HOME`, `~/.cache`)."""
    if chosen := os.environ.get("FEWSHOT_CACHE"):
        return Path(chosen).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "fewshot" / "features"


def text_key(text: str) -> bytes:
    """16 bytes that stand for a text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class FeatureCache:
    """The features that one encoder has already computed.

    A shard is written whole under the hash of its content and never changed, so readers need no lock. A shard
    that vanishes is a miss; a damaged one is removed and its texts are encoded again. Each encoder has a sub-folder,
    named by its fingerprint.
    """

    def __init__(self, folder: Path | str, fingerprint: str):
        self.folder = Path(folder) / fingerprint
        self._shards: list[Shard] = []
        self._seen: set[str] = set()  # names of the files that were opened or refused
        self._rows: dict[bytes, tuple[int, int]] = {}  # key → (shard, row in it)

    def lookup(self, texts: Sequence[str]) -> tuple[Float[Tensor, "n_texts dim"] | None, list[int]]:
        """Read the features in the cache; texts may repeat.

        Returns:
            rows: float32, in the order of `texts`; a row that is missing holds NaN. None if all are missing.
            missing: positions in `texts` of the missing rows, ascending.
        """
        self._refresh()
        places = [self._rows.get(text_key(text)) for text in texts]
        missing = [position for position, place in enumerate(places) if place is None]
        if len(missing) == len(texts):
            return None, missing
        rows = torch.full((len(texts), self._shards[0].features.shape[1]), float("nan"))
        found: dict[int, dict[int, int]] = {}  # shard → position in texts → row in the shard
        for position, place in enumerate(places):
            if place is not None:
                found.setdefault(place[0], {})[position] = place[1]
        for shard, numbers in found.items():
            rows[list(numbers)] = self._shards[shard].features[list(numbers.values())]
        return rows, missing

    def store(self, texts: Sequence[str], features: Float[Tensor, "n_texts dim"]) -> None:
        """Add the features of distinct texts in one new shard.

        Raises:
            StorageError: the shard could not be written; the cache is as it was before.
        """
        file = write_shard(self.folder, [text_key(text) for text in texts], features)
        self._seen.discard(file.name)  # a damaged file of this name may have been refused before

    def _refresh(self) -> None:
        """Open the shards that this process has not seen yet, other processes' shards among them."""
        small = []
        # A file that vanishes before it is opened went into a merged one: look until there is nothing new.
        while unseen := [file for file in self._files() if file.name not in self._seen]:
            for file in unseen:
                self._seen.add(file.name)
                shard = _open(file)
                if shard is None:
                    continue
                self._rows.update((key, (len(self._shards), row)) for row, key in enumerate(shard.keys))
                self._shards.append(shard)
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


def _open(file: Path) -> Shard | None:
    try:
        return read_shard(file)
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning(f"The feature file {file} cannot be read now ({error}); its texts are encoded again.")
    except DamagedShardError as error:
        log.warning(f"The feature file {file} cannot be used: {error}. It is removed, and its texts are encoded again.")
        _remove(file)
    return None


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        log.warning(f"The feature file {file} could not be removed: {error.strerror or error}.")


def filled(
    cache: FeatureCache | None,
    texts: Sequence[str],
    encode: Callable[[list[str]], Iterable[Float[Tensor, "n_part dim"]]],
) -> Float[Tensor, "n_texts dim"]:
    """Features of distinct texts, float32: from the cache, if there is one, or computed and put there.

    `encode` computes features part by part; each part is put into the cache before the next one is computed.
    """
    rows, missing = (None, list(range(len(texts)))) if cache is None else cache.lookup(texts)
    if rows is not None and not missing:
        return rows
    absent = [texts[index] for index in missing]
    computed: list[Tensor] = []
    for part in encode(absent):
        done = sum(map(len, computed))
        if cache is not None:
            cache.store(absent[done : done + len(part)], part)
        computed.append(part)
    if rows is None:
        return torch.cat(computed)
    rows[missing] = torch.cat(computed)
    return rows
