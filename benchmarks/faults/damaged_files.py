"""Every file format cut off at each length, and with one bit flipped."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.formats import Format, formats
from benchmarks.faults.tally import Trial

_CUTS = 100  # lengths at which a format is cut off, for each flip; in the long form these are all


def files(flips: int, generator: random.Random, folder: Path) -> Iterator[Trial]:
    """Each format cut off at each length, and with one bit flipped so many times."""
    for found in formats(folder):
        good = found.read()
        assert good == found.read(), f"{found.name} is not read the same twice"
        yield from _damaged(found, good, flips, generator)


def _damaged(found: Format, good: Any, flips: int, generator: random.Random) -> Iterator[Trial]:
    contents = {path: path.read_bytes() for path in found.paths}
    step = max(1, sum(map(len, contents.values())) // (_CUTS * flips))
    attempt: Callable[[], str] = partial(_same, found.read, good)
    for path, whole in contents.items():
        for cut in range(0, len(whole), step):
            path.write_bytes(whole[:cut])
            yield Trial(f"files {found.name}, {path.name} cut at {cut}", attempt)
        for _ in range(max(1, flips // len(contents))):
            bit = generator.randrange(8 * len(whole))
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            yield Trial(f"files {found.name}, {path.name} bit {bit}", attempt)
        path.write_bytes(whole)


def _same(read: Callable[[], Any], good: Any) -> str:
    found = read()
    return "refused" if found is None else "same" if found == good else "fault"
