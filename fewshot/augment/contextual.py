"""Words replaced by the predictions of a masked language model.

    P(word | the text, the text with the word masked)

The text stands whole in front of the masked one (Qiang et al., 2020, https://arxiv.org/abs/1907.06226), so that the
model looks for a word that means the same and not only for one that fits.  nlpaug's `ContextualWordEmbsAug` does not
run with transformers 5.
"""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fewshot.augment.lexicon import in_case_of
from fewshot.augment.pretrained import Pretrained, load_pretrained
from fewshot.augment.source import AugmentRequest, Proposal, Source, distinct
from fewshot.encoders.tokens import TokenizedTexts
from fewshot.errors import EncoderError
from fewshot.ranges import POSITIVE, Range, RangedSettings

_WORD = re.compile(r"(\w+(?:['’-]\w+)*)")
# Without them a text says the opposite, and a masked language model predicts "now" as readily as "not".
_STAYS = re.compile(r"(?i:no|not|nor|none|never|nothing|nobody|nowhere|neither|without|cannot|.*n['’]t|.*\d.*)")
_DRAWS = 4  # for each proposal that is wanted: short texts have few distinct drafts
_REFUSED = 3  # words that a position may refuse: its own and its neighbours'
_COMMON = 0.05  # share of the vocabulary from which on a prefix or suffix is a mark of word borders
_TOKENS_PER_BATCH = 1024  # padded, on a CPU


class _Draft(NamedTuple):
    """A text split into words (at odd indices) and separators, the indices of words to replace, and their ranks."""

    pieces: tuple[str, ...]
    places: tuple[int, ...]
    ranks: tuple[int, ...]

    def with_words(self, words: Sequence[str]) -> str:
        changed = dict(zip(self.places, words, strict=True))
        return "".join(changed.get(index, piece) for index, piece in enumerate(self.pieces))


_Candidates = dict[tuple[tuple[str, ...], tuple[int, ...]], list[list[str]]]  # pieces and places → likeliest words


@dataclass(eq=False)
class Contextual(RangedSettings, Source):
    """Replace whole words by a masked language model's choices.

    Numbers and negations stay. A candidate is a whole word of the model's vocabulary, not the word that stood there
    and not a neighbour of it. Which words are replaced, and by which of the likeliest, is drawn with a seed of the
    text; proposals with likelier words come first.

    Args:
        model: masked language model, a folder or a hub id.
        mask_share: share of a text's words that are replaced in one proposal; one word at least.
        top_k: number of the likeliest candidates for a word, from which one is drawn.
        device: `"auto"` (GPU if there is one), `"cpu"`, `"cuda"`, …
        revision: branch, tag or commit on the hub.
        trust_remote_code: run Python code that comes with the model.
        pickled_weights: accept .bin weights, read by torch with weights_only=True.

    Raises:
        EncoderError: in `propose`: the model cannot be found or read, or does not fill in masked words.
    """

    name: ClassVar[str] = "contextual"
    GROUP: ClassVar[str] = "augment.sources.contextual"
    RANGES: ClassVar[dict[str, Range]] = {
        "mask_share": (lambda value: 0 < value <= 1, "a share above 0, at most 1"),
        "top_k": POSITIVE,
    }

    model: str = "distilbert/distilroberta-base"
    mask_share: float = 0.15
    top_k: int = 10
    device: str = "auto"
    revision: str | None = None
    trust_remote_code: bool = False
    pickled_weights: bool = False

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """See `Source.propose`."""
        drafts = [self._drafts(request, index) for index in range(len(request.texts))]
        all_drafts = [draft for part in drafts for draft in part]
        candidates = self._candidates(all_drafts) if all_drafts else {}
        return [self._proposals(text, part, candidates) for text, part in zip(request.texts, drafts, strict=True)]

    def notes(self, request: AugmentRequest) -> list[str]:
        """The model that chose words."""
        return [f"contextual: words were chosen by the masked language model {self.model}."]

    @cached_property
    def _pretrained(self) -> Pretrained:
        setting, head = f"{self.GROUP}.model", "AutoModelForMaskedLM"
        options = (self.revision, self.device, self.trust_remote_code, self.pickled_weights)
        pretrained = load_pretrained(setting, head, self.model, *options)
        if pretrained.tokenizer.mask_token_id is None:
            what = f"Model {self.model!r} has a tokenizer without a mask token, expected a masked language model"
            raise EncoderError(f"{what} such as distilbert/distilroberta-base. Set {setting} to one.")
        return pretrained

    @cached_property
    def _vocabulary(self) -> tuple[Tensor, list[str]]:
        words = whole_words(self._pretrained.tokenizer)
        return torch.tensor(list(words), device=self._pretrained.device), list(words.values())

    def _drafts(self, request: AugmentRequest, index: int) -> list[_Draft]:
        """Distinct choices of indices and ranks; few for short texts."""
        pieces = tuple(_WORD.split(request.texts[index]))
        places = [place for place in range(1, len(pieces), 2) if not _STAYS.fullmatch(pieces[place])]
        generator = torch.Generator().manual_seed(request.text_seed(self.name, index))
        n_masked = max(1, round(self.mask_share * len(places)))
        drawn: dict[_Draft, None] = {}
        for _ in range(_DRAWS * request.max_new if places else 0):
            chosen = torch.randperm(len(places), generator=generator)[:n_masked].sort().values.tolist()
            ranks = torch.randint(self.top_k, (n_masked,), generator=generator).tolist()
            drawn[_Draft(pieces, tuple(places[number] for number in chosen), tuple(ranks))] = None
            if len(drawn) == request.max_new:
                break
        return list(drawn)

    def _candidates(self, drafts: Sequence[_Draft]) -> _Candidates:
        """For each replaced word the likeliest candidates, best first; nothing for a text that was cut off."""
        pretrained = self._pretrained
        mask, mask_id = pretrained.tokenizer.mask_token, pretrained.tokenizer.mask_token_id
        masked = {(draft.pieces, draft.places): draft.with_words([mask] * len(draft.places)) for draft in drafts}
        keys = list(masked)
        tokens = _pairs(pretrained, ["".join(pieces) for pieces, _ in keys], list(masked.values()))
        ids, words = self._vocabulary
        candidates = {}
        for indices, batch in pretrained.batches(tokens, _TOKENS_PER_BATCH, "Filling in masked words"):
            masks = batch["input_ids"] == mask_id
            with torch.inference_mode():
                logits = logits_at(pretrained.module, batch, masks)
            ranked = logits[:, ids].topk(min(self.top_k + _REFUSED, len(ids))).indices
            for index, rows in zip(indices, ranked.split(masks.sum(1).tolist()), strict=True):
                if len(rows) == len(keys[index][1]):
                    candidates[keys[index]] = [[words[number] for number in row] for row in rows.tolist()]
        return candidates

    def _proposals(self, text: str, drafts: Sequence[_Draft], candidates: _Candidates) -> list[Proposal]:
        """The distinct texts of the drafts, those with likelier words first."""
        made = []
        for draft in sorted(drafts, key=lambda draft: sum(draft.ranks)):
            words, old = [], [draft.pieces[place] for place in draft.places]
            choices = candidates.get((draft.pieces, draft.places), [])
            for place, rank, likeliest in zip(draft.places, draft.ranks, choices, strict=False):
                near = {piece.casefold() for piece in draft.pieces[max(1, place - 2) : place + 3 : 2]}
                fitting = [word for word in likeliest if word.casefold() not in near][: self.top_k]
                words += [in_case_of(draft.pieces[place], word) for word in fitting[rank : rank + 1]]
            if len(words) == len(draft.places):
                new, how = draft.with_words(words), ", ".join(f"{a} → {b}" for a, b in zip(old, words, strict=True))
                made.append(Proposal(new, how))
        return distinct(text, made, len(made))


