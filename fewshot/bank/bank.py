"""Adapters by name beside one loaded encoder: switched at no cost, or mixed in one batch."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from fewshot.bank.adapter import StoredAdapter
from fewshot.encoders import Encoder
from fewshot.encoders.low_rank import check_unmerged
from fewshot.encoders.texts import checked_texts
from fewshot.encoders.unmerged import UnmergedModel
from fewshot.errors import ConfigError

Named = str | tuple[str, float] | None  # an adapter, with its strength if that is not the advised one; None: none


class Bank:
    """Adapters of one encoder, whose weights are loaded once, in the precision that it runs in.

    An adapter stays beside these weights: asking for another one copies and merges nothing, and each text of a batch
    can have its own. An adapter alone is a little faster merged into them, see `shelf.with_adapter`. Not for several
    threads at once.

    Args:
        encoder: as published; it shares its loaded module with the bank.
        adapters: name → adapter, LoRA of linear maps.

    Raises:
        ConfigError: the encoder has trained weights, or an adapter cannot stay beside others (DoRA, experts).
        EncoderError: an adapter is of another published model.

    Example:
        >>> from fewshot import SentenceTransformerEncoder
        >>> from fewshot.bank import shipped_adapters
        >>> bank = Bank(SentenceTransformerEncoder(), shipped_adapters())
        >>> bank.encode(["my card is lost", "a tumour of the liver", "hello"], ["intents", "terms", None]).shape
        torch.Size([3, 768])
    """

    def __init__(self, encoder: Encoder, adapters: Mapping[str, StoredAdapter]):
        self._model = UnmergedModel(encoder)
        self.adapters = MappingProxyType(dict(adapters))
        self._encoders: dict[tuple[str, float], Encoder] = {}
        for adapter in self.adapters.values():
            check_unmerged(adapter.weights)
            adapter.weights.check_base(encoder.model, encoder.identity)

    def encoder(self, name: str | None, strength: float | None = None) -> Encoder:
        """The encoder with an adapter beside its weights, or as published if name is None or strength 0.

        Args:
            name: one of `adapters`.
            strength: from 0 to 1; None is the one that the adapter's card advises.

        Raises:
            ConfigError: there is no such adapter, or another strength.
        """
        if name is None:
            return self._model.published
        if name not in self.adapters:
            known = ", ".join(self.adapters) or "none: the bank is empty"
            raise ConfigError(f"There is no adapter {name!r} in the bank. Expected {known}. Correct the name.")
        adapter = self.adapters[name]
        strength = adapter.card.strength if strength is None else float(strength)
        if (name, strength) not in self._encoders:
            weights = adapter.at_strength(strength)
            encoder = self._model.published if weights is None else self._model.encoder(weights)
            self._encoders[name, strength] = encoder
        return self._encoders[name, strength]

    def encode(self, texts: Iterable[str], adapters: Sequence[Named]) -> Float[Tensor, "n_texts dim"]:
        """Features of each text with its adapter, float32 on the CPU: from the caches, or computed in common batches.

        Args:
            texts: a list, an array or a column.
            adapters: of each text: a name, a name and a strength, or None for the published encoder.

        Raises:
            ConfigError: there is no such adapter, or another number of them than of texts.
            EncoderError, TypeError: as for `Encoder.encode`.
        """
        texts = checked_texts(texts)
        if len(texts) != len(adapters):
            raise ConfigError(f"Got {len(texts)} texts and {len(adapters)} adapters, expected one for each text.")
        named = [adapter if isinstance(adapter, tuple) else (adapter, None) for adapter in adapters]
        return self._model.encode(texts, [self.encoder(name, strength) for name, strength in named])
