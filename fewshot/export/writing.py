"""A fitted classifier exported to a folder, whole or not at all."""

from pathlib import Path
from typing import Any

from torch import Tensor

from fewshot.encoders import Encoder
from fewshot.errors import ConfigError
from fewshot.export.card import card
from fewshot.export.description import CARD, DESCRIPTION, MODELS, PRECISIONS, TOKENIZER, Description
from fewshot.export.graph import traceable
from fewshot.fitted.rejection import Rejection
from fewshot.learners.learner import Classifier
from fewshot.learners.saving import described_classifier, frozen
from fewshot.storage import replaced_folder, tensors_digest, write_sealed, write_text

_FILES = (CARD, TOKENIZER, *(name for names in MODELS.values() for name in names))


def write_exported(
    folder: Path | str,
    kind: str,
    int8: bool,
    *,
    encoder: Encoder,
    classifier: Classifier,
    labels: tuple[str | int, ...],
    temperature: float,
    rejection: Rejection | None,
    reject_label: str | int | None,
    thresholds: Tensor | None,
    mask_personal_data: bool,
    **_: Any,
) -> None:
    """Export the fields of a `TextClassifier`; an earlier export in the folder is replaced once the new one is whole.

    Raises:
        ConfigError: there is no such format, a package is missing, or the classifier cannot be one graph.
        StorageError: the folder cannot be written, or holds something else; what is in it stays.
    """
    if kind not in MODELS:
        raise ConfigError(f"Got the format {kind!r}, expected one of {', '.join(MODELS)}. Correct it.")
    if rejection is not None and rejection.threshold == -float("inf"):
        rejection = None
    source = traceable(encoder, frozen(classifier), rejection, int8)
    description = Description(
        kind=kind,
        precision=PRECISIONS[int8],
        labels=labels,
        temperature=temperature,
        inputs=tuple(source.inputs),
        padding=source.padding,
        max_length=source.max_length,
        thresholds=None if thresholds is None else tuple(thresholds.tolist()),
        rejects_below=None if rejection is None else rejection.threshold,
        reject_label=reject_label,
        mask_personal_data=mask_personal_data,
        model=encoder.model,
        source=f"{encoder.portable_fingerprint} {tensors_digest(described_classifier(classifier)[1], {})}",
    )
    with replaced_folder(folder, DESCRIPTION, _FILES) as new:
        path = new / MODELS[kind][0]
        if kind == "onnx":
            from fewshot.export.onnx_file import write_onnx as write
        else:
            from fewshot.export.openvino_file import write_openvino as write
        write(source, path, int8)
        write_text(new / TOKENIZER, source.tokenizer)
        write_text(new / CARD, card(description))
        write_sealed(new / DESCRIPTION, description.content(new))
