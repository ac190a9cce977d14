"""A fitted classifier as a folder: safetensors, sealed JSON and a model card."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fewshot.encoders import Encoder
from fewshot.encoders.described import described_encoder, encoder_from
from fewshot.encoders.trained import WRITTEN as TRAINED_FILES
from fewshot.encoders.trained import read_trained, write_trained
from fewshot.errors import ConfigError
from fewshot.fitted.evidence import WRITTEN as EVIDENCE_FILES
from fewshot.fitted.evidence import Evidence, read_evidence, write_evidence
from fewshot.fitted.hub import card
from fewshot.fitted.memory import Memory
from fewshot.fitted.rejection import Rejection
from fewshot.learners.learner import Classifier
from fewshot.learners.saving import classifier_from, described_classifier
from fewshot.storage import (
    UNREADABLE,
    check_folder,
    read_sealed,
    read_tensors,
    replaced_folder,
    write_sealed,
    write_tensors,
    write_text,
)

FORMAT = 4
TENSORS, DESCRIPTION, CARD = "classifier.safetensors", "classifier.json", "README.md"
_FILES = (TENSORS, CARD, "report.html", *EVIDENCE_FILES, *TRAINED_FILES)  # replaced in an earlier folder
_REJECTION = "rejection."
_OPTIONAL = ("nonconformity", "confidences", "thresholds")  # tensors of the classifier itself


def write_classifier(
    folder: Path | str,
    *,
    encoder: Encoder,
    classifier: Classifier,
    labels: tuple[str | int, ...],
    temperature: float,
    details: Mapping[str, Any],
    evidence: Evidence | None,
    rejection: Rejection | None,
    reject_label: str | int | None,
    mask_personal_data: bool,
    memory: Memory | None,
    **optional: Tensor | None,
) -> None:
    """Write the fields of a `TextClassifier`; an earlier one in the folder is replaced once the new one is whole."""
    described = described_encoder(encoder)
    description, tensors = described_classifier(classifier)
    tensors |= {name: tensor for name, tensor in optional.items() if tensor is not None}
    of_rejection = None
    if rejection is not None:
        of_rejection, parts = rejection.described()
        tensors |= {f"{_REJECTION}{name}": tensor for name, tensor in parts.items()}
    of_memory = None
    if memory is not None:
        of_memory, parts = memory.described()
        tensors |= parts
    content = {
        "format": FORMAT,
        "labels": list(labels),
        "temperature": temperature,
        "classifier": description,
        "encoder": described,
        "features": encoder.portable_fingerprint,
        "trained": None if encoder.trained is None else encoder.trained.digest,
        "details": dict(details),
        "rejection": of_rejection,
        "reject_label": reject_label,
        "mask_personal_data": mask_personal_data,
        "memory": of_memory,
    }
    with replaced_folder(folder, DESCRIPTION, _FILES) as new:
        if encoder.trained is not None:
            write_trained(new, encoder.trained, described["settings"])
        if evidence is not None:
            write_evidence(new, evidence, tensors)
        write_tensors(new / TENSORS, tensors)
        write_text(new / CARD, card(labels, encoder.described, details))
        write_sealed(new / DESCRIPTION, content)


def check_output(folder: Path | str) -> None:
    """Raise a StorageError for a folder that `write_classifier` would not replace."""
    check_folder(Path(folder), DESCRIPTION, _FILES)


def read_classifier(folder: Path, encoder: Encoder | None = None) -> dict[str, Any]:
    """The fields that `write_classifier` wrote, on an encoder of the caller if one is given.

    Raises:
        ConfigError: the folder holds no classifier, or the encoder is another one.
        EncoderError: the trained weights cannot be read.
    """
    try:
        content = read_sealed(folder / DESCRIPTION)
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, and this version reads {FORMAT}")
        tensors, _ = read_tensors(folder / TENSORS)
        settings = content["encoder"]["settings"]
        encoder = (encoder or encoder_from(content["encoder"])).reading(settings.get("long_texts", "cut"))
        fields = _plain_fields(content)
        fields |= {name: tensors.pop(name, None) for name in _OPTIONAL}
        fields["evidence"] = read_evidence(folder, tensors)
        fields["rejection"] = _rejection(content["rejection"], tensors)
        memory = content.get("memory")
        fields["memory"] = None if memory is None else Memory.from_described(memory, tensors)
        fields["classifier"] = classifier_from(content["classifier"], tensors)
        _check_width(fields["classifier"], fields["evidence"], len(fields["labels"]))
        digest, features = content["trained"], content["features"]
    except UNREADABLE as error:
        raise ConfigError(
            f"{str(folder)!r} holds no classifier that can be read ({type(error).__name__}: {error}). Expected "
            f"{DESCRIPTION} and {TENSORS} as save_pretrained writes them. Fit the classifier again."
        ) from error
    adapted = encoder.replace(weights=None)
    if digest is not None:
        adapted = adapted.with_trained(read_trained(folder))
    if adapted.trained is not None and adapted.trained.digest != digest:
        raise ConfigError(
            f"The classifier in {str(folder)!r} goes with other encoder weights than those beside it. Expected the "
            f"folder as it was saved. Fit the classifier again."
        )
    if adapted.portable_fingerprint != features:
        raise ConfigError(
            f"The classifier in {str(folder)!r} was fitted on {settings['model']!r} with {settings}, and the "
            f"encoder is another one: {encoder.settings()}. Expected the same model, pooling and shallow layer. "
            f"Leave the encoder out, or give one with these settings."
        )
    return fields | {"encoder": adapted}


def _plain_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fields without tensors, their types checked; a ValueError or TypeError otherwise."""
    labels, reject_label, temperature = content["labels"], content["reject_label"], float(content["temperature"])
    if not isinstance(labels, list) or not all(type(label) in (str, int) for label in labels):
        raise ValueError("its labels are no strings or whole numbers")
    if reject_label is not None and type(reject_label) not in (str, int):
        raise ValueError("its reject_label is no string or whole number")
    if not 0 < temperature < math.inf:
        raise ValueError(f"its temperature is {temperature}")
    return {
        "labels": tuple(labels),
        "temperature": temperature,
        "details": dict(content["details"]),
        "reject_label": reject_label,
        "mask_personal_data": bool(content["mask_personal_data"]),
    }


def _rejection(description: Mapping[str, Any] | None, tensors: dict[str, Tensor]) -> Rejection | None:
    """The described rejection, its tensors taken out of `tensors`; None if there is none."""
    names = [name for name in tensors if name.startswith(_REJECTION)]
    parts = {name.removeprefix(_REJECTION): tensors.pop(name) for name in names}
    return None if description is None else Rejection.from_described(description, parts)


def _check_width(classifier: Classifier, evidence: Evidence | None, n_labels: int) -> None:
    """Raise a ValueError if a classifier has another number of classes than there are labels."""
    if evidence is None:
        return
    with torch.no_grad():
        width = classifier.logits(evidence.features[None, :1]).shape[-1]
    if width != n_labels:
        raise ValueError(f"it tells {width} classes apart and has {n_labels} labels")
