"""Score a learner on episodes.  Nothing here trains."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from scipy.special import stdtrit
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.cross_validation import CrossValidation
from fewshot.evaluation.intervals import Estimate, Sample
from fewshot.evaluation.metrics import accuracy, class_distances, expected_calibration_error, macro_f1_shares
from fewshot.features import TaskFeatures
from fewshot.learners.learner import Learner

_ONE_ERROR = 0.8413  # of a normal distribution is below one standard error
_SEVERAL = 10  # classes
# Elements of a pass's largest tensor: 12 MB in float32 stay in a processor's cache and in the allocator's pool.
_ELEMENTS = 3_000_000


@dataclass(frozen=True)
class Evaluation:
    """The scores of one learner on a batch of episodes.

    Args:
        logits: raw logits of every query.
        targets: the way of every query.
        sample: which texts and classes the queries are of; a repeat of a cross-validation is one episode here.
        temperature: of the calibration: the learner's, or one for each episode or query if these have their own model.
        intra_class_distance, inter_class_distance: see `class_distances`.
        seconds: time for adaptation and logits, without the distances.
    """

    logits: Float[Tensor, "episodes n_query n_way"]
    targets: Int[Tensor, "episodes n_query"]
    sample: Sample
    temperature: float | Float[Tensor, " episodes"] | Float[Tensor, "episodes n_query"]
    intra_class_distance: Float[Tensor, " episodes"]
    inter_class_distance: Float[Tensor, " episodes"]
    seconds: float

    def __getitem__(self, episodes: slice) -> "Evaluation":
        """The scores of some of the episodes."""
        parts: dict[str, Any] = {
            name: value[episodes] if isinstance(value, (Tensor, Sample)) else value
            for name, value in vars(self).items()
        }
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
        """Accuracy with its intervals."""
        return self.sample.share(self.hits)

    @property
    def macro_f1(self) -> Estimate:
        """Macro-F1 with its intervals."""
        return self.sample.share(macro_f1_shares(self.logits, self.targets))

    def difference(self, other: "Evaluation") -> Estimate:
        """Accuracy minus that of another learner on the same episodes, with its intervals."""
        return self.sample.difference(self.hits - other.hits)

    @property
    def mean_temperature(self) -> float:
        """The temperature, averaged where there are several."""
        return float(torch.as_tensor(self.temperature).mean())

    def ece(self, calibrated: bool) -> float:
        """Expected calibration error over all queries, before or after the temperature."""
        logits = self.calibrated_logits if calibrated else self.logits
        return expected_calibration_error(logits, self.targets)

    @property
    def calibrated_logits(self) -> Float[Tensor, "episodes n_query n_way"]:
        """Logits divided by their temperature, in double precision."""
        temperature = torch.as_tensor(self.temperature).double()
        while temperature.ndim < 3:
            temperature = temperature[..., None]
        return self.logits.double() / temperature


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


@dataclass(frozen=True)
class ClassGain:
    """The mean gain in accuracy over some classes, its standard error over these, and their number."""

    mean: float
    standard_error: float
    n_classes: int

    @classmethod
    def of(
        cls,
        after: Sequence[Tensor],
        before: Sequence[Tensor],
        episodes: Sequence[EpisodeBatch],
    ) -> "ClassGain":
        """From logits `[episodes, n_query, n_way]` after and before on the same batches, each counting the same."""
        gains: dict[int, list[float]] = {}  # of a class, in each batch that has it
        for new, old, batch in zip(after, before, episodes, strict=True):
            gain = (new.argmax(-1) == batch.targets).double() - (old.argmax(-1) == batch.targets).double()
            ids, places = batch.classes.gather(1, batch.targets).unique(return_inverse=True)
            sums = torch.zeros(len(ids), dtype=torch.double).index_add_(0, places.flatten(), gain.flatten())
            means = sums / torch.bincount(places.flatten(), minlength=len(ids))
            for label, mean in zip(ids.tolist(), means.tolist(), strict=True):
                gains.setdefault(label, []).append(mean)
        by_class = torch.tensor([sum(own) / len(own) for own in gains.values()], dtype=torch.double)
        n_classes = len(by_class)
        error = float(by_class.std()) / n_classes**0.5 if n_classes > 1 else float("inf")
        return cls(float(by_class.mean()), error, n_classes)

    @property
    def is_sure(self) -> bool:
        """Whether to expect a gain on other classes too: it exceeds its standard error, in Student's terms.

        With fewer than ten classes, where the best step of a training is easily the best by chance, it has to exceed
        the half-width of the 95 % interval. Both were chosen on class splits of four tasks: with 17 or 25 valid classes
        one standard error keeps what gains on test classes, and with 4 it keeps what loses 2 to 3 points there.
        """
        if self.n_classes < 2:
            return False
        level = _ONE_ERROR if self.n_classes >= _SEVERAL else 0.975
        return self.mean > float(stdtrit(self.n_classes - 1, level)) * self.standard_error

    def __str__(self) -> str:
        error = f"standard error {100 * self.standard_error:.1f} over {self.n_classes} classes"
        return f"{100 * self.mean:+.1f} points, {error}"


def evaluate(
    learner: Learner, features: TaskFeatures, episodes: EpisodeBatch, sample: Sample | None = None
) -> Evaluation:
    """Score a learner on episodes; `sample` None: they were sampled, and stand for other texts and classes too."""
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
    sample = sample or Sample.of(episodes)
    return Evaluation(torch.cat(logits), episodes.targets, sample, float(learner.temperature), intra, inter, seconds)


def by_text(found: Evaluation, folds: CrossValidation) -> Evaluation:
    """The scores of the folds of a cross-validation by text: each repeat is an episode with every tested text.

    Repeats that were not finished are left out, but for the first, which then has the texts that were tested.
    """
    repeats = max(1, len(found.logits) // folds.folds)
    query = folds.episodes[: min(len(found.logits), repeats * folds.folds)].query.flatten(1).unflatten(0, (repeats, -1))
    asked = query >= 0
    order = torch.stack([own[mask].argsort() for own, mask in zip(query, asked, strict=True)])

    def sorted_(values: Tensor) -> Tensor:
        """From folds and queries to repeats and texts."""
        parts = values[: asked.shape[0] * asked.shape[1]].unflatten(0, asked.shape[:2])
        return torch.stack([own[mask][places] for own, mask, places in zip(parts, asked, order, strict=True)])

    def mean(values: Tensor) -> Tensor:
        return values[: asked.shape[0] * asked.shape[1]].unflatten(0, asked.shape[:2]).nanmean(1)

    temperature = found.temperature
    if isinstance(temperature, Tensor):
        temperature = sorted_(temperature[:, None].expand(-1, query.shape[2]))
    return Evaluation(
        logits=sorted_(found.logits),
        targets=sorted_(found.targets),
        sample=Sample("cross_validation", sorted_(query.flatten(0, 1)), folds=folds.folds),
        temperature=temperature,
        intra_class_distance=mean(found.intra_class_distance),
        inter_class_distance=mean(found.inter_class_distance),
        seconds=found.seconds,
    )


def held_out_accuracy(
    learner: Learner,
    features: TaskFeatures,
    episode: EpisodeBatch,
    splits: Sequence[tuple[Tensor, Tensor]],
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
