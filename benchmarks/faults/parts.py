"""The parts of the harness, by name: what each tries, and how often."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.faults import malformed
from benchmarks.faults.crowds import crowds
from benchmarks.faults.damaged_files import files
from benchmarks.faults.disks import full_disk, read_only
from benchmarks.faults.kills import kills
from benchmarks.faults.launched import launched
from benchmarks.faults.reloaded import reloaded
from benchmarks.faults.tally import Trial


@dataclass(frozen=True)
class Part:
    """One kind of trial.

    Args:
        title: for the help.
        trials: generator and an empty folder → trials, of which as many are drawn as are wanted.
        quick: trials in the tests.
        long: trials by hand; None: all there are.
    """

    title: str
    trials: Callable[[Random, Path], Iterator[Trial]]
    quick: int | None
    long: int | None


def parts(is_quick: bool) -> dict[str, Part]:
    """All parts by name; a new one joins here."""
    flips = 2 if is_quick else 5000
    return {
        "inputs": Part("task files and folders", malformed.inputs, 100, 2500),
        "settings": Part("settings of the command line", malformed.settings, 15, 2500),
        "results": Part("results of a run, for the table and the page", malformed.results, 40, 2500),
        "saved": Part("JSON of a saved classifier, under right digests", malformed.saved, 40, 2500),
        "files": Part("file formats, cut at each length and with one bit flipped", partial(files, flips), None, None),
        "kills": Part("SIGKILL, then the same command again", kills, 6, 100),
        "full_disk": Part("a disk that fills up", full_disk, 3, 90),
        "read_only": Part("a folder that cannot be written", read_only, 3, None),
        "crowds": Part("two to four processes at once in one folder", crowds, 2, 45),
        "reloaded": Part("saved, loaded by a fresh process", reloaded, None, None),
        "launched": Part("two processes under torchrun, killed and resumed", launched, 1, 6),
    }
