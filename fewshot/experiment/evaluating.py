"""Score a meta-model on episodes: all at once if only the learner adapts, else one support after the other."""

import logging
import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from fewshot.adaptation.final_stage import UNTUNED
from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.cross_validation import FOLDS
from fewshot.evaluation import Evaluation, class_distances, evaluate
from fewshot.experiment.augmentation import AugmentationPhase, NewTexts
from fewshot.experiment.episodes import TaskEncoder, labelled_support
from fewshot.experiment.plan import Plan
from fewshot.learners.maml.encoder_maml import EncoderMAML
from fewshot.meta_model import MetaModel
from fewshot.processes import as_main
from fewshot.progress import track
from fewshot.tasks.task import Task
from fewshot.text_classifier import TextClassifier
from fewshot.training import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scored:
    """The scores of a meta-model.

    Args:
        evaluation: of the first episodes, as many as there was time for.
        new_texts: those of the supports, if they are augmented.
        adaptations: details of the tuning on each support: accuracies on held-out texts, steps, seconds and so on.
        classifier: of the last episode in which tuning paid; None if it never did.
    """

    evaluation: Evaluation
    new_texts: NewTexts | None = None
    adaptations: tuple[Mapping[str, Any], ...] = ()
    classifier: TextClassifier | None = None


def score(model: MetaModel, task: Task, episodes: EpisodeBatch, plan: Plan, encoded: TaskEncoder) -> Scored:
    """Score the learner's classifier of each support, without the final stage."""
    if isinstance(model.learner, EncoderMAML):
        return _one_by_one(model, task, episodes, plan, None, "Adapting the encoder", math.inf)
    if model.adapters is not None:
        untuned = replace(model, final_stage=None)
        return _one_by_one(untuned, task, episodes, plan, None, "Choosing an adapter", math.inf)
    features, new_texts = encoded(model.encoder), None
    if model.augmentation is not None:
        phase = AugmentationPhase(task, plan.protocol, model.encoder, features, episodes.k_shot)
        features, new_texts = phase.support(model.augmentation, "test", episodes)
        log.info(new_texts.sentence(model.augmentation.augmentation.sources or ()))
    evaluation = evaluate(model.learner, features, episodes, plan.sample(episodes))
    return Scored(evaluation, new_texts)


def score_each(model: MetaModel, task: Task, episodes: EpisodeBatch, plan: Plan, store: Store | None = None) -> Scored:
    """Adapt to one support after the other and score the classifiers, as many as the protocol's minutes allow."""
    assert plan.final_stage is not None
    final, minutes, started = plan.final_stage.name, plan.protocol.minutes, time.perf_counter()
    if plan.drawn == "cross_validation" and final != "head":
        episodes = episodes[:FOLDS]  # one repeat: the encoder is tuned for each fold
    log.info(f"Final stage ({final}) on up to {len(episodes)} supports in {minutes:g} minutes")
    scored = _one_by_one(model, task, episodes, plan, store, f"Final stage ({final})", minutes)
    names = [str(details["stage"]) for details in scored.adaptations]
    stages = Counter("the learner" if name in UNTUNED else name for name in names)
    done = len(names)
    short = "" if done == len(episodes) else " (minutes= gives it more time)"
    kept = ", ".join(f"{stage} on {count}" for stage, count in stages.items())
    seconds = time.perf_counter() - started
    log.info(f"Final stage ({final}): {done} of {len(episodes)} supports in {seconds:.0f} s{short}; kept {kept}")
    return scored


def _one_by_one(
    model: MetaModel, task: Task, episodes: EpisodeBatch, plan: Plan, store: Store | None, title: str, minutes: float
) -> Scored:
    """Adapt to one support after the other and score the classifiers, until the time is over."""
    adaptations, logits, temperatures, distances = [], [], [], []
    started, classifier = time.perf_counter(), None
    with track(title, total=len(episodes)) as advance:
        for number in range(len(episodes)):
            if number and as_main(time.perf_counter() - started) > 60 * minutes:
                break
            episode = episodes[number]
            support = labelled_support(task, episode, plan.protocol.label_names)
            adapted = model.adapt_to(support, plan.protocol.seed, store)
            classifier = classifier if adapted.details["stage"] in UNTUNED else adapted
            mask = episode.query.flatten() >= 0  # False for padding, in a cross-validation
            queries = [task.texts[index] for index in episode.query.flatten()[mask].tolist()]
            logits.append(torch.zeros(len(mask), episode.n_way))
            logits[-1][mask] = adapted.logits(queries)
            temperatures.append(adapted.temperature)
            adaptations.append(dict(adapted.details))
            ways = torch.cat([support.classes, episode.targets[0][mask]])
            distances.append(class_distances(adapted.embed([*support.texts, *queries])[None], ways[None]))
            advance()
    done = episodes[: len(logits)]
    intra, inter = (torch.cat(part) for part in zip(*distances, strict=True))
    evaluation = Evaluation(
        logits=torch.stack(logits),
        targets=done.targets,
        sample=plan.sample(done),
        temperature=torch.tensor(temperatures),
        intra_class_distance=intra,
        inter_class_distance=inter,
        seconds=time.perf_counter() - started,
    )
    return Scored(evaluation, adaptations=tuple(adaptations), classifier=classifier)
