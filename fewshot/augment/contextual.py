"""Words replaced by what a masked language model would write in their place.

    P(word | the text, the text with the word masked)

The text stands whole in front of the masked one (Qiang et al., 2020, https://arxiv.org/abs/1907.06226), so that the
model looks for a word that means the same and not only for one that fits; `beside_original=false` is the plain form
(Kobayashi, 2018, https://arxiv.org/abs/1805.06201). Where several words of a text are replaced, they are so one after
the other, each seeing those before it.

nlpaug's `ContextualWordEmbsAug` calls methods of tokenizers that transformers 5 no longer has, and takes one text at
a time; this masks the words of all texts in batches of similar length.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.augment.pretrained import Checkpoint, Pretrained
from fewshot.augment.source import AugmentRequest, Proposal, Source
from fewshot.augment.whole_words import in_case_of, whole_words
from fewshot.encoders.batching import by_tokens
from fewshot.encoders.tokens import TokenizedTexts
from fewshot.errors import ConfigError, EncoderError
from fewshot.progress import track
from fewshot.tasks.task import normalise

_GROUP = "augment.sources.contextual"
_WORD = re.compile(r"(\w+(?:['’-]\w+)*)")
# Without them a text says the opposite, and a masked language model is as happy with "now" as with "not".
_NEGATIONS = frozenset(
    ["no", "not", "nor", "none", "never", "nothing", "nobody", "nowhere", "neither", "without", "cannot"]
)
_DRAWS = 4  # for each proposal that is wanted: short texts have few distinct drafts
_REFUSED = 3  # words that a place may refuse: its own and its neighbours'


class Contextual(Source):
    """Replaces whole words by a masked language model's choices.

    Numbers and negations stay. A candidate is a whole word of the model's vocabulary, not the word that stood there
    and not a neighbour of it. Which words are replaced, and by which of the likeliest, is drawn with a seed of the
    text; proposals with likelier words come first.

    Args:
        model: masked language model, a folder or a hub id.
        mask_share: share of a text's words that are replaced in one proposal; one word at least.
        top_k: the likeliest candidates for a place, from which one is drawn.
        beside_original: let the model read the text itself before the masked one.
        tokens_per_batch: most padded tokens in a batch on a CPU; a GPU takes 32 times as many.
        device: `"auto"` (GPU if there is one), `"cpu"`, `"cuda"`, …
        revision: branch, tag or commit on the hub.
        trust_remote_code: run Python code that comes with the model.
        pickled_weights: accept .bin weights, read by torch with weights_only=True.

    Raises:
        ConfigError: a number out of range.
    """

    name: ClassVar[str] = "contextual"

    def __init__(
        self,
        model: str = "distilbert/distilroberta-base",
        mask_share: float = 0.15,
        top_k: int = 10,
        beside_original: bool = True,
        tokens_per_batch: int = 1024,
        device: str = "auto",
        revision: str | None = None,
        trust_remote_code: bool = False,
        pickled_weights: bool = False,
    ):
        if not 0 < mask_share <= 1:
            raise ConfigError(f"Got {_GROUP}.mask_share={mask_share}, expected a share above 0, at most 1.")
        for setting, value in (("top_k", top_k), ("tokens_per_batch", tokens_per_batch)):
            if value < 1:
                raise ConfigError(f"Got {_GROUP}.{setting}={value}, expected a whole number above 0.")
        self.model, self.mask_share, self.top_k = model, mask_share, top_k
        self.beside_original, self.tokens_per_batch = beside_original, tokens_per_batch
        self._checkpoint = Checkpoint(
            model,
            f"{_GROUP}.model",
            "AutoModelForMaskedLM",
            "fill in masked words",
            revision,
            device,
            trust_remote_code,
            pickled_weights,
        )

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """See `Source.propose`.

        Raises:
            EncoderError: the model cannot be found or read, or does not fill in masked words.
        """
        drafts = [self._drafts(request, index) for index in range(len(request.texts))]
        waiting = list(chain.from_iterable(drafts))
        while waiting:
            self._fill(waiting)
            waiting = [draft for draft in waiting if draft.place is not None]
        return [_proposals(text, part) for text, part in zip(request.texts, drafts, strict=True)]

    def notes(self, request: AugmentRequest) -> list[str]:
        """Whose words they are."""
        return [f"contextual: words were chosen by the masked language model {self.model}."]

    @cached_property
    def _pretrained(self) -> Pretrained:
        pretrained = self._checkpoint.load()
        if pretrained.tokenizer.mask_token_id is None:
            raise EncoderError(
                f"Model {self.model!r} cannot be used to fill in masked words: its tokenizer has no mask token. "
                f"Expected a masked language model such as distilbert/distilroberta-base. Set {_GROUP}.model to one."
            )
        return pretrained

    @cached_property
    def _vocabulary(self) -> tuple[Int[Tensor, " n_words"], list[str]]:
        words = whole_words(self._pretrained.tokenizer)
        return torch.tensor(list(words), device=self._pretrained.device), list(words.values())

    def _drafts(self, request: AugmentRequest, index: int) -> list["_Draft"]:
        """Distinct choices of places and ranks; few for short texts."""
        text = request.texts[index]
        pieces = _WORD.split(text)
        places = [place for place in range(1, len(pieces), 2) if _may_change(pieces[place])]
        alone = len(pieces) <= 3 and not self.beside_original  # a word without a context
        if not places or alone:
            return []
        generator = torch.Generator().manual_seed(request.text_seed(self.name, index))
        n_masked = max(1, round(self.mask_share * len(places)))
        drawn: dict[tuple[tuple[int, ...], tuple[int, ...]], None] = {}
        for _ in range(_DRAWS * request.most):
            chosen = torch.randperm(len(places), generator=generator)[:n_masked].sort().values.tolist()
            ranks = torch.randint(self.top_k, (n_masked,), generator=generator).tolist()
            drawn[tuple(places[number] for number in chosen), tuple(ranks)] = None
            if len(drawn) == request.most:
                break
        return [_Draft(text, list(pieces), places, ranks) for places, ranks in drawn]

    def _fill(self, drafts: Sequence["_Draft"]) -> None:
        """Replace the next word of each draft."""
        mask = self._pretrained.tokenizer.mask_token
        masked = [(draft.source, draft.masked(mask)) for draft in drafts]
        candidates = self._candidates(list(dict.fromkeys(masked)))
        for draft, pair in zip(drafts, masked, strict=True):
            draft.fill(candidates[pair], self.top_k)

    def _candidates(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
        """For each text with its masked form the likeliest words at the mask, best first; none where it was cut off."""
        pretrained = self._pretrained
        tokens = self._tokens(pairs)
        ids, words = self._vocabulary
        found: dict[tuple[str, str], list[str]] = {}
        with track("Filling in masked words", total=len(pairs), unit="words") as advance:
            for indices in by_tokens(tokens.lengths, pretrained.budget(self.tokens_per_batch)):
                batch = {name: tensor.to(pretrained.device) for name, tensor in tokens.batch(indices).items()}
                masks = batch["input_ids"] == pretrained.tokenizer.mask_token_id
                with torch.inference_mode():
                    logits = _logits_at(pretrained.module, batch, masks.long().argmax(1))
                    ranked = logits[:, ids].topk(min(self.top_k + _REFUSED, len(ids))).indices.tolist()
                once = (masks.sum(1) == 1).tolist()
                for index, numbers, is_clear in zip(indices, ranked, once, strict=True):
                    found[pairs[index]] = [words[number] for number in numbers] if is_clear else []
                advance(len(indices))
        return found

    def _tokens(self, pairs: Sequence[tuple[str, str]]) -> TokenizedTexts:
        pretrained = self._pretrained
        # Half a surrogate pair is no text to a tokenizer and would stop the whole run.
        cleaned = [[text.encode("utf-8", "replace").decode("utf-8") for text in pair] for pair in pairs]
        texts, masked = (list(side) for side in zip(*cleaned, strict=True))
        inputs = (texts, masked) if self.beside_original else (masked,)
        encoded = pretrained.tokenizer(
            *inputs, truncation=True, max_length=pretrained.limit, return_attention_mask=False
        )
        padding = {name: 0 for name in encoded if name in pretrained.accepted}
        padding["input_ids"] = pretrained.tokenizer.pad_token_id or 0
        return TokenizedTexts({name: encoded[name] for name in padding}, padding, 0)


@dataclass
class _Draft:
    """A text on its way to a proposal.

    Args:
        source: the text.
        pieces: words at odd places, what stands between them at even ones; words change as places are filled.
        places: of words to replace, in this order.
        ranks: for each place which of the candidates to take.
    """

    source: str
    pieces: list[str]
    places: tuple[int, ...]
    ranks: tuple[int, ...]
    changes: list[str] = field(default_factory=list)
    failed: bool = False

    @property
    def place(self) -> int | None:
        """Where the next word goes; None where all are replaced, or one could not be."""
        return None if self.failed or len(self.changes) == len(self.places) else self.places[len(self.changes)]

    def masked(self, mask: str) -> str:
        """The text as it is by now, with the mask in the next place."""
        return "".join(mask if place == self.place else piece for place, piece in enumerate(self.pieces))

    def fill(self, candidates: Sequence[str], top_k: int) -> None:
        """Replace the word at the next place, or give up where there are too few candidates."""
        place = self.places[len(self.changes)]
        old = self.pieces[place]
        near = {piece.casefold() for piece in self.pieces[max(1, place - 2) : place + 3 : 2]}
        fitting = [word for word in candidates if word.casefold() not in near][:top_k]
        rank = self.ranks[len(self.changes)]
        if rank >= len(fitting):
            self.failed = True
            return
        self.pieces[place] = in_case_of(old, fitting[rank])
        self.changes.append(f"{old} → {self.pieces[place]}")


def _proposals(text: str, drafts: Sequence[_Draft]) -> list[Proposal]:
    """The finished drafts, those with likelier words first, each text once."""
    made = {normalise(text)}
    proposals = []
    for draft in sorted((draft for draft in drafts if not draft.failed), key=lambda draft: sum(draft.ranks)):
        new = "".join(draft.pieces)
        if normalise(new) not in made:
            made.add(normalise(new))
            proposals.append(Proposal(new, ", ".join(draft.changes)))
    return proposals


def _may_change(word: str) -> bool:
    plain = word.casefold().replace("’", "'")
    return plain not in _NEGATIONS and not plain.endswith("n't") and not any(sign.isdigit() for sign in word)


def _logits_at(
    module: Any, batch: dict[str, Tensor], places: Int[Tensor, " batch"]
) -> Float[Tensor, "batch vocabulary"]:
    """Logits at one place of each text."""
    rows = torch.arange(len(places), device=places.device)
    with _projecting_only(module, rows, places):
        logits = module(**batch).logits
    return logits[:, 0] if logits.shape[1] == 1 else logits[rows, places]


@contextmanager
def _projecting_only(module: Any, rows: Int[Tensor, " batch"], places: Int[Tensor, " batch"]) -> Iterator[None]:
    """Let the map onto the vocabulary, half of a small model's work, see the wanted places only.

    A model whose head is built otherwise computes all, to the same effect.
    """
    head = module.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear):
        yield
        return
    handle = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][rows, places].unsqueeze(1),))
    try:
        yield
    finally:
        handle.remove()
