"""The engine of a graph: onnxruntime or OpenVINO, on the CPU, for files that may come from a stranger.

A graph is data: it holds operations of the runtime and numbers. An ONNX file can also name other files that hold its
tensors, anywhere on the disk; one that does is refused before the runtime reads it.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fewshot.errors import ConfigError
from fewshot.export.description import LOGITS, MODELS, RUNTIMES, SCORE, Description

Inputs = Mapping[str, np.ndarray]
Engine = Callable[[Inputs], dict[str, np.ndarray]]  # outputs by name

# Messages of ONNX that lead to tensors: kind → number of a field → kind of its content.
_FIELD_KINDS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # fields of a tensor


def load_engine(folder: Path, description: Description) -> Engine:
    """Load the graph of a folder.

    Raises:
        ConfigError: the runtime is not installed, or the graph is not that of an exported classifier.
    """
    path = folder / MODELS[description.kind][0]
    load = _onnx if description.kind == "onnx" else _openvino
    try:
        engine, names = load(path, description.precision)
        if not (names <= set(description.inputs)):
            raise ValueError(f"it reads {sorted(names)}")
    except ImportError as error:
        runtime = RUNTIMES[description.kind]
        raise ConfigError(
            f"The classifier in {str(folder)!r} runs on {runtime}, which is not installed ({error}). Install it with: "
            f"pip install {runtime}"
        ) from error
    except Exception as error:  # the runtimes raise many kinds
        raise ConfigError(
            f"The graph {str(path)!r} cannot be loaded ({_short(error)}). Expected one that `fewshot export` wrote. "
            f"Export the classifier again."
        ) from error

    def checked(inputs: Inputs) -> dict[str, np.ndarray]:
        try:
            outputs = engine({name: inputs[name] for name in names})
        except Exception as error:
            raise ConfigError(
                f"The graph {str(path)!r} failed ({_short(error)}). Expected one that `fewshot export` wrote. Export "
                f"the classifier again."
            ) from error
        _check(outputs, len(inputs["input_ids"]), description, path)
        return outputs

    return checked


def names_other_files(content: bytes | memoryview, kind: str = "model") -> bool:
    """True if a tensor of an ONNX model has its numbers in another file; ValueError if it is no ONNX model."""
    for number, value in _fields(memoryview(content)):
        if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value)):
            return True
        if number in _FIELD_KINDS[kind]:
            if isinstance(value, int):
                raise ValueError("it is no ONNX model")
            if names_other_files(value, _FIELD_KINDS[kind][number]):
                return True
    return False


def _onnx(path: Path, precision: str) -> tuple[Engine, set[str]]:
    import onnxruntime

    content = path.read_bytes()
    if names_other_files(content):
        raise ValueError("it names other files")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a shared machine has other work
    options.log_severity_level = 4  # failures are raised
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]

    def run(inputs: Inputs) -> dict[str, np.ndarray]:
        return dict(zip(outputs, session.run(None, dict(inputs)), strict=True))

    return run, {each.name for each in session.get_inputs()}


def _openvino(path: Path, precision: str) -> tuple[Engine, set[str]]:
    import openvino

    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": _threads()}
    if precision == "float32":  # otherwise processors with bfloat16 use it
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = openvino.Core().compile_model(path, "CPU", settings)

    def run(inputs: Inputs) -> dict[str, np.ndarray]:
        results = compiled.create_infer_request().infer(dict(inputs))
        return {output.any_name: np.array(values) for output, values in results.items()}

    return run, {each.any_name for each in compiled.inputs}


def _threads() -> int:
    """The value of OMP_NUM_THREADS, as for torch; 0 leaves it to the runtime."""
    number = os.environ.get("OMP_NUM_THREADS", "0")
    return int(number) if number.isdigit() else 0


def _check(outputs: Mapping[str, np.ndarray], n_texts: int, description: Description, path: Path) -> None:
    """Raise a ConfigError for outputs of other names or shapes, or that are not finite."""
    shapes: dict[str, tuple[int, ...]] = {LOGITS: (n_texts, len(description.labels))}
    if description.rejects_below is not None:
        shapes[SCORE] = (n_texts,)
    for name, shape in shapes.items():
        output = outputs.get(name)
        got = "none" if output is None else f"an array of shape {output.shape}"
        if output is not None and output.shape == shape:
            if output.dtype == np.float32 and np.isfinite(output).all():
                continue
            got = f"{output.dtype} with NaN or infinity" if output.dtype.kind == "f" else str(output.dtype)
        raise ConfigError(
            f"The graph {str(path)!r} gave {got} as {name}, expected finite numbers in float32 of shape {shape}. "
            f"Export the classifier again."
        )


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a protobuf message; ValueError if it is none."""
    position = 0
    while position < len(content):
        key, position = _varint(content, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(content, position)
            yield number, value
            continue
        if wire == 2:
            size, position = _varint(content, position)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("it is no ONNX model")
        if position + size > len(content):
            raise ValueError("it ends too early")
        yield number, content[position : position + size]
        position += size


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            raise ValueError("it ends too early")
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("it is no ONNX model")


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300].rstrip('.')}"