def _pairs(pretrained: Pretrained, texts: Sequence[str], masked: Sequence[str]) -> TokenizedTexts:
    # Half a surrogate pair is no text to a tokenizer and would stop the whole run.
    sides = [[text.encode("utf-8", "replace").decode("utf-8") for text in side] for side in (texts, masked)]
    encoded = pretrained.tokenizer(*sides, truncation=True, max_length=pretrained.limit, return_attention_mask=False)
    padding = {name: 0 for name in encoded if name in inspect.signature(pretrained.module.forward).parameters}
    padding["input_ids"] = pretrained.tokenizer.pad_token_id or 0
    return TokenizedTexts({name: encoded[name] for name in padding}, padding, 0)


def whole_words(tokenizer: Any) -> dict[int, str]:
    """Token id → word, for the pieces of a tokenizer's vocabulary that are whole words of letters."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    common = _COMMON * len(pieces)
    # Byte-level BPE and SentencePiece mark where a word begins, older BPE where it ends, WordPiece what is inside.
    begins = next((sign for sign in ("Ġ", "▁") if sum(piece.startswith(sign) for piece in pieces) > common), "")
    ends = "</w>" if sum(piece.endswith("</w>") for piece in pieces) > common else ""
    words = {}
    for number in sorted(set(range(len(pieces))) - set(tokenizer.all_special_ids)):
        piece = pieces[number]
        if piece.startswith(begins) and piece.endswith(ends):
            # Bytes of letters outside ASCII have their own signs in byte-level BPE.
            word = tokenizer.convert_tokens_to_string([piece]).strip() if begins == "Ġ" else piece
            words[number] = word.removeprefix("▁").removesuffix("</w>")
    return {number: word for number, word in words.items() if word.isalpha()}


def logits_at(module: Any, batch: dict[str, Tensor], places: Bool[Tensor, "batch tokens"]) -> Float[Tensor, "n words"]:
    """Logits at some positions; only these go through the map onto the vocabulary, half of a small model's work."""
    hook = module.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: (inputs[0][places],))
    try:
        return module(**batch).logits
    finally:
        hook.remove()
