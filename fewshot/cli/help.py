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
# Defaults that are not in the config; importing the constructors that have them would take seconds.
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
    config, described = composed("+task=folder", with_hydra=True), meanings(RunSettings)
    defaults = {**config.hydra.runtime.choices, **UNSTATED}
    lines = ["python -m fewshot.run +task=medical_terms shots=5", ""]
    for title, settings in MAIN.items():
        lines.append(f"{title}:")
        for name, meaning in settings.items():
            default = defaults[name] if name in defaults else config[name]
            lines += _entry(name, default, meaning.format(", ".join(choices(name))) or described[name])
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
    for group, key, names, target in targets():
        lines += ["", *textwrap.wrap(f"{group}={'|'.join(names)}  ({key}.SETTING=VALUE, {target})", _WIDTH)]
        constructor = get_object(target)
        described = meanings(constructor)
        for name, parameter in inspect.signature(constructor).parameters.items():
            if (group, name) != ("learner", "dim"):  # the encoder's
                lines += _entry(name, parameter.default, described[name])
    return "\n".join(lines)


def targets() -> Iterator[tuple[str, str, list[str], str]]:
    """Group, key of its settings, the choices that have one target, and that target."""
    for folder in sorted(path for path in CONF.rglob("*") if path.is_dir() and CONF / "hydra" not in path.parents):
        group = folder.relative_to(CONF).as_posix()
        by_target: dict[str, list[str]] = {}
        for name in choices(group):
            target = OmegaConf.select(OmegaConf.load(folder / f"{name}.yaml"), "_target_")
            if target is not None:
                by_target.setdefault(target, []).append(name)
        key = {"adaptation": "adaptation.NAME", "augment/source": "augment.sources.NAME"}.get(group, group)
        yield from ((group, key, names, target) for target, names in by_target.items())
    yield "ladder", "ladder", ["default"], OmegaConf.load(CONF / "run.yaml").ladder._target_


def meanings(constructor: Any) -> dict[str, str]:
    """Name of each argument → its text under `Args:`, also that of bases and of "as for `function`"."""
    described: dict[str, str] = {}
    for documented in reversed(inspect.getmro(constructor) if inspect.isclass(constructor) else [constructor]):
        text = inspect.cleandoc(documented.__doc__ or "")
        for other in re.findall(r"^Other arguments: as for `(\w+)`", text, re.MULTILINE):
            described |= meanings(get_object(f"{documented.__module__}.{other}"))
        block = re.search(r"^Args:\n((?: .*\n?|\n)+)", f"{text}\n", re.MULTILINE)
        entries = re.findall(r"^    ([\w, ]+): ((?:.|\n(?!    \S|\S))*)", block[1] if block else "", re.MULTILINE)
        described |= {name: " ".join(meaning.split()) for names, meaning in entries for name in names.split(", ")}
    return described


def _entry(name: str, default: Any, meaning: str) -> list[str]:
    first = f"  {name}={_shown(default)}"
    lines = textwrap.wrap(meaning, _WIDTH - _COLUMN) or [""]
    head = [first] if len(first) >= _COLUMN else [f"{first:<{_COLUMN}}{lines.pop(0)}".rstrip()]
    return [*head, *(" " * _COLUMN + line for line in lines)]


def _shown(value: Any) -> str:
    """A value as it is typed."""
    if value is inspect.Parameter.empty or repr(value) == "<factory>":  # no default, or a dataclass's factory
        return ""
    return textwrap.shorten(to_type(list(value) if OmegaConf.is_list(value) else value), _LONGEST)
