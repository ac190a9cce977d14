"""Find adapters: those that come with the package by name, others in a folder or on the hub."""

import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from fewshot.bank.adapter import StoredAdapter, read_adapter
from fewshot.encoders import Encoder
from fewshot.encoders.trained import DESCRIPTION
from fewshot.errors import ConfigError
from fewshot.fitted.hub import fetched
from fewshot.resources import shipped

_FOLDER = "adapters"


@functools.cache
def shipped_adapters() -> Mapping[str, StoredAdapter]:
    """The adapters that come with the package, by name; they belong to the bundled MiniLM."""
    folder = shipped("weights") / _FOLDER
    folders = sorted(path.parent for path in folder.glob(f"*/{DESCRIPTION}"))
    return MappingProxyType({path.name: read_adapter(path) for path in folders})


def fitting_adapters(encoder: Encoder) -> dict[str, StoredAdapter]:
    """The adapters that come with the package and belong to the published model of an encoder, by name."""
    return {name: adapter for name, adapter in shipped_adapters().items() if adapter.weights.base == encoder.identity}


def find_adapter(name: Path | str) -> StoredAdapter:
    """An adapter by its name in the package, its folder, or its id on the Hugging Face hub.

    Raises:
        ConfigError: there is none.
        EncoderError: it cannot be read.
    """
    adapters = shipped_adapters()
    if str(name) in adapters:
        return adapters[str(name)]
    if not Path(name).expanduser().is_dir() and "/" not in str(name):
        listed = ", ".join(adapters) or "none in this version"
        raise ConfigError(f"There is no adapter {str(name)!r}. Expected {listed}, a folder, or OWNER/NAME on the hub.")
    return read_adapter(fetched(name, DESCRIPTION))


def with_adapter(encoder: Encoder, name: Path | str) -> Encoder:
    """An encoder with an adapter at the strength that its card advises; errors of `find_adapter` and `check_base`."""
    adapter = find_adapter(name)
    adapter.weights.check_base(encoder.model, encoder.identity)
    weights = adapter.at_strength()
    return encoder if weights is None else encoder.with_trained(weights)
