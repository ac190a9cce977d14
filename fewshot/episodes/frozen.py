"""Episodes that are the same for every learner and every run: frozen ones, and standard splits.

Frozen ones are drawn once from a seed and kept in a safetensors file, whose header has the task and the split. The
package ships them for `medical_terms` (5-way and all-way); others are drawn on first use and kept beside the outputs.

A standard split has one fixed test part of the texts, and supports drawn from the other texts: with many shots there
are too few texts for separate queries in each episode, and tuning for minutes is possible a few times, not six hundred.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.sampler import check_request, sample_episodes, sample_realistic_episodes, too_many_ways
from fewshot.errors import TaskError
from fewshot.randomness import child_generator
from fewshot.storage import file_name, read_tensors, write_tensors
from fewshot.tasks.task import ClassPools, Part, Task

log = logging.getLogger(__name__)

_FEW = 5  # test texts of a class; fewer give a warning
_SEED = 0  # the seed of a run changes training, never the episodes


@dataclass(frozen=True)
class EpisodeRequest:
    """A request for episodes: `ways` None is all classes of the part, `realistic` gives unequal support sizes."""

    part: Part
    ways: int | None
    shots: int
    queries: int
    episodes: int
    realistic: bool = False

    @property
    def file_name(self) -> str:
        """Such as `test-5way-5shot-15query-600.safetensors`."""
        ways = "all" if self.ways is None else self.ways
        kind = "-realistic" if self.realistic else ""
        return f"{self.part}-{ways}way-{self.shots}shot-{self.queries}query-{self.episodes}{kind}.safetensors"


def draw(task: Task, request: EpisodeRequest, pools: ClassPools | None = None, purpose: str = "frozen") -> EpisodeBatch:
    """Draw episodes from the fixed seed; errors as in `sample_episodes`.

    `pools` None is all texts of the part: each source has the same share of the episodes, and `ways` None is the number
    of classes of the smallest source. Another `purpose` gives other episodes.
    """
    sources = list(task.source_pools(request.part).values()) if pools is None else [pools]
    ways = min(len(source.classes) for source in sources) if request.ways is None else request.ways
    sample = sample_realistic_episodes if request.realistic else sample_episodes
    generator = child_generator(_SEED, f"{purpose}/{task.stream}/{task.split}/{request.part}/{ways}")
    batches = []
    for number, source in enumerate(sources):
        n_episodes = len(range(number, request.episodes, len(sources)))
        batches.append(sample(source, n_episodes, ways, request.shots, request.queries, generator))
    return EpisodeBatch.cat(batches)


def save_episodes(path: Path, batch: EpisodeBatch, task: Task) -> None:
    """Write episodes, with indices of two bytes if they fit; StorageError if the file cannot be written."""
    kind = torch.int16 if len(task.texts) < 2**15 else torch.int32
    tensors = {name: getattr(batch, name).to(kind) for name in ("classes", "support", "query")}
    write_tensors(path, tensors, {"task": task.name, "task_sha256": task.texts_sha256, "split": task.split})


def load_episodes(path: Path, task: Task) -> EpisodeBatch | None:
    """Read episodes; None if there is no file, it is damaged, or it belongs to other texts."""
    if not path.is_file():
        return None
    try:
        tensors, metadata = read_tensors(path)
        if metadata.get("task_sha256") != task.texts_sha256:
            log.info(f"{path} was made for other texts than this task's: drawing episodes anew")
            return None
        classes, support, query = (tensors[name].long() for name in ("classes", "support", "query"))
        check_episodes(classes, support, query, task)
    except (OSError, ValueError, KeyError) as error:
        log.warning(f"{path} is damaged ({error}): drawing the episodes again")
        return None
    return EpisodeBatch(classes, support, support >= 0, query)


def check_episodes(classes: Tensor, support: Tensor, query: Tensor, task: Task) -> None:
    """Refuse indices that are no episodes of a task with a ValueError; arguments as in `EpisodeBatch`.

    1. Classes of an episode are different ones of the task.
    2. Each text is one of its class, or -1 for padding, which is behind the texts of a class.
    3. No text is in an episode twice, so none is both support and query.
    """
    if classes.dim() != 2 or bool(((classes < 0) | (classes >= len(task.classes))).any()):
        raise ValueError("it has classes that are none of the task's")
    if len(classes) and bool((classes.sort(1).values.diff(dim=1) == 0).any()):
        raise ValueError("it has a class twice in an episode")
    if any(part.dim() != 3 or part.shape[:2] != classes.shape for part in (support, query)):
        raise ValueError("its support or queries are not those of its classes")
    texts = torch.cat([support, query], dim=-1)
    if bool(((texts < -1) | (texts >= len(task.texts))).any()):
        raise ValueError("it has texts that are none of the task's")
    if bool(((task.labels[texts.clamp(min=0)] != classes[..., None]) & (texts >= 0)).any()):
        raise ValueError("it has texts of other classes")
    ordered = texts.sort(-1).values
    if bool(((ordered.diff(dim=-1) == 0) & (ordered[..., 1:] >= 0)).any()):
        raise ValueError("it has a text twice in an episode")
    if any(bool(((part[..., :-1] < 0) & (part[..., 1:] >= 0)).any()) for part in (support, query)):
        raise ValueError("it has gaps among the texts of a class")


def frozen_episodes(task: Task, request: EpisodeRequest, shipped: Path | None, kept: Path | None) -> EpisodeBatch:
    """The frozen episodes of a task: shipped ones if they are enough, else stored ones, else new ones.

    `shipped` is the task's folder of shipped files, `kept` the folder of others; None stores nothing.

    Raises:
        ConfigError, TaskError: the classes cannot fill the episodes.
        StorageError: `kept` cannot be written.
    """
    from_package = None if shipped is None or request.realistic else _from_shipped(task, request, shipped)
    if from_package is not None or kept is None:
        return draw(task, request) if from_package is None else from_package
    path = kept / f"{file_name(task.name)}-{file_name(task.split)}-{task.texts_sha256[:12]}" / request.file_name
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


def fixed_test_episodes(
    task: Task, classes: Sequence[int], ways: int | None, shots: int, test_texts: int, episodes: int
) -> EpisodeBatch:
    """Episodes that differ in their supports, and in their classes if `ways` is fewer than all.

    1. The test part has the same texts of each class: `test_texts`, or half of the smallest class. Their order depends
       on the stream of the task and the label alone, not on shots or on the class split.
    2. A support has up to `shots` of the other texts of a class; if there are fewer, all of them, and padding.
    3. The support with fewer shots is the beginning of the one with more.

    Args:
        task, classes: the task, and class ids of it to choose from.
        ways, shots: classes per episode (None: all), and maximum of support texts per class.
        test_texts: maximum of queries per class.
        episodes: their number; one if every support would be the same texts.

    Raises:
        ConfigError: more ways than classes.
        TaskError: a class of one text.
    """
    if ways is not None and ways > len(classes):
        raise too_many_ways(ways, len(classes))
    members = [(task.labels == label).nonzero().flatten() for label in classes]
    size, smallest = min((len(texts), task.classes[label]) for texts, label in zip(members, classes, strict=True))
    if size < 2:
        raise TaskError(
            f"Class {smallest!r} has {size} text, but one is needed for the support and one for the test part. Add "
            f"texts, or set task.min_texts=2 to leave such classes out."
        )
    queries = min(test_texts, size // 2)
    if queries < min(test_texts, _FEW):
        log.warning(
            f"The test part has {queries} texts of each class, for the class {smallest!r} has {size} texts; expected "
            f"{test_texts}. Add texts of it, or leave out such small classes (task.min_texts={2 * _FEW})."
        )
    names = [f"{task.stream}/{task.classes[label]}" for label in classes]
    shuffled = [_shuffled(texts, name) for texts, name in zip(members, names, strict=True)]
    pools = [texts[queries:] for texts in shuffled]
    short = [len(pool) for pool in pools if len(pool) < shots]
    if short:
        log.info(
            f"{len(short)} of {len(classes)} classes have fewer than {shots} texts beside the test part of {queries} "
            f"each: {min(short)} or more"
        )
    largest, all_ways = max(map(len, pools)), torch.arange(len(classes))
    has_all_classes = ways in (None, len(classes))
    if episodes > 1 and shots >= largest and has_all_classes:
        log.info("One support, for it has all texts beside the test part")
        episodes = 1
    drawn = [
        all_ways if has_all_classes else _shuffled(all_ways, f"{task.stream}/ways {number}")[:ways]
        for number in range(episodes)
    ]
    chosen = torch.stack(drawn)
    support = torch.full((*chosen.shape, min(shots, largest)), -1)
    for number, row in enumerate(chosen.tolist()):
        for way, index in enumerate(row):
            texts = _shuffled(pools[index], f"{names[index]}/support {number}")[:shots]
            support[number, way, : len(texts)] = texts
    test = torch.stack([texts[:queries] for texts in shuffled])
    return EpisodeBatch(torch.tensor(list(classes))[chosen], support, support >= 0, test[chosen])


def max_support(task: Task, classes: Sequence[int], test_texts: int) -> int:
    """Texts of the largest class outside the test part of `fixed_test_episodes`."""
    sizes = torch.bincount(task.labels, minlength=len(task.classes))[torch.tensor(list(classes))]
    return int(sizes.max()) - min(test_texts, int(sizes.min()) // 2)


def _shuffled(values: Tensor, stream: str) -> Tensor:
    return values[torch.randperm(len(values), generator=child_generator(_SEED, f"fixed test/{stream}"))]
