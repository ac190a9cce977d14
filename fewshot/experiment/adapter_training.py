"""Meta-train an adapter on labelled tables: a LoRA that is close to the frozen encoder on other texts."""

import logging
from collections.abc import Mapping
from dataclasses import replace

from fewshot.bank.adapter import AdapterCard, AdapterSource, StoredAdapter
from fewshot.encoders import Encoder, LoRA
from fewshot.errors import ConfigError
from fewshot.experiment.episodes import valid_episodes
from fewshot.experiment.protocol import Protocol
from fewshot.learners import Prototypical
from fewshot.tasks import Task, collect
from fewshot.tasks.task import Part
from fewshot.training import EncoderTrainer, Store

log = logging.getLogger(__name__)

TRAINER = EncoderTrainer(
    steps=100,
    ways=50,
    shots=(1,),
    queries=1,
    learning_rate=2e-3,
    evaluate_every=50,
    consistency_weight=0.3,  # to the frozen encoder's neighbourhoods
    train_texts=50,
    valid_texts=10,
    interpolation=(0.25, 0.5, 0.75, 1.0),
)


def train_adapter(
    tasks: Mapping[str, Task],
    name: str,
    encoder: Encoder,
    *,
    trainer: EncoderTrainer = TRAINER,
    seed: int = 0,
    store: Store | None = None,
) -> StoredAdapter:
    """Meta-train a LoRA of an encoder on several tasks, each episode within one of them, with label names.

    The train and test classes of a task are trained on; its valid classes choose the step, and the interpolation with
    the published weights.

    Args:
        tasks: name of a source → its task.
        name: of the adapter.
        encoder: as published.
        trainer: its settings.
        seed: root seed.
        store: for checkpoints; None keeps none.

    Raises:
        ConfigError: fewer than two train or two valid classes in each task, or no step gained on the valid classes.
    """
    sources = {source: _without_test(task) for source, task in tasks.items()}
    task = collect(sources, name)
    if not any(min(len(part.parts["train"]), len(part.parts["valid"])) > 1 for part in sources.values()):
        counts = ", ".join(f"{source}: {len(part.classes)} classes" for source, part in sources.items())
        raise ConfigError(
            f"Got {counts}; expected a table with four classes or more, of which some are held out to choose by. "
            f"Add a table of more classes."
        )
    valid = valid_episodes(task, Protocol(ways=5, shots=1), trainer.valid_texts)
    determining = {"task": task.sha256, "encoder": encoder.fingerprint, "training": trainer.determining(), "seed": seed}
    files = (store or Store()).files(f"{name}-adapter", determining)
    trained = trainer.fit(encoder, LoRA(), Prototypical, task, valid, label_names=True, seed=seed, files=files)
    scores = trained.history.valid_accuracies
    if not trained.kept or trained.encoder.trained is None:
        raise ConfigError(
            f"No step of {trained.history.steps} was better on the held-out classes than the published encoder "
            f"({100 * scores[0]:.1f} %), so there is no adapter to keep. Add tables with more classes, or use the "
            f"encoder as it is."
        )
    pools = {task.source_of(int(part.classes[0])): part for part in trainer.train_pools(task)}
    card = AdapterCard(
        name=name,
        summary=f"Meta-trained on {', '.join(sources)}.",
        sources=tuple(
            AdapterSource(source, "", len(part.classes), int(part.sizes.sum())) for source, part in pools.items()
        ),
        training={"seed": seed, "best_step": trained.history.best_step, "kept": trained.kept}
        | {"valid_accuracy": scores[trained.history.best_step], "valid_accuracy_before": scores[0]},
    )
    return StoredAdapter(card, trained.encoder.trained)


def _without_test(task: Task) -> Task:
    parts: dict[Part, tuple[int, ...]] = {**task.parts, "test": ()}
    parts["train"] = (*task.parts["train"], *task.parts["test"])
    return replace(task, parts=parts)
