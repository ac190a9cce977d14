"""The inner loop by learn2learn's own `clone` and `adapt`, without the gym and torchvision that its top level imports.

`import learn2learn` runs an `__init__` that imports reinforcement learning and vision.  The core needs neither, so the
parent package is put into `sys.modules` without being executed, with the few names that its own modules look up
there.  An earlier import of the whole package is kept.

Its task sampling (`learn2learn.data.Taskset`) is not used: it draws one task at a time from Python's global generator.

Source: Arnold et al. 2020, "learn2learn: A Library for Meta-Learning Research".
"""

import importlib
import importlib.util
import sys
from functools import cache
from types import ModuleType

import torch
from torch import nn

from fewshot.errors import ConfigError
from fewshot.learners.maml.inner_loop import Loss, Rates
from fewshot.learners.maml.network import NamedParameters, Parameters

HOW_TO_GET_IT = "make setup installs it where there is a C compiler; see requirements-learn2learn.txt"
_UTILITIES = "learn2learn.utils"
_CORE = ("learn2learn.nn", "learn2learn.optim", "learn2learn.algorithms")


def is_installed() -> bool:
    """Whether learn2learn can be found, without running any of it."""
    return "learn2learn" in sys.modules or importlib.util.find_spec("learn2learn") is not None


@cache
def algorithms() -> ModuleType:
    """`learn2learn.algorithms`: MAML, MetaSGD and the rest; a ConfigError where it is absent or does not load."""
    if not is_installed():
        raise ConfigError(f"Got learner.engine=learn2learn, but learn2learn is not installed: {HOW_TO_GET_IT}.")
    try:
        return _load()
    except Exception as error:
        raise ConfigError(
            f"learn2learn is installed but does not load ({type(error).__name__}: {error}). Expected version 0.2.0: "
            f"{HOW_TO_GET_IT}. Set learner.engine=fewshot to go on without it."
        ) from error


def _load() -> ModuleType:
    if "learn2learn" in sys.modules:
        return importlib.import_module("learn2learn.algorithms")
    spec = importlib.util.find_spec("learn2learn")
    assert spec is not None
    parent = importlib.util.module_from_spec(spec)
    sys.modules["learn2learn"] = parent
    try:
        utilities = importlib.import_module(_UTILITIES)
        vars(parent).update({name: value for name, value in vars(utilities).items() if not name.startswith("_")})
        for name in _CORE:
            importlib.import_module(name)
    except BaseException:
        for name in [name for name in sys.modules if name.partition(".")[0] == "learn2learn"]:
            del sys.modules[name]
        raise
    return sys.modules["learn2learn.algorithms"]


def descend_in_learn2learn(
    start: Parameters, loss: Loss, rates: Rates, steps: int, first_order: bool, per_parameter: bool = False
) -> list[Parameters]:
    """`descend` for one episode, through learn2learn's MAML, or its MetaSGD where rates are `per_parameter`.

    The rates are the same at each step: one for everything, or one per element.
    """
    library = algorithms()
    first_order = first_order or not torch.is_grad_enabled()
    module, rate = _module(start), rates(0)
    with torch.enable_grad():
        if per_parameter:
            lrs = [torch.as_tensor(rate[name]) for name in start]
            clone = library.MetaSGD(module, lrs=lrs, first_order=first_order).clone()
        else:
            # Unused parameters, such as BERT's pooler under mean pooling, have no gradient.
            maml = library.MAML(module, lr=next(iter(rate.values())), first_order=first_order, allow_nograd=True)
            clone = maml.clone()
        path: list[Parameters] = []
        for _ in range(steps):
            clone.adapt(loss(clone.module.named()))
            path.append(clone.module.named())
    return path


def _module(start: Parameters) -> nn.Module:
    """A module whose parameters have a history, as learn2learn's own clones do."""
    module = NamedParameters({name: nn.Parameter(tensor.detach()) for name, tensor in start.items()})
    for key, tensor in zip(module._parameters, start.values(), strict=True):
        module._parameters[key] = tensor if tensor.requires_grad else tensor.detach().requires_grad_()  # type: ignore
    return module
