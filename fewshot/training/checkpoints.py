"""Checkpoints of a training: whole or absent, and checked when they are read.

safetensors and JSON, never unpickled:

<folder>/checkpoint-000007/
    last.safetensors        trained weights of the last step
    best.safetensors        trained weights of the best evaluation
    optimizer.safetensors   AdamW's moments, `<parameter>/<name>`
    generators.safetensors  states of the generators, `<process>/<name>`
    history.safetensors     losses and evaluations, float64
    training.json           step, best step, and the settings of the training
    SHA256SUMS              in the format of `sha256sum`
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fewshot.errors import StorageError
from fewshot.storage import atomic_folder, file_name, remove_leftovers, write_json, write_tensors, write_text
from fewshot.training.history import TrainingHistory

log = logging.getLogger(__name__)

_FORMAT = 1
_KEPT = 2  # the newest, and the one before it if the newest is damaged
_SUMS = "SHA256SUMS"
_TENSORS = ("last", "best", "optimizer", "generators", "history")


@dataclass
class Progress:
    """The progress of a training: its history so far, and the trained weights of the best step."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    scores: dict[int, float] = field(default_factory=dict)
    best_step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)

    def history(self) -> TrainingHistory:
        """The history, once the training is over."""
        return TrainingHistory(self.step, self.best_step, self.losses, self.scores)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an evaluation; a resumed training gives the same bits. Names as in the files."""

    progress: Progress
    last: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    generators: dict[str, Tensor]


class Checkpoints:
    """The checkpoints of one training, in a folder that is named by all that determines it.

    Two runs with the same name train the same weights, so each can use the checkpoints of the other. The newest two
    are kept.

    Args:
        root: folder of the checkpoints of all trainings.
        name: the folder's name before the hash.
        training: all that determines the weights, as JSON can hold it.
        resume: True if a training resumes from the newest; else it starts from the beginning.
    """

    def __init__(self, root: Path | str, name: str, training: Mapping[str, Any], resume: bool = False):
        self.training = json.loads(json.dumps(training, sort_keys=True))
        self.folder = Path(root) / training_name(name, training)
        self.resume = resume

    def newest(self) -> int | None:
        """Number of the newest whole checkpoint; warns of damaged ones."""
        for number in reversed(self._numbers()):
            damage = _damage(self._path(number))
            if damage is None:
                return number
            log.warning(f"The checkpoint {self._path(number)} is damaged ({damage}); trying the one before it.")
        return None

    def read(self, number: int) -> Checkpoint:
        """A checkpoint by its number; StorageError on a machine that does not share the folder."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self._path(number)
        try:
            content = json.loads((path / "training.json").read_text(encoding="utf-8"))
            files = {name: load_file(path / f"{name}.safetensors") for name in _TENSORS}
            history = files["history"]
            scores = zip(history["look_steps"].tolist(), history["look_scores"].tolist(), strict=True)
            progress = Progress(
                content["step"], history["losses"].tolist(), dict(scores), content["best_step"], files["best"]
            )
            return Checkpoint(progress, files["last"], files["optimizer"], files["generators"])
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise StorageError(
                f"Could not read the checkpoint {str(path)!r}: {error}. Expected the files of a training, in a folder "
                f"that all processes see. Set output=/a/shared/folder, or leave out resume=true."
            ) from error

    def write(self, checkpoint: Checkpoint) -> None:
        """Add a checkpoint, then remove old ones; after a StorageError the earlier ones are unchanged."""
        path, progress = self._path(max(self._numbers(), default=0) + 1), checkpoint.progress
        history = {
            "losses": torch.tensor(progress.losses, dtype=torch.float64),
            "look_steps": torch.tensor(list(progress.scores), dtype=torch.int64),
            "look_scores": torch.tensor(list(progress.scores.values()), dtype=torch.float64),
        }
        content = {"format": _FORMAT, "step": progress.step, "best_step": progress.best_step, "training": self.training}
        with atomic_folder(path, "Free some space, or set training.checkpoint_seconds=null.") as folder:
            parts = (checkpoint.last, progress.best, checkpoint.optimizer, checkpoint.generators, history)
            for name, tensors in zip(_TENSORS, parts, strict=True):
                write_tensors(folder / f"{name}.safetensors", tensors)
            write_json(folder / "training.json", content)
            sums = [f"{_sha256(file)}  {file.name}\n" for file in sorted(folder.iterdir())]
            write_text(folder / _SUMS, "".join(sums))
        for number in self._numbers()[:-_KEPT]:
            shutil.rmtree(self._path(number), ignore_errors=True)
        remove_leftovers(self.folder)

    def _path(self, number: int) -> Path:
        return self.folder / f"checkpoint-{number:06d}"

    def _numbers(self) -> list[int]:
        matches = (re.fullmatch(r"checkpoint-(\d{6,})", path.name) for path in self.folder.glob("checkpoint-*"))
        return sorted(int(match[1]) for match in matches if match)


def training_name(name: str, training: Mapping[str, Any]) -> str:
    """Name of a folder of a training: a name for people, and a digest of all that determines the weights."""
    digest = hashlib.sha256(json.dumps(training, sort_keys=True).encode()).hexdigest()
    return f"{file_name(name)}-{digest[:16]}"


def _damage(path: Path) -> str | None:
    """The damage of a checkpoint, None if it is whole."""
    try:
        lines = (path / _SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: expected for expected, name in (line.split("  ", 1) for line in lines)}
        for name in [*(f"{tensors}.safetensors" for tensors in _TENSORS), "training.json"]:
            if _sha256(path / name) != sums[name]:
                return f"{name} is not as it was written"
        content = json.loads((path / "training.json").read_text(encoding="utf-8"))
        return None if content["format"] == _FORMAT else f"its format is {content['format']}, expected {_FORMAT}"
    except KeyError as error:
        return f"{error} is not listed"
    except (OSError, ValueError) as error:
        return str(error)


def _sha256(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
