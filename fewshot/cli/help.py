"""`--help`: the settings that users touch; `--help advanced`: the rest.  docs/settings.md has the same text."""

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fewshot.cli.compose import CONF, DEFAULTS, choices, composed
from fewshot.cli.signatures import source_meanings, source_parameters
from fewshot.errors import as_typed

_WIDTH, _COLUMN, _LONGEST = 100, 38, 60
# Without a meaning it is that of the docstring; {} are the choices of the group.
MAIN: dict[str, dict[str, str]] = {
    "What is classified": {
        "task": "labelled texts: {}.",
        "task.path": "folder of texts.jsonl, .csv, .tsv or .parquet (task=folder).",
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
        **dict.fromkeys(("final_stage", "protocol", "test_texts", "supports", "minutes"), ""),
    },
    "Training and results": dict.fromkeys(("training.steps", "seed", "resume", "baselines", "metric"), "")
    | {"output": "folder of the runs, their results and checkpoints."},
}


def main_help() -> str:
    """The settings that users touch, with default and meaning."""
    config = composed("+task=folder", with_hydra=True)
    lines = ["python -m fewshot.run +task=medical_terms shots=5", ""]
    for title, settings in MAIN.items():
        lines.append(f"{title}:")
        for name, meaning in settings.items():
            default, said = _default_and_meaning(config, name)
            lines += _entry(name, default, meaning.format(", ".join(choices(name))) if meaning else said)
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
    for group, place, names, target in _targets():
        lines += ["", *textwrap.wrap(f"{group}={'|'.join(names)}  ({place}.SETTING=VALUE, {target})", _WIDTH)]
        try:
            meanings = source_meanings(target)
            for name, parameter in source_parameters(target).items():
                if name != "dim":  # the encoder's
                    default = "" if parameter.default is parameter.empty else _shown(parameter.default)
                    lines += _entry(name, default, meanings[name])
        except LookupError:
            lines.append("  see its own documentation")
    return "\n".join(lines)


def _targets() -> Iterator[tuple[str, str, list[str], str]]:
    """Group, where its settings stand, the choices that have one target, and that target."""
    for folder in sorted(path for path in CONF.rglob("*") if path.is_dir()):
        group = folder.relative_to(CONF).as_posix()
        found: dict[str, list[str]] = {}
        for name in choices(group):
            target = OmegaConf.select(OmegaConf.load(folder / f"{name}.yaml"), "_target_")
            if target is not None:
                found.setdefault(target, []).append(name)
        for target, names in found.items():
            place = {"adaptation": "adaptation.NAME", "augment/source": "augment.sources.NAME"}.get(group, group)
            yield group, place, names, target
    yield "ladder", "ladder", ["default"], OmegaConf.load(CONF / "run.yaml").ladder._target_


def _default_and_meaning(config: DictConfig, name: str) -> tuple[str, str]:
    """As the config has it, else its constructor."""
    group, _, setting = name.rpartition(".")
    if name in ("task", "task.path"):
        return {"task": "NAME", "task.path": "DIR"}[name], ""
    if name in config.hydra.runtime.choices:
        return str(config.hydra.runtime.choices[name]), ""
    if name == "augment/source":
        return f"[{','.join(config.augment.sources)}]", ""
    target = config[group].get("_target_") if group else "fewshot.cli.settings.RunSettings"
    known = source_parameters(target)
    value = OmegaConf.select(config, name) if name in DEFAULTS or not setting else None
    value = OmegaConf.select(config, name, default=known[setting].default if setting in known else value)
    return _shown(value), source_meanings(target).get(setting, "")


def _shown(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, (list, tuple)) or OmegaConf.is_list(value):
        return textwrap.shorten(f"[{','.join(map(str, value))}]", _LONGEST, placeholder=" ...]")
    return textwrap.shorten(re.sub(r"^'([\w./-]*)'$", r"\1", as_typed(value)), _LONGEST)


def _entry(name: str, default: str, meaning: str) -> list[str]:
    first = f"  {name}={default}"
    lines = textwrap.wrap(meaning, _WIDTH - _COLUMN) or [""]
    head = [first] if len(first) >= _COLUMN else [f"{first:<{_COLUMN}}{lines.pop(0)}".rstrip()]
    return [*head, *(" " * _COLUMN + line for line in lines)]
