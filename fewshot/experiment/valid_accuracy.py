"""The accuracy of a meta-model on valid classes, by which settings may be chosen."""

from fewshot.errors import ConfigError
from fewshot.evaluation.evaluate import mean_accuracy
from fewshot.experiment.episodes import valid_episodes
from fewshot.experiment.meta_training import FEWER
from fewshot.experiment.protocol import Protocol
from fewshot.experiment.result import ExperimentResult
from fewshot.learners.maml.encoder_maml import EncoderMAML
from fewshot.tasks.task import Task
from fewshot.training.encoder_maml_trainer import TaskTokens


def check_valid_classes(task: Task, protocol: Protocol) -> None:
    """Refuse a task with fewer than two valid classes that are not scored themselves, with a ConfigError."""
    n_classes = 0 if protocol.resolved(task).classes == "all" else len(task.parts["valid"])
    if n_classes < 2:
        raise ConfigError(
            f"Got metric=valid_accuracy for the task {task.name!r}, which has {n_classes} valid classes that are not "
            f"scored; expected two or more. Name a task with a split of its classes, and leave out classes=all."
        )


def valid_accuracy(task: Task, result: ExperimentResult) -> float:
    """Mean accuracy on the valid episodes by which training selects, without final stage and new texts."""
    learner, protocol = result.model.learner, result.plan.protocol
    if isinstance(learner, EncoderMAML):
        episodes = valid_episodes(task, protocol, fewer=FEWER)
        tokens = TaskTokens.of(task, result.model.encoder, protocol.label_names)
        return sum(tokens.accuracy(learner, batch) for batch in episodes) / len(episodes)
    assert result.features is not None
    return mean_accuracy(learner, result.features, valid_episodes(task, protocol))
