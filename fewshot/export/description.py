"""The sealed description of an exported folder, with a check of its files.

    export.json      this description, written last
    model.onnx       or model.xml and model.bin: token ids → logits, and scores if texts can be rejected
    tokenizer.json   of the `tokenizers` library, with truncation and padding set
    README.md        how to run it by hand

A folder may come from a stranger: the description names no path and no class, files have fixed names, and each is
compared with its digest.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from fewshot.errors import ConfigError
from fewshot.storage import UNREADABLE, read_sealed

FORMAT = 1
DESCRIPTION, TOKENIZER, CARD = "export.json", "tokenizer.json", "README.md"
MODELS: Mapping[str, tuple[str, ...]] = {"onnx": ("model.onnx",), "openvino": ("model.xml", "model.bin")}
RUNTIMES: Mapping[str, str] = {"onnx": "onnxruntime", "openvino": "openvino"}  # packages
PRECISIONS = ("float32", "int8")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # in this order
LOGITS, SCORE = "logits", "score"  # outputs of the graph

Label = str | int


@dataclass(frozen=True)
class Description:
    """An exported classifier without its graph and tokenizer.

    Args:
        kind: `"onnx"` or `"openvino"`.
        precision: `"float32"` or `"int8"`, of the weights.
        labels: the user's label of each class.
        temperature: logits are divided by it.
        inputs: of the graph, some of `INPUTS`.
        padding: padding integer of each input but the mask.
        max_length: tokens that are read at most; None: no limit.
        thresholds: of the probability of each label, if a text can have several labels or none.
        rejects_below: texts whose score is lower belong to no class; None: nothing is rejected.
        reject_label: the label of a text that is rejected.
        mask_personal_data: True masks personal data in every text before it is read.
        model: name of the encoder.
        source: digest of the classifier that was exported.
    """

    kind: str
    precision: str
    labels: tuple[Label, ...]
    temperature: float
    inputs: tuple[str, ...]
    padding: Mapping[str, int]
    max_length: int | None
    thresholds: tuple[float, ...] | None
    rejects_below: float | None
    reject_label: Label | None
    mask_personal_data: bool
    model: str
    source: str

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that go with it."""
        return (*MODELS[self.kind], TOKENIZER)

    def content(self, folder: Path) -> dict[str, Any]:
        """The description as JSON, with the digests of the files in a folder."""
        digests = {name: file_digest(folder / name) for name in self.files}
        return {"format": FORMAT, **asdict(self), "files": digests}


def is_exported(folder: Path) -> bool:
    """True if a folder has the description of an exported classifier."""
    return (folder / DESCRIPTION).is_file()


def read_description(folder: Path) -> Description:
    """Read the description of a folder, and check its files.

    Raises:
        ConfigError: the folder holds no exported classifier, or one that is damaged or was put together by hand.
    """
    try:
        content = read_sealed(folder / DESCRIPTION)
        if content.pop("format") != FORMAT:
            raise ValueError(f"its format is another one than {FORMAT}, which this version reads")
        digests = dict(content.pop("files"))
        description = _checked(**content)
        for name in description.files:
            if file_digest(folder / name) != digests[name]:
                raise ValueError(f"{name} is not as it was written")
    except UNREADABLE as error:
        raise ConfigError(
            f"{str(folder)!r} holds no exported classifier that can be read ({type(error).__name__}: {error}). "
            f"Expected a folder as `fewshot export` writes it. Export the classifier again."
        ) from error
    return description


def file_digest(path: Path) -> str:
    """Digest of a file, 32 hex digits; OSError if it cannot be read."""
    digest = blake2b(digest_size=16)
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _checked(**content: Any) -> Description:
    """The description, its values checked; a ValueError, TypeError or LookupError otherwise."""
    labels, thresholds = content["labels"], content["thresholds"]
    reject, below, limit = content["reject_label"], content["rejects_below"], content["max_length"]
    padding = {name: int(number) for name, number in dict(content["padding"]).items()}
    problems = {
        "kind": content["kind"] not in MODELS,
        "precision": content["precision"] not in PRECISIONS,
        "labels": not isinstance(labels, list) or len(labels) < 2 or not {*map(type, labels)} <= {str, int},
        "temperature": not (_is_number(content["temperature"]) and content["temperature"] > 0),
        "inputs": content["inputs"] not in (list(INPUTS[:2]), list(INPUTS)),
        "padding": set(padding) != set(content["inputs"]) - {"attention_mask"},
        "max_length": limit is not None and not (type(limit) is int and limit > 0),
        "thresholds": thresholds is not None
        and not (len(thresholds) == len(labels) and all(map(_is_number, thresholds))),
        "rejects_below": below is not None and not _is_number(below),
        "reject_label": reject is not None and type(reject) not in (str, int),
        "mask_personal_data": type(content["mask_personal_data"]) is not bool,
        "model": type(content["model"]) is not str,
        "source": type(content["source"]) is not str,
    }
    wrong = [name for name, is_wrong in problems.items() if is_wrong]
    if wrong:
        raise ValueError(f"its {wrong[0]} is {str(content[wrong[0]])[:80]!r}")
    content |= {"labels": tuple(labels), "inputs": tuple(content["inputs"]), "padding": padding}
    content["thresholds"] = None if thresholds is None else tuple(map(float, thresholds))
    return Description(**content)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
