"""A traced classifier as `model.onnx`: float32, or int8 with products of integers.

In int8 each output of a linear map has its own step, activations are quantised dynamically, and the rows of tables
are packed before tracing. Heads and routers stay in float32, and so does the input of the second map of a feed-forward
block: a few of its numbers are so large that one step for all would lose the others. Weights of products
of integers have 7 bits of 8, so that processors without VNNI do not overflow 16 bits.

Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewshot.errors import ConfigError
from fewshot.export.graph import Traceable

_MAX_BYTES = 2**31 - 2**24  # of the weights in an ONNX file, with room for the graph
_NARROW = 32  # outputs; narrower products, such as routers that decide between close scores, gain nothing by 8 bits
_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir", "root")


def check_installed(*packages: str, extra: str) -> None:
    """Raise a ConfigError if a package is missing."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"Exporting needs {' and '.join(missing)}, not installed. Install with: pip install 'fewshot-text[{extra}]'"
        )


def traced(source: Traceable) -> Any:
    """The graph as an ONNX model in memory, its batch and tokens of any size.

    Raises:
        ConfigError: onnx or onnxscript is missing, the model is too large for one file, or it cannot be traced.
    """
    check_installed("onnx", "onnxscript", extra="export")
    size = sum(tensor.numel() * tensor.element_size() for tensor in source.graph.state_dict().values())
    if size > _MAX_BYTES:
        raise ConfigError(
            f"The classifier has {size / 2**30:.1f} GiB of weights, and an ONNX file holds 2. Expected a smaller "
            f"encoder. Choose one, or distil it into a smaller student."
        )
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with _quiet(), torch.no_grad():
        source.graph(**source.inputs)  # fills caches, which must not be made while tracing
        try:
            program = torch.onnx.export(
                source.graph,
                kwargs=dict(source.inputs),
                dynamo=True,
                dynamic_shapes=dict.fromkeys(source.inputs, dynamic),
                input_names=list(source.inputs),
                output_names=list(source.outputs),
                external_data=False,
            )
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            raise ConfigError(
                f"The encoder {source.model!r} cannot be traced: {_reason(error)}. Expected one whose "
                f"operations ONNX has. Choose another encoder, or update torch and onnxscript."
            ) from error
    assert program is not None
    return _anonymous(program.model_proto)


def write_onnx(source: Traceable, path: Path, int8: bool) -> None:
    """Write the graph; errors as in `traced`."""
    if int8:
        check_installed("onnxruntime", extra="export")
    model = traced(source)
    if not int8:
        path.write_bytes(model.SerializeToString())
        return
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(
            with_packed_weights(model, narrowing=True),
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            nodes_to_exclude=_exact_products(model),
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )


def with_packed_weights(model: Any, narrowing: bool = False) -> Any:
    """The model with the constant matrices of its products in 8 bits, to be unpacked before each product.

    Each column `w` of a matrix is `s q`, `s = max |w| / 127`; the other factor stays in float32.

    Args:
        model: changed in place.
        narrowing: True packs only the matrices of more inputs than outputs, see above.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes, packed, exact = [], set(), set(_exact_products(model))
    for node in graph.node:
        name = node.input[1] if node.op_type == "MatMul" else ""
        sizes = constants[name].dims if name in constants else ()
        if sizes and node.name not in exact and not (narrowing and sizes[0] <= sizes[1]):
            if name not in packed:
                weight = numpy_helper.to_array(constants[name])
                step = np.maximum(np.abs(weight).max(0) / 127, np.finfo(np.float32).tiny).astype(np.float32)
                values = np.round(weight / step).astype(np.int8)
                graph.initializer.append(numpy_helper.from_array(values, f"{name}.int8"))
                graph.initializer.append(numpy_helper.from_array(step, f"{name}.step"))
                unpacked = [f"{name}.int8", f"{name}.step"], [f"{name}.float"]
                nodes.append(helper.make_node("DequantizeLinear", *unpacked, axis=1))
                packed.add(name)
            node.input[1] = f"{name}.float"
        nodes.append(node)
    kept = [tensor for tensor in graph.initializer if tensor.name not in packed]
    for field, values in ((graph.node, nodes), (graph.initializer, kept)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(copies)
    return model


def _exact_products(model: Any) -> list[str]:
    """Names of the products that stay in float32: heads, whose constants have a batch of one, and narrow routers."""
    constants = ((tensor.name, tensor.dims) for tensor in model.graph.initializer)
    exact = {name for name, dims in constants if len(dims) > 2 or (dims and dims[-1] < _NARROW)}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in exact]


def _anonymous(model: Any) -> Any:
    """The model without notes on its tracing, such as paths of this machine."""
    for holder in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input):
        del holder.metadata_props[:]
        holder.doc_string = ""
    del model.graph.value_info[:]
    return model


def _reason(error: BaseException) -> str:
    """The innermost cause of an error, shortened."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300].rstrip('.')}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter and the quantiser."""
    loggers = [logging.getLogger(None if name == "root" else name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
