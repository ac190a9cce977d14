"""An adapter in a folder: a LoRA as peft reads it, and a card with its sources and gains.

    adapter_model.safetensors   the update, in bfloat16
    adapter_config.json         peft's: rank, scale, which maps
    encoder.json                the published model it belongs to, a digest of the update, digests of what it has seen
    adapter.json                the card

`write_trained` writes the first three, so that such a folder is good for `encoder.weights` too; `adapter.json` may be
absent.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fewshot.encoders.trained import TrainedWeights, read_trained, write_trained
from fewshot.errors import EncoderError
from fewshot.ranges import SHARE
from fewshot.storage import UNREADABLE, read_sealed, write_sealed

CARD = "adapter.json"
FORMAT = 1


@dataclass(frozen=True)
class AdapterSource:
    """A data set that an adapter was trained on: its licence, and the numbers of its train classes and their texts."""

    name: str
    licence: str
    classes: int
    texts: int


@dataclass(frozen=True)
class AdapterCard:
    """The sources and uses of an adapter.

    Args:
        name: of the adapter, that of its folder.
        summary: its purpose, one sentence.
        licence: of the weights.
        sources: the data sets that it was trained on.
        strength: advised, from 0 (as published) to 1 (as trained).
        training: command, seed, steps and settings of the training.
        gains: data set → episodes such as `5w1s` → accuracy as published and with the adapter, in per cent.
    """

    name: str
    summary: str = ""
    licence: str = ""
    sources: tuple[AdapterSource, ...] = ()
    strength: float = 1.0
    training: Mapping[str, Any] = field(default_factory=dict)
    gains: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredAdapter:
    """An adapter: its card and its weights at full strength."""

    card: AdapterCard
    weights: TrainedWeights

    def at_strength(self, strength: float | None = None) -> TrainedWeights | None:
        """The weights for `Encoder.with_trained`, scaled; None if the published ones stay unchanged.

        Args:
            strength: from 0 to 1; None is the card's.

        Raises:
            ConfigError: another strength.
        """
        scaled = self.weights.at_strength(self.card.strength if strength is None else strength)
        return None if scaled.placed is not None and not scaled.placed.scale and scaled.below is None else scaled


def write_adapter(folder: Path | str, adapter: StoredAdapter, settings: Mapping[str, Any]) -> None:
    """Write an adapter in bfloat16 to a folder; `settings` are the encoder's. StorageError if it cannot be written."""
    write_sealed(Path(folder) / CARD, {"format": FORMAT, **asdict(adapter.card)})
    write_trained(folder, adapter.weights.rounded(), settings)


def read_adapter(folder: Path | str) -> StoredAdapter:
    """Read an adapter that `write_adapter` wrote, or a LoRA without a card, which gets one with its name alone.

    Raises:
        EncoderError: no trained weights, damaged ones, or a card of another form.
    """
    folder = Path(folder).expanduser()
    weights = read_trained(folder).compact()
    try:
        content = read_sealed(folder / CARD)
        return StoredAdapter(_card(content), weights)
    except FileNotFoundError:
        return StoredAdapter(AdapterCard(folder.resolve().name), weights)
    except UNREADABLE as error:
        raise EncoderError(
            f"The card {str(folder / CARD)!r} cannot be read: {type(error).__name__}: {error}. Expected what was "
            f"written beside the adapter. Restore it, or remove it to use the adapter without one."
        ) from error


def _card(content: Mapping[str, Any]) -> AdapterCard:
    values = dict(content)
    if values.pop("format") != FORMAT:
        raise ValueError(f"it is of format {content['format']}, expected {FORMAT}")
    strength = values["strength"]
    if not SHARE[0](strength):
        raise ValueError(f"strength={strength}, expected {SHARE[1]}")
    values["sources"] = tuple(AdapterSource(**source) for source in values["sources"])
    values["gains"] = {
        name: {episodes: (float(before), float(after)) for episodes, (before, after) in gains.items()}
        for name, gains in values["gains"].items()
    }
    return AdapterCard(**values)
