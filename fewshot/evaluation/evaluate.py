"""Score a learner on episodes.  Nothing here trains."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation.intervals import Estimate, paired_difference
from fewshot.evaluation.metrics import accuracy, class_distances, expected_calibration_error, macro_f1, macro_f1_shares
from fewshot.features import TaskFeatures
from fewshot.learners.learner import Learner

# Elements of a pass's largest tensor: 12 MB in float32 stay in a processor's cache and in the allocator's pool.
_ELEMENTS = 3_000_000


@dataclass(frozen=True)
class Evaluation:
    """The scores of one learner on a batch of episodes.

    Args:
        logits: raw logits of every query.
        targets: the way of every query.
        temperature: of the calibration: the learner's, or one for each episode if each has its own model.
        intra_class_distance, inter_class_distance: see `class_distances`.
        seconds: time for adaptation and logits, without the distances.
        texts: which text each query is, if all episodes have one test part: intervals then cover other texts too.
    """

    logits: Float[Tensor, "episodes n_query n_way"]
    targets: Int[Tensor, "episodes n_query"]
    temperature: float | Float[Tensor, " episodes"]
    intra_class_distance: Float[Tensor, " episodes"]
    inter_class_distance: Float[Tensor, " episodes"]
    seconds: float
    texts: Int[Tensor, "episodes n_query"] | None = None

    def __getitem__(self, episodes: slice) -> "Evaluation":
        """The scores of some of the episodes."""
        parts: dict[str, Any] = {name: v[episodes] if isinstance(v, Tensor) else v for name, v in vars(self).items()}
        parts["seconds"] *= len(parts["logits"]) / len(self.logits)
        return Evaluation(**parts)

    @property
    def accuracies(self) -> Float[Tensor, " episodes"]:
        """Accuracy of each episode."""
        return accuracy(self.logits, self.targets)

    @property
    def hits(self) -> Float[Tensor, "episodes n_query"]:
        """1 for each query that is classified correctly."""
        return (self.logits.argmax(-1) == self.targets).double()

    @property
    def accuracy(self) -> Estimate:
        """Accuracy with its interval."""
        return Estimate.of(self.accuracies) if self.texts is None else Estimate.over_texts(self.hits, self.texts)

    @property
    def macro_f1(self) -> Estimate:
        """Macro-F1 with its interval."""
        if self.texts is None:
            return Estimate.of(macro_f1(self.logits, self.targets))
        return Estimate.over_texts(macro_f1_shares(self.logits, self.targets), self.texts)

    def difference(self, other: "Evaluation") -> Estimate:
        """Accuracy minus that of another learner on the same episodes, with its interval."""
        if self.texts is None:
            return paired_difference(self.accuracies, other.accuracies)
        return Estimate.over_texts(self.hits - other.hits, self.texts)

    @property
    def mean_temperature(self) -> float:
        """The temperature, averaged over episodes if each has its own."""
        return float(torch.as_tensor(self.temperature).mean())

    def ece(self, calibrated: bool) -> float:
        """Expected calibration error over all queries, before or after the temperature."""
        temperature = torch.as_tensor(self.temperature).double().reshape(-1, 1, 1) if calibrated else 1.0
        return expected_calibration_error(self.logits, self.targets, temperature)


def predict(
    learner: Learner, features: TaskFeatures, episodes: EpisodeBatch
) -> Float[Tensor, "episodes n_query n_way"]:
    """Logits of every query, in passes that fit into memory."""
    size = episodes_per_pass(features, episodes)
    with _scoring(learner):
        embedded, head = _embedded(learner, features, episodes)
        pieces = [head.adapt(embedded.support(b)).logits(embedded.query(b)) for b in episodes.split(size)]
    return torch.cat(pieces)


def mean_accuracy(learner: Learner, features: TaskFeatures, episodes: Sequence[EpisodeBatch]) -> float:
    """Accuracy over several batches of episodes, each batch counting the same."""
    scores = [float(accuracy(predict(learner, features, batch), batch.targets).mean()) for batch in episodes]
    return sum(scores) / len(scores)


def evaluate(
    learner: Learner, features: TaskFeatures, episodes: EpisodeBatch, one_test_part: bool = False
) -> Evaluation:
    """Score a learner on episodes; `one_test_part`: their queries are the same texts, as in `fixed_test_episodes`."""
    logits, distances, started = [], [], time.perf_counter()
    with _scoring(learner):
        embedded, head = _embedded(learner, features, episodes)
        seconds = time.perf_counter() - started
        for batch in episodes.split(episodes_per_pass(features, episodes)):
            started = time.perf_counter()
            classifier = head.adapt(embedded.support(batch))
            logits.append(classifier.logits(embedded.query(batch)))
            seconds += time.perf_counter() - started
            texts, ways = embedded.all_texts(batch)
            distances.append(class_distances(classifier.metric(texts), ways))
    intra, inter = (torch.cat(part) for part in zip(*distances, strict=True))
    queries = episodes.query.flatten(1) if one_test_part else None
    return Evaluation(torch.cat(logits), episodes.targets, float(learner.temperature), intra, inter, seconds, queries)


def held_out_accuracy(
    learner: Learner,
    features: TaskFeatures,
    episode: EpisodeBatch,
    splits: Sequence[tuple[Int[Tensor, " n_kept"], Int[Tensor, " n_held"]]],
) -> float:
    """Share of the held-out texts that the learner, adapted to the kept ones, classifies correctly.

    Args:
        learner: meta-trained.
        features: as in the evaluation, with their variants.
        episode: a batch of one; only its support counts.
        splits: indices of the texts that are kept and held out, in the order of `support[support_mask]`.
    """
    places = episode.support[0][episode.support_mask[0]]
    ways = episode.support_mask[0].nonzero()[:, 0]
    right, texts = 0, 0
    with _scoring(learner):
        for kept, held in splits:
            mask = episode.support_mask & torch.isin(episode.support, places[kept])
            part = replace(episode, support=episode.support.masked_fill(~mask, -1), support_mask=mask)
            logits = learner.adapt(features.support(part)).logits(features.texts[places[held]][None])
            right += int((logits[0].argmax(-1) == ways[held]).sum())
            texts += len(held)
    return right / max(1, texts)


def episodes_per_pass(features: TaskFeatures, episodes: EpisodeBatch) -> int:
    """Number of episodes that are scored together."""
    places = episodes.k_shot * (1 if features.variants is None else 1 + features.variants.max_variants)
    texts = episodes.n_way * (places + episodes.n_query + 1)
    largest = texts * max(features.dim, episodes.n_way * (places + 1))
    return max(1, _ELEMENTS // largest)


def _embedded(learner: Learner, features: TaskFeatures, episodes: EpisodeBatch) -> tuple[TaskFeatures, Learner]:
    """Features, which each went through the learner's embedding once if they never vary, and the learner of these."""
    if features.variants is not None:
        return features, learner
    return features.embedded(learner, episodes), learner.on_embedded()


@contextmanager
def _scoring(learner: Learner) -> Iterator[None]:
    """No gradients and no dropout while the block lasts."""
    was_training = learner.training
    learner.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        learner.train(was_training)
