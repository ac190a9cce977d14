"""Texts translated into another language and back again (Sennrich et al., 2016, https://arxiv.org/abs/1511.06709).

Beam search gives several translations on the way there and several of each on the way back, the same in every run.
nlpaug's `BackTranslationAug` takes more than a second for a text; this translates batches of similar length.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar

import torch

from fewshot.augment.pretrained import Pretrained, load_pretrained
from fewshot.augment.source import AugmentRequest, Proposal, Source, distinct
from fewshot.encoders.tokens import tokenize
from fewshot.ranges import POSITIVE, Range, RangedSettings

_TOKENS_PER_BATCH = 2048  # padded, beams counted, on a CPU
# The settings of the published model that are kept: the tokens that begin and end a translation.
_SPECIAL = {"decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id"}
_SPECIAL |= {"forced_bos_token_id", "forced_eos_token_id", "bad_words_ids", "suppress_tokens"}


@dataclass(eq=False)
class BackTranslation(RangedSettings, Source):
    """Translate there and back, with a Marian pair or any other two sequence-to-sequence models.

    Beam search is deterministic: proposals do not depend on the seed of a request.

    Args:
        forward_model: into the other language; a folder or a hub id.
        back_model: from there back.
        beams: breadth of the search, and maximum of translations of one text in one direction.
        max_tokens: maximum of tokens of a translation.
        forward_prefix: put before a text for `forward_model`: `">>fra<< "`, `"translate English to German: "`.
        back_prefix: the same for `back_model`.
        forward_revision: branch, tag or commit of `forward_model` on the hub.
        back_revision: the same of `back_model`.
        device: `"auto"` (GPU if there is one), `"cpu"`, `"cuda"`, …
        trust_remote_code: run Python code that comes with the models.
        pickled_weights: accept .bin weights, read by torch with weights_only=True.

    Raises:
        ConfigError: in `propose`: a package that a tokenizer needs is missing.
        EncoderError: in `propose`: a model cannot be found or read, or does not translate.
    """

    name: ClassVar[str] = "back_translation"
    GROUP: ClassVar[str] = "augment.sources.back_translation"
    RANGES: ClassVar[dict[str, Range]] = dict.fromkeys(("beams", "max_tokens"), POSITIVE)

    forward_model: str = "Helsinki-NLP/opus-mt-en-de"
    back_model: str = "Helsinki-NLP/opus-mt-de-en"
    beams: int = 5
    max_tokens: int = 128
    forward_prefix: str = ""
    back_prefix: str = ""
    forward_revision: str | None = None
    back_revision: str | None = None
    device: str = "auto"
    trust_remote_code: bool = False
    pickled_weights: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        options = (self.device, self.trust_remote_code, self.pickled_weights)

        def translator(direction: str, model: str, revision: str | None, prefix: str) -> Translator:
            setting, head = f"{self.GROUP}.{direction}_model", "AutoModelForSeq2SeqLM"
            load = partial(load_pretrained, setting, head, model, revision, *options)
            return Translator(cache(load), self.beams, self.max_tokens, prefix)

        self._forward = translator("forward", self.forward_model, self.forward_revision, self.forward_prefix)
        self._back = translator("back", self.back_model, self.back_revision, self.back_prefix)

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """See `Source.propose`."""
        if not request.texts or request.max_new < 1:
            return [[] for _ in request.texts]
        n_forward = min(self.beams, math.ceil(math.sqrt(request.max_new)))
        n_back = min(self.beams, math.ceil(request.max_new / n_forward))
        pivots = self._forward.translate(request.texts, n_forward)
        pivots = [list(dict.fromkeys(filter(None, part))) for part in pivots]
        all_pivots = list(dict.fromkeys(pivot for part in pivots for pivot in part))
        translations = self._back.translate(all_pivots, n_back) if all_pivots else []
        back = dict(zip(all_pivots, translations, strict=True))
        proposals = []
        for text, part in zip(request.texts, pivots, strict=True):
            ranked = [
                (rank + back_rank, Proposal(new, f"by way of {pivot!r}"))
                for rank, pivot in enumerate(part)
                for back_rank, new in enumerate(back[pivot])
            ]
            ranked.sort(key=lambda pair: pair[0])  # likely in both directions first
            proposals.append(distinct(text, [proposal for _, proposal in ranked], request.max_new))
        return proposals

    def notes(self, request: AugmentRequest) -> list[str]:
        """The models that translated."""
        return [f"back_translation: texts were translated by {self.forward_model} and back by {self.back_model}."]


@dataclass(eq=False)
class Translator:
    """A sequence-to-sequence model under beam search, read when it is first needed; see `BackTranslation`."""

    load: Callable[[], Pretrained]
    beams: int
    max_tokens: int
    prefix: str

    def translate(self, texts: Sequence[str], max_new: int) -> list[list[str]]:
        """For each text `max_new` translations, at most `beams`, likeliest first; some may be equal, or empty."""
        from transformers import GenerationConfig

        model = self.load()
        published = model.module.generation_config.to_dict()
        config = GenerationConfig(
            do_sample=False,
            num_beams=self.beams,
            num_return_sequences=max_new,
            max_length=self.max_tokens + 1,  # the first token is the model's own
            **{name: value for name, value in published.items() if name in _SPECIAL},
        )
        prefixed = [self.prefix + text for text in texts]
        tokens = tokenize(model.tokenizer, prefixed, model.limit, frozenset({"input_ids"}))
        translations: list[list[str]] = [[] for _ in texts]
        for indices, batch in model.batches(tokens, _TOKENS_PER_BATCH, "Translating", copies=self.beams):
            with torch.inference_mode():
                ids = model.module.generate(**batch, generation_config=config)
            decoded = model.tokenizer.batch_decode(ids, skip_special_tokens=True)
            for row, index in enumerate(indices):
                translations[index] = [text.strip() for text in decoded[row * max_new : (row + 1) * max_new]]
        return translations
