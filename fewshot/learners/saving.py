"""A learner in a folder: `learner.safetensors` for weights, `learner.json` for everything else.  No pickle."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from fewshot.encoders.encoder import Encoder
from fewshot.errors import ConfigError
from fewshot.learners.learner import Learner
from fewshot.learners.maml.body import trainable_of
from fewshot.storage import write_json, write_tensors


def save_learner(learner: Learner, folder: Path | str, details: Mapping[str, Any] | None = None) -> None:
    """Write a learner.

    Args:
        learner: any learner of this package.
        folder: made if absent.
        details: kept in the JSON beside the learner (the encoder's fingerprint, the task, ...).

    Raises:
        StorageError: the folder cannot be written.
    """
    folder = Path(folder)
    write_tensors(folder / "learner.safetensors", learner.state_dict())
    content = {"class": type(learner).__name__, "arguments": learner.arguments, "details": dict(details or {})}
    attached = {"attached": dict(learner.attached)} if learner.attached else {}
    write_json(folder / "learner.json", content | attached)


def load_learner(folder: Path | str, encoder: Encoder | None = None) -> Learner:
    """Read a learner that `save_learner` wrote; its logits are identical.

    Args:
        folder: where it is.
        encoder: the one that it was trained with, for a learner that reads tokens; others need none.

    Raises:
        ConfigError: a file is missing or damaged, the class is none of this package's, an encoder is needed, or it is
            not the one that the learner was trained with.
    """
    from fewshot.learners import LEARNERS

    folder = Path(folder)
    classes = {kind.__name__: kind for kind in LEARNERS.values()}
    with _readable(folder):
        content = json.loads((folder / "learner.json").read_text(encoding="utf-8"))
        learner = classes[content["class"]](**content["arguments"])
        attached = content.get("attached", {})
        trainable = trainable_of(content["arguments"]["adapts"], attached) if attached else None
    if encoder is not None:
        learner.attach(encoder, trainable)
        _check_attached(folder, attached, learner.attached)
    elif learner.reads == "tokens":
        raise ConfigError(
            f"The learner in {str(folder)!r} adapts an encoder, and none was given. Expected the one that it was "
            f"trained with. Write load_learner(folder, encoder=encoder)."
        )
    with _readable(folder):
        learner.load_state_dict(load_file(folder / "learner.safetensors"))
    return learner


def _check_attached(folder: Path, saved: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    expected, found = saved.get("fingerprint"), given.get("fingerprint")
    if expected != found:
        raise ConfigError(
            f"The learner in {str(folder)!r} was trained with an encoder of fingerprint={expected}, and the one given "
            f"has {found}. Expected the same weights and settings. Make the encoder as it was then."
        )


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ConfigError(
            f"{str(folder)!r} holds no learner that can be read ({type(error).__name__}: {error}). Expected "
            f"learner.json and learner.safetensors as a run writes them. Run the training again."
        ) from error
