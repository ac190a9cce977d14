"""The final stage: tune a head or the encoder on the support of each episode, and score what comes of it."""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.adaptation.adapted import AdaptedClassifier
from fewshot.adaptation.fine_tuner import FineTuner
from fewshot.adaptation.head_tuner import HeadTuner
from fewshot.adaptation.labelled import LabelledTexts
from fewshot.encoders import Encoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation import Evaluation, held_out_accuracy
from fewshot.evaluation.distances import class_distances
from fewshot.features import TaskFeatures
from fewshot.learners import Learner
from fewshot.plan import Tuner
from fewshot.processes import as_main
from fewshot.progress import track
from fewshot.settings import Settings
from fewshot.tasks.task import Task
from fewshot.training import TrainingFiles, TrainingFolders

log = logging.getLogger(__name__)

KEPT = ("prototypes", "zero_shot")  # stages in which the learner stays as it was


@dataclass(frozen=True)
class FinalResult:
    """What the final stage came to.

    Args:
        stage: its name.
        evaluation: of the episodes that there was time for, the first ones.
        adaptations: for each of these what was compared on texts held out of the support, steps, seconds and so on.
        classifier: of the last episode in which tuning paid; None where it never did.
    """

    stage: str
    evaluation: Evaluation
    adaptations: list[Mapping[str, Any]] = field(default_factory=list)
    classifier: AdaptedClassifier | None = None


@dataclass(frozen=True)
class FinalStage:
    """A final stage of one run.

    Args:
        name: of the stage.
        tuner: what tunes.
        head: what tunes the head that the encoder's tuning has to beat.
        task: the task.
        settings: of the run.
        home: where checkpoints and events go.
    """

    name: str
    tuner: Tuner
    head: HeadTuner
    task: Task
    settings: Settings
    home: TrainingFolders

    def run(
        self,
        learner: Learner,
        encoder: Encoder,
        features: TaskFeatures,
        episodes: EpisodeBatch,
        before: Evaluation,
    ) -> FinalResult:
        """Tune and score, one episode after the other, as many as the time allows.

        Args:
            learner: meta-trained and calibrated; its projection is where tuning starts from.
            encoder: that gave it its features, meta-trained or not.
            features: that it was scored on.
            episodes: whose supports are tuned on and whose queries are scored.
            before: the learner's scores on them; they stay where tuning does not pay.
        """
        started, minutes = time.perf_counter(), self.settings.minutes
        log.info("Final stage (%s) on up to %d supports in %g minutes", self.name, len(episodes), minutes)
        scored: list[_Scored] = []
        classifier = None
        with track(f"Final stage ({self.name})", total=len(episodes)) as advance:
            for number in range(len(episodes)):
                if number and as_main(time.perf_counter() - started) > 60 * minutes:
                    break
                adapted = self._adapt(learner, encoder, features, episodes[number], number)
                scored.append(self._score(adapted, learner, episodes[number], before, number))
                classifier = classifier if scored[-1].kept else adapted
                advance()
        seconds = time.perf_counter() - started
        kept = Counter("the learner" if one.kept else str(one.details["stage"]) for one in scored)
        log.info(
            "Final stage (%s): %d of %d supports in %.0f s%s; kept %s",
            *(self.name, len(scored), len(episodes), seconds),
            "" if len(scored) == len(episodes) else " (minutes= gives it more time)",
            ", ".join(f"{name} on {count}" for name, count in kept.items()),
        )
        joined = _joined(scored, episodes, seconds, before)
        return FinalResult(self.name, joined, [one.details for one in scored], classifier)

    def _adapt(
        self, learner: Learner, encoder: Encoder, features: TaskFeatures, episode: EpisodeBatch, number: int
    ) -> AdaptedClassifier:
        """Tune; where the learner itself does better on what was held out, the details say that it stays."""
        support, seed = labelled_texts(self.task, episode, self.settings.label_names), self.settings.seed
        own = learner if learner.by_prototypes else None
        if isinstance(self.tuner, HeadTuner):
            adapted = self.tuner.fit(encoder, support, own, seed)
        else:
            files = None if self.home == TrainingFolders() else self._files(encoder, own, episode, number)
            adapted = self.tuner.fit(encoder, support, own, seed, self.head, files)
            if adapted.details["stage"] == self.tuner.trainable.kind:
                adapted = replace(adapted, details={**adapted.details, "stage": self.name})
        if adapted.details["stage"] in KEPT:
            return adapted
        judged = adapted.details["held_out"]
        # A head that was not beaten by the encoder's tuning is what stood there before.
        whose = "before" if adapted.details["stage"] == "head" and self.tuner is not self.head else "after"
        theirs = held_out_accuracy(learner, features, episode, self.tuner.splits(support, seed))
        stage = KEPT[0] if theirs > judged[whose] else adapted.details["stage"]
        return replace(adapted, details={**adapted.details, "stage": stage, "learner_held_out": theirs})

    def _files(self, encoder: Encoder, learner: Learner | None, episode: EpisodeBatch, number: int) -> TrainingFiles:
        """Where a training writes, named by all that has a part in its weights."""
        assert isinstance(self.tuner, FineTuner)
        training = {
            "task": self.task.sha256,
            "encoder": encoder.fingerprint,
            "learner": None if learner is None else _digest(learner),
            "support": episode.sha256(),
            "training": self.tuner.determining(),
            "head": asdict(self.head),
            "label_names": self.task.label_texts() if self.settings.label_names else None,
            "seed": self.settings.seed,
        }
        return self.home.files(f"{self.task.name}-{self.name}-{number}", training, self.settings.resume)

    def _score(
        self, adapted: AdaptedClassifier, learner: Learner, episode: EpisodeBatch, before: Evaluation, number: int
    ) -> "_Scored":
        if adapted.details["stage"] in KEPT:
            return _Scored(
                before.logits[number],
                float(learner.temperature),
                float(before.intra_class_distance[number]),
                float(before.inter_class_distance[number]),
                dict(adapted.details),
                kept=True,
            )
        with torch.no_grad():
            texts, ways = _texts_and_ways(self.task, episode)
            embedded = adapted.head.embed(adapted.encoder.encode(texts))
            logits = adapted.head.of_embedded(embedded[-episode.query.numel() :])
            intra, inter = class_distances(embedded[None], ways[None])
        return _Scored(
            logits, float(adapted.head.temperature), float(intra), float(inter), dict(adapted.details), kept=False
        )


