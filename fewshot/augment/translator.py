"""Texts in, the likeliest translations of each out."""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch

from fewshot.augment.pretrained import Checkpoint, Pretrained
from fewshot.encoders.batching import by_tokens
from fewshot.encoders.tokens import tokenize


class Translator:
    """A sequence-to-sequence model under beam search, which draws nothing at random.

    Args:
        checkpoint: the model, read when it is first needed.
        beams: translations that are followed at once.
        max_tokens: most tokens of a translation.
        tokens_per_batch: most padded tokens in a batch on a CPU, beams counted; a GPU takes 32 times as many.
        prefix: stands before each text, such as `">>fra<< "` or `"translate English to German: "`.
    """

    def __init__(self, checkpoint: Checkpoint, beams: int, max_tokens: int, tokens_per_batch: int, prefix: str = ""):
        self.checkpoint = checkpoint
        self.beams = beams
        self.max_tokens = max_tokens
        self.tokens_per_batch = tokens_per_batch
        self.prefix = prefix

    def translate(
        self, texts: Sequence[str], most: int, advance: Callable[[int], None] | None = None
    ) -> list[list[str]]:
        """Translate each text.

        Args:
            texts: at least one.
            most: translations of each text, at most `beams`.
            advance: called with the number of texts done, after each batch.

        Returns:
            For each text `most` translations, likeliest first; some may be equal, or empty.

        Raises:
            EncoderError: the model cannot be found or read.
        """
        pretrained = self._pretrained
        tokens = tokenize(
            pretrained.tokenizer, [self.prefix + text for text in texts], pretrained.limit, frozenset({"input_ids"})
        )
        found: list[list[str]] = [[] for _ in texts]
        for indices in by_tokens(tokens.lengths, pretrained.budget(self.tokens_per_batch) // self.beams):
            batch = {name: tensor.to(pretrained.device) for name, tensor in tokens.batch(indices).items()}
            with torch.inference_mode():
                ids = pretrained.module.generate(
                    **batch,
                    do_sample=False,
                    num_beams=self.beams,
                    num_return_sequences=most,
                    max_length=self.max_tokens + 1,  # the first token is the model's own
                )
            decoded = pretrained.tokenizer.batch_decode(ids, skip_special_tokens=True)
            for row, index in enumerate(indices):
                found[index] = [text.strip() for text in decoded[row * most : (row + 1) * most]]
            if advance is not None:
                advance(len(indices))
        return found

    @cached_property
    def _pretrained(self) -> Pretrained:
        from transformers import GenerationConfig

        pretrained = self.checkpoint.load()
        own = pretrained.module.generation_config.to_dict()
        kept = {name: value for name, value in own.items() if name not in _GIVE_WAY}
        pretrained.module.generation_config = GenerationConfig.from_dict(kept)
        return pretrained


# What a model was published with to sample or to limit lengths; its first, last and forbidden tokens stay.
_GIVE_WAY = {
    *("do_sample", "temperature", "top_k", "top_p", "num_beams", "num_return_sequences"),
    *("max_length", "max_new_tokens", "min_length", "min_new_tokens"),
}
