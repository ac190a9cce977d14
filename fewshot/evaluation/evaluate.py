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

_ONE_ERROR = 0.8413  # share of a normal distribution below one standard error
_MANY_CLASSES = 10
# Elements of the largest tensor of a pass: 12 MB in float32 stay in a processor's cache and in the allocator's pool.
_ELEMENTS = 3_000_000


@dataclass(frozen=True)
class Evaluation:
    """The scores of one learner on a batch of episodes.

    Args:
        logits: raw logits of every query.
        targets: the way of every query.
        sample: the texts and classes of the queries; a repeat of a cross-validation is one episode here.
        temperature: of the calibration: the learner's, or one for each episode or query if they have different models.
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
        """The temperature, or the mean of several."""
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
    """Mean over several batches of episodes of their accuracy."""
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
        """From logits `[episodes, n_query, n_way]` after and before on the same batches, which have equal weights."""
        gains: dict[int, list[float]] = {}  # of each class, in each batch that has it
        for new, old, batch in zip(after, before, episodes, strict=True):
            gain = (new.argmax(-1) == batch.targets).double() - (old.argmax(-1) == batch.targets).double()
            ids, rows = batch.classes.gather(1, batch.targets).unique(return_inverse=True)
            sums = torch.zeros(len(ids), dtype=torch.double).index_add_(0, rows.flatten(), gain.flatten())
            means = sums / torch.bincount(rows.flatten(), minlength=len(ids))
            for label, mean in zip(ids.tolist(), means.tolist(), strict=True):
                gains.setdefault(label, []).append(mean)
        by_class = torch.tensor([sum(means) / len(means) for means in gains.values()], dtype=torch.double)
        n_classes = len(by_class)
        error = float(by_class.std()) / n_classes**0.5 if n_classes > 1 else float("inf")
        return cls(float(by_class.mean()), error, n_classes)

    @property
    def is_sure(self) -> bool:
        """True if a gain on other classes can be expected: it exceeds its standard error, by Student's t.

        With fewer than ten classes the best step of a training is easily the best by chance, so the gain has to exceed
        the half-width of the 95 % interval. Both were chosen on class splits of four tasks: with 17 or 25 valid classes
        one standard error keeps gains on test classes, and with 4 it keeps losses of 2 to 3 points there.
        """
        if self.n_classes < 2:
            return False
        level = _ONE_ERROR if self.n_classes >= _MANY_CLASSES else 0.975
        return self.mean > float(stdtrit(self.n_classes - 1, level)) * self.standard_error

    def __str__(self) -> str:
        error = f"standard error {100 * self.standard_error:.1f} over {self.n_classes} classes"
        return f"{100 * self.mean:+.1f} points, {error}"


def evaluate(
    learner: Learner, features: TaskFeatures, episodes: EpisodeBatch, sample: Sample | None = None
) -> Evaluation:
    """Score a learner on episodes; `sample` None: a random sample of texts and classes."""
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


def by_text(evaluation: Evaluation, folds: CrossValidation) -> Evaluation:
    """The scores of the folds of a cross-validation by text: each repeat is an episode with every tested text.

    Unfinished repeats are left out, except the first, which then has the tested texts.
    """
    n_done = len(evaluation.logits)
    repeats = max(1, n_done // folds.folds)
    query = folds.episodes[: min(n_done, repeats * folds.folds)].query.flatten(1).unflatten(0, (repeats, -1))
    masks = query >= 0
    orders = torch.stack([texts[mask].argsort() for texts, mask in zip(query, masks, strict=True)])

    def by_repeat(values: Tensor) -> Tensor:
        return values[: masks.shape[0] * masks.shape[1]].unflatten(0, masks.shape[:2])

    def sorted_(values: Tensor) -> Tensor:
        """From folds and queries to repeats and texts."""
        parts = zip(by_repeat(values), masks, orders, strict=True)
        return torch.stack([part[mask][order] for part, mask, order in parts])

    temperature = evaluation.temperature
    if isinstance(temperature, Tensor):
        temperature = sorted_(temperature[:, None].expand(-1, query.shape[2]))
    return Evaluation(
        logits=sorted_(evaluation.logits),
        targets=sorted_(evaluation.targets),
        sample=Sample("cross_validation", sorted_(query.flatten(0, 1)), folds=folds.folds),
        temperature=temperature,
        intra_class_distance=by_repeat(evaluation.intra_class_distance).nanmean(1),
        inter_class_distance=by_repeat(evaluation.inter_class_distance).nanmean(1),
        seconds=evaluation.seconds,
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
        episode: a batch of one; only its support is used.
        splits: indices of the texts that are kept and held out, in the order of `support[support_mask]`.
    """
    support = episode.support[0][episode.support_mask[0]]
    ways = episode.support_mask[0].nonzero()[:, 0]
    n_right, n_texts = 0, 0
    with _scoring(learner):
        for kept, held_out in splits:
            mask = episode.support_mask & torch.isin(episode.support, support[kept])
            part = replace(episode, support=episode.support.masked_fill(~mask, -1), support_mask=mask)
            logits = learner.adapt(features.support(part)).logits(features.texts[support[held_out]][None])
            n_right += int((logits[0].argmax(-1) == ways[held_out]).sum())
            n_texts += len(held_out)
    return n_right / max(1, n_texts)


def episodes_per_pass(features: TaskFeatures, episodes: EpisodeBatch) -> int:
    """Number of episodes that are scored together."""
    n_support = episodes.k_shot * (1 if features.variants is None else 1 + features.variants.max_variants)
    n_texts = episodes.n_way * (n_support + episodes.n_query + 1)
    n_elements = n_texts * max(features.dim, episodes.n_way * (n_support + 1))
    return max(1, _ELEMENTS // n_elements)


def _embedded(learner: Learner, features: TaskFeatures, episodes: EpisodeBatch) -> tuple[TaskFeatures, Learner]:
    """Embedded features and the learner on them; with variants, features depend on the episode and stay as they are."""
    if features.variants is not None:
        return features, learner
    return features.embedded(learner, episodes), learner.on_embedded()


@contextmanager
def _scoring(learner: Learner) -> Iterator[None]:
    """Disable gradients and dropout within the block."""
    was_training = learner.training
    learner.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        learner.train(was_training)