@dataclass(frozen=True)
class _Scored:
    """One episode."""

    logits: Float[Tensor, "n_query n_way"]
    temperature: float
    intra_class_distance: float
    inter_class_distance: float
    details: Mapping[str, Any]
    kept: bool


def labelled_texts(task: Task, episode: EpisodeBatch, label_names: bool) -> LabelledTexts:
    """The support of an episode as a user would hand it in.

    Args:
        task: the task.
        episode: a batch of one.
        label_names: whether they are evidence.
    """
    ways = torch.arange(episode.n_way)[:, None].expand_as(episode.support[0])[episode.support_mask[0]]
    places, classes = episode.support[0][episode.support_mask[0]].tolist(), episode.classes[0].tolist()
    names = task.label_texts()
    return LabelledTexts(
        [task.texts[place] for place in places],
        ways,
        tuple(task.classes[label] for label in classes),
        tuple(names[label] for label in classes) if label_names else None,
    )


def _digest(learner: Learner) -> str:
    """A hash of the weights from which tuning starts."""
    digest = hashlib.sha256(type(learner).__name__.encode())
    for name, value in learner.state_dict().items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()


def _texts_and_ways(task: Task, episode: EpisodeBatch) -> tuple[list[str], Tensor]:
    """Support texts and, behind them, the queries, with the way of each."""
    ways = torch.arange(episode.n_way)[:, None]
    support = ways.expand_as(episode.support[0])[episode.support_mask[0]]
    places = torch.cat([episode.support[0][episode.support_mask[0]], episode.query[0].flatten()])
    return [task.texts[place] for place in places.tolist()], torch.cat([support, episode.targets[0]])


def _joined(scored: list[_Scored], episodes: EpisodeBatch, seconds: float, before: Evaluation) -> Evaluation:
    return Evaluation(
        torch.stack([one.logits for one in scored]),
        episodes[: len(scored)].targets,
        torch.tensor([one.temperature for one in scored]),
        torch.tensor([one.intra_class_distance for one in scored], dtype=torch.double),
        torch.tensor([one.inter_class_distance for one in scored], dtype=torch.double),
        seconds,
        before[: len(scored)].texts,
    )
