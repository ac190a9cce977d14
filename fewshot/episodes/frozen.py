"""Frozen episodes: drawn once from a seed, kept in a file, the same for every learner and every run.

The file is safetensors; its header has the task and the split.  The package ships them for `medical_terms` (5-way and
all-way); others are drawn on first use and kept beside the outputs.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.sampler import check_request, sample_episodes, sample_realistic_episodes
from fewshot.randomness import child_generator
from fewshot.storage import write_tensors
from fewshot.tasks.class_pools import ClassPools
from fewshot.tasks.task import Part, Task

log = logging.getLogger(__name__)

_SEED = 0  # of all frozen episodes; the seed of a run changes training, never the episodes


@dataclass(frozen=True)
class EpisodeRequest:
    """Which episodes to draw.

    Args:
        part: the part of the classes.
        ways: classes per episode, or None for all of the part.
        shots: support texts per class.
        queries: query texts per class.
        episodes: their number.
        realistic: unequal support sizes, as `sample_realistic_episodes` draws them.
    """

    part: Part
    ways: int | None
    shots: int
    queries: int
    episodes: int
    realistic: bool = False

    @property
    def file_name(self) -> str:
        """`test-5way-5shot-15query-600.safetensors`, say."""
        ways = "all" if self.ways is None else self.ways
        kind = "-realistic" if self.realistic else ""
        return f"{self.part}-{ways}way-{self.shots}shot-{self.queries}query-{self.episodes}{kind}.safetensors"


def draw(task: Task, request: EpisodeRequest, pools: ClassPools | None = None) -> EpisodeBatch:
    """Draw episodes from the fixed seed, the same in every process; from all texts of the part if `pools` is None.

    Raises:
        ConfigError, TaskError: see `sample_episodes`.
    """
    pools = pools or task.pools(request.part)
    ways = len(pools.classes) if request.ways is None else request.ways
    sample = sample_realistic_episodes if request.realistic else sample_episodes
    generator = child_generator(_SEED, f"frozen/{task.name}/{task.split}/{request.part}/{ways}")
    return sample(pools, request.episodes, ways, request.shots, request.queries, generator)


def save_episodes(path: Path, batch: EpisodeBatch, task: Task) -> None:
    """Write episodes, with indices of two bytes if they fit; StorageError if the file cannot be written."""
    kind = torch.int16 if len(task.texts) < 2**15 else torch.int32
    tensors = {name: getattr(batch, name).to(kind) for name in ("classes", "support", "query")}
    write_tensors(path, tensors, {"task": task.name, "task_sha256": task.sha256, "split": task.split})


def load_episodes(path: Path, task: Task) -> EpisodeBatch | None:
    """Read episodes; None if there is no file, it is damaged, or it belongs to other texts."""
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            if (file.metadata() or {}).get("task_sha256") != task.sha256:
                log.info(f"{path} was made for other texts than this task's: drawing episodes anew")
                return None
            classes, support, query = (file.get_tensor(name).long() for name in ("classes", "support", "query"))
    except (SafetensorError, OSError) as error:
        log.warning(f"{path} is damaged ({error}): drawing the episodes again")
        return None
    texts = torch.cat([support, query], dim=-1)
    right = task.labels[texts.clamp(0, len(task.texts) - 1)] == classes[..., None]
    if bool(((right & (texts < len(task.texts))) | (texts == -1)).all()):
        return EpisodeBatch(classes, support, support >= 0, query)
    log.warning(f"{path} is damaged (texts of other classes): drawing the episodes again")
    return None


def frozen_episodes(task: Task, request: EpisodeRequest, shipped: Path | None, kept: Path | None) -> EpisodeBatch:
    """The frozen episodes of a task: shipped ones if they suffice, else kept ones, else newly drawn.

    Args:
        task: the task.
        request: which episodes.
        shipped: the task's folder of shipped files, if it has one.
        kept: folder of episodes that are not shipped; None keeps nothing.

    Raises:
        ConfigError, TaskError: the classes cannot fill the episodes.
        StorageError: `kept` cannot be written.
    """
    found = None if shipped is None or request.realistic else _from_shipped(task, request, shipped)
    if found is not None or kept is None:
        return draw(task, request) if found is None else found
    path = kept / f"{task.name}-{task.split}-{task.sha256[:12]}" / request.file_name
    episodes = load_episodes(path, task)
    if episodes is None:
        episodes = draw(task, request)
        save_episodes(path, episodes, task)
    return episodes


def shipped_file(folder: Path, task: Task, ways: int | None) -> Path:
    """The file of a task's shipped test episodes."""
    return folder / f"test_episodes_{task.split}_{'all' if ways is None else ways}way.safetensors"


def _from_shipped(task: Task, request: EpisodeRequest, folder: Path) -> EpisodeBatch | None:
    ways = None if request.ways == len(task.parts[request.part]) else request.ways
    episodes = load_episodes(shipped_file(folder, task, ways), task) if request.part == "test" else None
    if episodes is None or request.episodes > len(episodes):
        return None
    if request.shots > episodes.k_shot or request.queries > episodes.n_query:
        return None
    check_request(task.pools("test"), episodes.n_way, request.shots, request.queries)
    return episodes.prefix(request.shots, request.queries, request.episodes)
