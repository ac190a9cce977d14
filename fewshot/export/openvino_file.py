"""A traced classifier as OpenVINO's `model.xml` and `model.bin`, made from ONNX."""

from pathlib import Path

from fewshot.export.graph import Traceable
from fewshot.export.onnx_file import check_installed, traced, with_packed_weights


def write_openvino(source: Traceable, path: Path, int8: bool) -> None:
    """Write the graph to `path` and its weights beside it, in float32 or in 8 bits; errors as in `traced`."""
    check_installed("openvino", extra="openvino")
    model = traced(source)
    import openvino

    parsed = openvino.Core().read_model((with_packed_weights(model) if int8 else model).SerializeToString())
    openvino.save_model(parsed, path, compress_to_fp16=False)
