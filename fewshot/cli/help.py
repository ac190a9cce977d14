"""`--help`: the settings that users touch; `--help advanced`: the rest.  docs/settings.md has the same text."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from hydra.utils import get_object
from omegaconf import OmegaConf

from fewshot.cli.compose import CONF, choices, composed
from fewshot.cli.settings import RunSettings
from fewshot.errors import to_type

_WIDTH, _COLUMN, _LONGEST = 100, 38, 60
# Setting → its meaning, that of `RunSettings` where there is none here; {} are the choices of the group.
MAIN: dict[str, dict[str, str]] = {
    "What is classified": {
        "task": "labelled texts: {}.",
        "task.path": "a table, or a folder of texts.jsonl or the like (task=folder).",
        "task.split": "which split of the classes into train, valid and test.",
    },
    "With what": {
        "encoder": "text to vector: {}.",
        "trainable": "the part of it that is meta-trained: {}.",
        "learner": "vectors to classifier: {}.",
        "augment": "new texts in the support: {}.",
        "augment/source": "where they come from: {}.",
    },
    "Episodes": dict.fromkeys(
        ("ways", "shots", "queries", "episodes", "label_names", "realistic", "support_noise", "classes"), ""
    ),
    "By the number of shots": {
        "strategy": "",
        "ladder.lora_above": "shots per class above which LoRA tunes the encoder.",
        **dict.fromkeys(("final_stage", "protocol", "test_texts", "minutes"), ""),
    },
    "Training and results": {
        "training.steps": "optimiser steps at most.",
        **dict.fromkeys(("seed", "resume", "reuse", "baselines", "metric"), ""),
        "output": "folder of the runs, their results and checkpoints.",
    },
}
# What the config does not state; importing the constructors that do would take seconds.
UNSTATED = {
    "task": "NAME",
    "task.path": "DIR",
    "task.split": "01",
    "augment/source": ["synonym", "syntax", "adversarial"],
    "ladder.lora_above": 50,
    "training.steps": 300,
}


def main_help() -> str:
    """The settings that users touch, with default and meaning."""
    config, said = composed("+task=folder", with_hydra=True), meanings(RunSettings)
    defaults = {**config.hydra.runtime.choices, **UNSTATED}
    lines = ["python -m fewshot.run +task=medical_terms shots=5", ""]
    for title, settings in MAIN.items():
        lines.append(f"{title}:")
        for name, meaning in settings.items():
            default = defaults[name] if name in defaults else config[name]
            lines += _entry(name, default, meaning.format(", ".join(choices(name))) or said[name])
        lines.append("")
    return "\n".join(
        [
            *lines,
            "-m sweeps over comma-separated values: -m shots=1,5 learner=centroid,ridge",
            "--cfg job shows the config; --help advanced has all other settings.",
        ]
    )


def advanced_help() -> str:
    """The config groups with their choices, and all arguments of the constructors that they name."""
    lines = ["python -m fewshot.run GROUP=NAME GROUP.SETTING=VALUE"]
    for group, place, names, target in targets():
        lines += ["", *textwrap.wrap(f"{group}={'|'.join(names)}  ({place}.SETTING=VALUE, {target})", _WIDTH)]
        made = get_object(target)
        said = meanings(made)
        for name, parameter in inspect.signature(made).parameters.items():
            if (group, name) != ("learner", "dim"):  # the encoder's
                lines += _entry(name, parameter.default, said[name])
    return "\n".join(lines)


def targets() -> Iterator[tuple[str, str, list[str], str]]:
    """Group, where its settings stand, the choices that have one target, and that target."""
    for folder in sorted(path for path in CONF.rglob("*") if path.is_dir() and CONF / "hydra" not in path.parents):
        group = folder.relative_to(CONF).as_posix()
        found: dict[str, list[str]] = {}
        for name in choices(group):
            target = OmegaConf.select(OmegaConf.load(folder / f"{name}.yaml"), "_target_")
            if target is not None:
                found.setdefault(target, []).append(name)
        place = {"adaptation": "adaptation.NAME", "augment/source": "augment.sources.NAME"}.get(group, group)
        yield from ((group, place, names, target) for target, names in found.items())
    yield "ladder", "ladder", ["default"], OmegaConf.load(CONF / "run.yaml").ladder._target_


def meanings(made: Any) -> dict[str, str]:
    """Name of each argument → what the `Args:` of the docstring say of it, and of its bases or "as for `function`"."""
    said: dict[str, str] = {}
    for documented in reversed(inspect.getmro(made) if inspect.isclass(made) else [made]):
        text = inspect.cleandoc(documented.__doc__ or "")
        for other in re.findall(r"^Other arguments: as for `(\w+)`", text, re.MULTILINE):
            said |= meanings(get_object(f"{documented.__module__}.{other}"))
        block = re.search(r"^Args:\n((?: .*\n?|\n)+)", f"{text}\n", re.MULTILINE)
        entries = re.findall(r"^    ([\w, ]+): ((?:.|\n(?!    \S|\S))*)", block[1] if block else "", re.MULTILINE)
        said |= {name: " ".join(meaning.split()) for names, meaning in entries for name in names.split(", ")}
    return said


def _entry(name: str, default: Any, meaning: str) -> list[str]:
    first = f"  {name}={_shown(default)}"
    lines = textwrap.wrap(meaning, _WIDTH - _COLUMN) or [""]
    head = [first] if len(first) >= _COLUMN else [f"{first:<{_COLUMN}}{lines.pop(0)}".rstrip()]
    return [*head, *(" " * _COLUMN + line for line in lines)]


def _shown(value: Any) -> str:
    """A value as it is typed."""
    if value is inspect.Parameter.empty or repr(value) == "<factory>":  # none, or one that a dataclass makes
        return ""
    return textwrap.shorten(to_type(list(value) if OmegaConf.is_list(value) else value), _LONGEST)
