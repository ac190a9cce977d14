"""Runs of several systems on the same supports: kept in a file, gone on with, and summed up in a table.

A run is `{task, shots, seed, system, accuracy, seconds, processor_seconds}`: a fraction, and times of the clock and
of the processor.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.errors import ConfigError
from fewshot.evaluation import Estimate, paired_difference

Run = dict[str, Any]
Cell = tuple[str, int]  # task and shots
Found = Mapping[tuple[str, int, int, str], Run]  # task, shots, seed, system


def kept(path: Path, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[Run]]:
    """The settings and runs that a file holds, to go on with.

    Raises:
        ConfigError: they were measured under other settings.
    """
    if not path.is_file():
        return dict(settings), []
    content = json.loads(path.read_text(encoding="utf-8"))
    other = [name for name, value in settings.items() if content["settings"].get(name, value) != value]
    if other:
        name = other[0]
        raise ConfigError(
            f"The runs in {str(path)!r} were measured with {name}={content['settings'][name]}, and now it is "
            f"{settings[name]}: one table would not compare them. Choose another --name, or move the file away."
        )
    return content["settings"] | settings, content["runs"]


def table(runs: Sequence[Run], peer: str) -> list[dict[str, str]]:
    """A row for each task, number of shots and system, then the systems over all of them.

    Args:
        runs: in any order; systems come in the order of their first runs.
        peer: the system that the others are set beside.
    """
    systems = list(dict.fromkeys(run["system"] for run in runs))
    found = {(run["task"], run["shots"], run["seed"], run["system"]): run for run in runs}
    cells = sorted({(run["task"], run["shots"]) for run in runs})
    places = {(task, str(shots)): [(task, shots)] for task, shots in cells} | {("all", "all"): cells}
    return [
        row(place, own, system, peer, found)
        for place, own in places.items()
        for system in systems
        if seeds(own, system, found)
    ]


def row(place: tuple[str, str], cells: Sequence[Cell], system: str, peer: str, found: Found) -> dict[str, str]:
    """One system, beside the peer on the seeds for which there is the peer too."""
    own = seeds(cells, system, found)
    both = [seed for seed in own if seed in seeds(cells, peer, found) and system != peer]
    cell = {"task": place[0], "shots": place[1], "system": system, "seeds": str(len(own))}
    cell["accuracy"] = Estimate.of(means(cells, system, own, "accuracy", found)).percent()
    cell[f"against {peer}"] = ""
    if both:
        accuracies = [means(cells, name, both, "accuracy", found) for name in (system, peer)]
        cell[f"against {peer}"] = paired_difference(*accuracies).percent(sign=True)
    for key, word in (("seconds", "s"), ("processor_seconds", "processor s")):
        cell[word] = f"{means(cells, system, own, key, found).mean():.1f}"
        cell[f"{word}, times as fast"] = ""
        if both:
            ours, theirs = (means(cells, name, both, key, found).mean() for name in (system, peer))
            cell[f"{word}, times as fast"] = f"{theirs / ours:.1f}"
    return cell


def seeds(cells: Sequence[Cell], system: str, found: Found) -> list[int]:
    """The seeds for which a system was measured in each of the cells."""
    candidates = sorted({seed for *_, seed, name in found if name == system})
    return [seed for seed in candidates if all((*cell, seed, system) in found for cell in cells)]


def means(
    cells: Sequence[Cell], system: str, chosen: Sequence[int], key: str, found: Found
) -> Float[Tensor, " n_seeds"]:
    """For each seed the mean over the cells."""
    values = [[found[*cell, seed, system][key] for cell in cells] for seed in chosen]
    return torch.tensor(values, dtype=torch.float64).mean(1)
