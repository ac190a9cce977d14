"""Tensors under names: what an inner loop takes and gives."""

from collections.abc import Mapping

from torch import Tensor, nn

Parameters = Mapping[str, Tensor]

# torch keeps the dot for the path to a submodule, and safetensors takes any other character.
_DOT = "/"


class NamedParameters(nn.Module):
    """Parameters under names that may hold dots, such as those of another module.

    Args:
        parameters: name → first value; a `nn.Parameter` is kept as it is, and so shared with whoever has it.
    """

    def __init__(self, parameters: Parameters):
        super().__init__()
        for name, tensor in parameters.items():
            kept = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor)
            self.register_parameter(name.replace(".", _DOT), kept)

    def named(self) -> dict[str, Tensor]:
        """Name → parameter."""
        return {name.replace(_DOT, "."): value for name, value in self._parameters.items() if value is not None}
