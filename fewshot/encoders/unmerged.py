"""One loaded model for several encoders whose low-rank updates stay beside its weights, see `low_rank`."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.encoders.cache import filled
from fewshot.encoders.encoder import CHUNK, Encoder
from fewshot.encoders.long_texts import mean_of_pieces
from fewshot.encoders.low_rank import Update, check_unmerged
from fewshot.encoders.shared import share_module
from fewshot.encoders.trained import TrainedWeights
from fewshot.errors import ConfigError
from fewshot.progress import track


class UnmergedModel:
    """The module of one encoder, loaded once, for encoders with low-rank updates beside its weights.

    A switch from one to another copies and merges nothing, and texts of several go through the module in one batch.
    Features equal those of merged weights up to rounding, so the fingerprints differ. The precision is that of
    `encoder`. Not for several threads at once.

    Args:
        encoder: as published; its module is used, and its features stay what they are.

    Raises:
        ConfigError: its weights are trained ones.
    """

    def __init__(self, encoder: Encoder):
        if encoder.trained is not None:
            raise ConfigError(
                f"Got {encoder.described} to put updates beside, expected the published weights that these were "
                f"trained from. Set encoder.weights=null."
            )
        self.published = encoder
        # By the id of the tensors, which all strengths share; the tensors are kept, so that no id is used again.
        self._updates: dict[int, tuple[Mapping[str, Tensor], Update]] = {}

    def encoder(self, weights: TrainedWeights) -> Encoder:
        """An encoder with updates beside the published weights.

        Raises:
            ConfigError: there is more to the weights than low-rank updates, see `check_unmerged`.
            EncoderError: they are of another model.
        """
        check_unmerged(weights)
        encoder = self.published.with_trained(weights)
        weights.check_base(encoder.model, encoder.identity)
        encoder._activate, encoder._host = self._share_with, self.published
        return encoder

    def encode(self, texts: list[str], encoders: Sequence[Encoder]) -> Float[Tensor, "n_texts dim"]:
        """Features of each text by its encoder: from the encoder's cache, or computed in common batches and put there.

        Args:
            texts: as for `Encoder.encode`, with the same errors.
            encoders: the encoder of each text: `published`, or a result of `encoder`.
        """
        if self.published.long_texts == "cut":
            return self._encode(list(zip(encoders, texts, strict=True)))
        pieces = self.published.in_pieces(texts)
        pairs = [(encoder, piece) for encoder, parts in zip(encoders, pieces, strict=True) for piece in parts]
        return mean_of_pieces(self._encode(pairs), [len(parts) for parts in pieces])

    def _encode(self, pairs: Sequence[tuple[Encoder, str]]) -> Float[Tensor, "n_pairs dim"]:
        parts = [self._encode_part(pairs[start : start + CHUNK]) for start in range(0, len(pairs), CHUNK)]
        return torch.cat(parts) if parts else self.published.encode([])

    def _encode_part(self, pairs: Sequence[tuple[Encoder, str]]) -> Float[Tensor, "n_pairs dim"]:
        texts_of: dict[Encoder, dict[str, None]] = {}
        for encoder, text in pairs:
            texts_of.setdefault(encoder, {})[text] = None
        missing = [
            (encoder, text) for encoder, distinct in texts_of.items() for text in encoder.missing(list(distinct))
        ]
        computed = self._computed(missing)
        rows: dict[tuple[Encoder, str], Tensor] = {}
        for encoder, distinct in texts_of.items():

            def take(texts: list[str], encoder: Encoder = encoder) -> Iterator[Tensor]:
                if texts:
                    vanished = [(encoder, text) for text in texts if (encoder, text) not in computed]  # from the cache
                    computed.update(self._computed(vanished))
                    yield torch.stack([computed[encoder, text] for text in texts])

            features = filled(encoder._features, list(distinct), take)
            rows |= zip(((encoder, text) for text in distinct), features, strict=True)
        return torch.stack([rows[pair] for pair in pairs])

    def _computed(self, pairs: Sequence[tuple[Encoder, str]]) -> dict[tuple[Encoder, str], Float[Tensor, " dim"]]:
        for encoder in dict.fromkeys(encoder for encoder, _ in pairs):
            encoder.load()
        if not pairs:
            return {}
        with track("Encoding", total=len(pairs), unit="texts") as advance:
            updates = [encoder._update for encoder, _ in pairs]
            features = self.published.compute([text for _, text in pairs], advance, updates)
        for encoder, _ in pairs:
            encoder.n_encoded += 1
        return dict(zip(pairs, features, strict=True))

    def _share_with(self, encoder: Encoder) -> None:
        """Give an encoder the loaded module and its update, unless it has them."""
        if encoder._module is not None:
            return
        self.published.load()
        weights = encoder.trained
        assert weights is not None
        assert weights.placed is not None
        key = id(weights.tensors)
        if key not in self._updates:
            self._updates[key] = (weights.tensors, Update.of(weights, self.published.backbone))
        encoder._update = (self._updates[key][1], float(weights.placed.scale or 0.0))
        share_module(self.published, encoder)
