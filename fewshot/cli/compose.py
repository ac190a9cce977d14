"""The config that Hydra composes, and Hydra's errors in the user's own words."""

import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig

from fewshot.cli.arguments import near_matches, unknown_setting
from fewshot.cli.settings import RunSettings
from fewshot.resources import shipped

CONF = shipped("conf")
DEFAULTS = {
    field.name: list(field.default) if isinstance(field.default, tuple) else field.default
    for field in fields(RunSettings)
}
KNOWN = (  # keys at the top of the config
    *DEFAULTS,
    *("ladder", "output", "task", "encoder", "trainable", "learner", "training", "encoder_training"),
    *("quick_training", "augment", "adaptation"),
)
ConfigStore.instance().store("settings", DEFAULTS)  # first in the defaults list of run.yaml


def _prefer_own_plugins() -> None:
    """Forget configs of Hydra plugins that may be installed under the names of ours, such as joblib."""
    Plugins.instance()  # registers them
    store = ConfigStore.instance().repo["hydra"]
    for path in (CONF / "hydra").glob("*/*.yaml"):
        store.get(path.parent.name, {}).pop(path.name, None)


_prefer_own_plugins()


def composed(*overrides: str, with_hydra: bool = False) -> DictConfig:
    """The config of `python -m fewshot.run OVERRIDES`, the task written as `+task=NAME`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("run", list(overrides), return_hydra_config=with_hydra)


def choices(group: str, folders: Sequence[Path] = (CONF,)) -> dict[str, str]:
    """Names of a config group with the first comment of each file."""
    comments = {}
    for folder in reversed(folders):
        for path in (folder / group).glob("*.yaml"):
            lines = path.read_text(encoding="utf-8").splitlines()
            first = next((line for line in lines if not line.startswith("# @package")), "")
            comments[path.stem] = first.lstrip("# ") if first.startswith("#") else ""
    return dict(sorted(comments.items()))


def reworded(error: Exception, typed: Sequence[str], folders: Sequence[Path] = (CONF,)) -> str:
    """The sentence for an error of Hydra or OmegaConf.

    Args:
        error: the error.
        typed: the arguments of the command line as they were typed.
        folders: those of the config groups.
    """
    if isinstance(error, MissingConfigException) and "/" in (error.missing_cfg_file or ""):
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        known = list(error.options or choices(group, folders))
        plus = "+" if group == "task" else ""
        return (
            f"There is no {group} {name!r}.{near_matches(name, known)} Expected one of {', '.join(known)}; write "
            f"{plus}{group}=NAME."
        )
    if isinstance(error, OverrideParseException):
        override = _without_ours(str(error.override), typed)
        if "=" not in override:
            return f"Got {override!r}, expected NAME=VALUE such as shots=5."
        why = str(error.message).splitlines()[0]
        return (
            f"Could not read {override!r}: {why}. Expected NAME=VALUE. Put a value with brackets, "
            f"commas, equals signs or spaces in two pairs of quotes, such as 'task.path=\"/data/a (new) folder\"'."
        )
    if several := re.match(r"Ambiguous value for argument '([^']+)'", str(error)):
        override = _without_ours(several[1], typed)
        return (
            f"Got {override!r}, expected one value. Add -m to run once with each; a list has brackets, NAME=[a,b], and "
            f"a value with a comma two pairs of quotes."
        )
    match = re.match(r"Could not (?:override|delete from config\.) '([^']+)'", str(error))
    key = match[1] if match else ""
    if key.startswith("augment/"):
        return augmentation_is_off(next((word for word in typed if word.lstrip("+").startswith(key)), key))
    if match and key not in KNOWN:
        return unknown_setting(key, KNOWN)
    lines = []
    cause: BaseException | None = error
    while cause is not None:
        lines.append(str(cause).strip())
        cause = cause.__cause__
    return _without_ours("\n".join(dict.fromkeys(filter(None, lines))), typed)


def augmentation_is_off(override: str) -> str:
    """The sentence for a setting of an augmentation that is not there."""
    return (
        f"Got {override!r}, but augmentation is left to the ladder, or is off. Write augment=semantic as well, or "
        f"augment=auto to have it decided on the valid classes."
    )


def _without_ours(text: str, typed: Sequence[str]) -> str:
    """A text without the `++` that `typed.normalise_arguments` puts before settings of groups."""
    for argument in typed:
        text = text.replace(f"++{argument}", argument)
    return text
