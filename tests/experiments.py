"""Experiments of one learner, with nothing else unless it is asked for."""

from fewshot.experiment.experiment import run_experiment
from fewshot.recipe import Recipe


def recipe(encoder, learner, trainer, **more) -> Recipe:
    chosen = {"trainable": "none", "augmentation": None} | more
    return Recipe(encoder=encoder, learner=learner, trainer=trainer, **chosen)


def experiment(task, encoder, learner, trainer, protocol, store=None, **more):
    return run_experiment(recipe(encoder, learner, trainer, **more), task, protocol, store)
