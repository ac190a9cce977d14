"""The episodes of a protocol, the features of a task, and the support of an episode as labelled texts."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fewshot.encoders import Encoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.cross_validation import cross_validation
from fewshot.episodes.frozen import EpisodeRequest, draw, fixed_test_episodes, frozen_episodes
from fewshot.episodes.labelled import LabelledTexts
from fewshot.episodes.sampler import corrupt_support
from fewshot.errors import ConfigError
from fewshot.experiment.protocol import Protocol
from fewshot.features import TaskFeatures, encoded_features
from fewshot.processes import main_first
from fewshot.randomness import child_generator
from fewshot.resources import shipped
from fewshot.storage import file_name
from fewshot.tasks.task import ClassPools, Task

log = logging.getLogger(__name__)

_MAX_VALID_SHOTS = 20  # with more, evaluations take most of the time of a meta-training
# Meta-valid episodes: enough that half a point can be seen, few enough that an evaluation takes a tenth of a second.
VALID_EPISODES, _VALID_ALL_WAY_EPISODES, _VALID_QUERIES = 300, 20, 5
_VALID_LOGITS = 750_000  # of all-way episodes, for each query of a class: the fewer, the more classes there are


@dataclass(frozen=True)
class TaskEncoder:
    """Features of a task by several encoders, computed once for each."""

    task: Task
    label_names: bool
    _features: dict[Encoder, TaskFeatures] = field(default_factory=dict, repr=False)

    def __call__(self, encoder: Encoder) -> TaskFeatures:
        """Unit features of all texts, and of the label names if they are used."""
        if encoder not in self._features:
            n_texts = len(self.task.texts) + (len(self.task.label_texts()) if self.label_names else 0)
            log.info(f"Encoding {n_texts:,} texts with {encoder.described}")
            with main_first():
                self._features[encoder] = encoded_features(encoder, self.task, self.label_names)
        return self._features[encoder]


def scored_classes(task: Task, protocol: Protocol) -> Sequence[int]:
    """Ids of the classes that are scored."""
    return task.parts["test"] if protocol.classes == "test" else range(len(task.classes))


def episodes_of(task: Task, protocol: Protocol, kept: Path | None = None) -> EpisodeBatch:
    """The frozen test episodes, with wrong labels in the support if the protocol has noise.

    Sampled episodes that are not shipped are stored in the folder `kept`, if it is given.

    Raises:
        ConfigError, TaskError: the classes cannot fill the episodes.
    """
    assert protocol.shots != "auto"
    if protocol.protocol == "cross_validation":
        episodes = cross_validation(task, scored_classes(task, protocol), protocol.shots).episodes
    elif protocol.protocol == "fixed_test":
        all_alike = protocol.shots == 0 and protocol.ways is None
        supports = 1 if all_alike else min(protocol.supports, protocol.episodes)
        classes = scored_classes(task, protocol)
        episodes = fixed_test_episodes(task, classes, protocol.ways, protocol.shots, protocol.test_texts, supports)
    else:
        request = EpisodeRequest(
            "test", protocol.ways, protocol.shots, protocol.queries, protocol.episodes, protocol.realistic
        )
        folder = shipped("episodes") / file_name(task.name)
        episodes = frozen_episodes(task, request, folder if folder.is_dir() else None, kept)
    noise = protocol.support_noise
    if not noise:
        return episodes
    if not bool(episodes.support_mask.all()):
        raise ConfigError(
            f"Got support_noise={noise} where some classes have fewer than {protocol.shots} texts for the support; "
            f"noise needs equal sizes. Lower shots, or set support_noise=0."
        )
    return corrupt_support(episodes, noise, child_generator(0, f"noise/{task.stream}/{noise}"))


def valid_episodes(
    task: Task, protocol: Protocol, max_texts: int | None = None, fewer: int = 1, purpose: str = "frozen"
) -> list[EpisodeBatch]:
    """Episodes of the valid classes of each source: with the ways and shots of the test episodes, and with all classes.

    Support sizes are equal and labels right, also if those of the test episodes are not; the smallest class limits the
    shots.

    Args:
        task: the task.
        protocol: ways and shots.
        max_texts: of each class that episodes are drawn from; None is all.
        fewer: divisor of the number of episodes.
        purpose: names their random stream; a temperature is not fitted to the episodes that chose the checkpoint.
    """
    sources = task.source_pools("valid").values()
    return [batch for pools in sources for batch in _of_pools(pools, task, protocol, max_texts, fewer, purpose)]


def _of_pools(
    pools: ClassPools, task: Task, protocol: Protocol, max_texts: int | None, fewer: int, purpose: str
) -> list[EpisodeBatch]:
    pools = pools if max_texts is None else pools.thinned(max_texts)
    assert protocol.shots != "auto"
    n_classes, smallest = len(pools.classes), int(pools.sizes.min())
    queries = max(1, min(_VALID_QUERIES, smallest - 1))
    shots = min(protocol.shots, max(1, smallest - queries), _MAX_VALID_SHOTS)
    ways = min(protocol.ways or n_classes, n_classes)
    max_all_way = max(8, _VALID_LOGITS // n_classes**2)
    sampled = VALID_EPISODES if ways < n_classes else min(VALID_EPISODES, max_all_way)
    requests = [EpisodeRequest("valid", ways, shots, queries, sampled // fewer)]
    if ways < n_classes:
        n_all_way = min(_VALID_ALL_WAY_EPISODES, max_all_way) // fewer
        requests.append(EpisodeRequest("valid", None, shots, queries, n_all_way))
    return [draw(task, request, pools, purpose) for request in requests]


def calibration_episodes(task: Task, protocol: Protocol) -> EpisodeBatch:
    """Valid episodes of all sources in the shape of the test episodes, other than those that chose a checkpoint."""
    first, *others = valid_episodes(task, protocol, purpose="calibration")
    alike = [batch for batch in others if (batch.n_way, batch.n_query) == (first.n_way, first.n_query)]
    return EpisodeBatch.cat([first, *alike])


def labelled_support(task: Task, episode: EpisodeBatch, label_names: bool) -> LabelledTexts:
    """The support of an episode, a batch of one, as labelled texts."""
    mask, classes, names = episode.support_mask[0], episode.classes[0].tolist(), task.label_texts()
    return LabelledTexts(
        texts=[task.texts[index] for index in episode.support[0][mask].tolist()],
        classes=mask.nonzero()[:, 0],
        labels=tuple(task.classes[label] for label in classes),
        label_names=tuple(names[label] for label in classes) if label_names else None,
    )
