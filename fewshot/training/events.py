"""TensorBoard event files of a training."""

from collections.abc import Mapping
from pathlib import Path

from fewshot.errors import ConfigError


class Events:
    """Numbers of a training over its steps, for TensorBoard.

    Args:
        folder: the event files' home; made if absent.
        after: last step of a training that goes on; what an earlier run wrote on later steps is hidden.

    Raises:
        ConfigError: tensorboard is not installed.
    """

    def __init__(self, folder: Path | str, after: int = 0):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                "Got training.tensorboard=true, but tensorboard is not installed. "
                "Run `pip install 'fewshot-text[tensorboard]'`, or set training.tensorboard=false."
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=after + 1 if after else None)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add the numbers of a step, by name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write out what is still in memory."""
        self._writer.close()
