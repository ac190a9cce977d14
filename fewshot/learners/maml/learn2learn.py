"""The way to learn2learn's core: its `algorithms` without the gym and torchvision that its top level asks for.

`import learn2learn` runs an `__init__` that imports reinforcement learning and vision.  The core needs neither, so the
parent package is put into `sys.modules` without being executed, with the few names that its own modules look up
there.  Whoever imported learn2learn before us has the whole of it, and keeps it.

Its task sampling (`learn2learn.data.Taskset`) is not offered: it draws one task at a time from Python's global
generator, over data sets of single examples.  `fewshot.episodes` draws whole batches as index tensors from an explicit
generator, with unequal class sizes and frozen test episodes, and every learner of this package reads those.

Source: Arnold et al. 2020, "learn2learn: A Library for Meta-Learning Research".
"""

import importlib
import importlib.util
import sys
from functools import cache
from types import ModuleType

from fewshot.errors import ConfigError

HOW_TO_GET_IT = "make setup installs it where there is a C compiler; see requirements-learn2learn.txt"
_UTILITIES = "learn2learn.utils"
# In the order in which they need each other.
_CORE = ("learn2learn.nn", "learn2learn.optim", "learn2learn.algorithms")


def is_installed() -> bool:
    """Whether learn2learn can be found, without running any of it."""
    return "learn2learn" in sys.modules or importlib.util.find_spec("learn2learn") is not None


@cache
def algorithms() -> ModuleType:
    """`learn2learn.algorithms`: MAML, MetaSGD and the rest.

    Raises:
        ConfigError: learn2learn is not installed, or does not load with the libraries that are.
    """
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
