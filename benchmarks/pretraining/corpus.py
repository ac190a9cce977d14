"""Unlabelled lines as one row of token ids, from which lines, spans of words and runs of lines are drawn as slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

_BATCH = 16_384  # lines that go through the tokenizer at once


class Tokens(NamedTuple):
    """Inputs of an encoder, padded on the right."""

    ids: Int[Tensor, "batch tokens"]
    mask: Bool[Tensor, "batch tokens"]


@dataclass(frozen=True)
class Mixture:
    """What a batch is drawn from: whole lines, spans of them, and runs of two lines in random order.

    Short spans stand for terms and label names, runs for texts of several sentences.

    Args:
        spans: share of spans.
        runs: share of runs; the rest are whole lines.
        max_words: a span has 1 to so many words, short ones more often: the number is `1 + floor(u^2 max_words)`.
        max_tokens: longer slices are cut, without the two special tokens.
    """

    spans: float = 0.5
    runs: float = 0.05
    max_words: int = 14
    max_tokens: int = 126


@dataclass(frozen=True)
class Corpus:
    """Token ids of all lines behind one another, in random order, on the device that draws.

    Args:
        tokens: ids without special ones.
        starts: where each line starts, and the length of `tokens`.
        words: where each word starts, and the length of `tokens`.
        special: ids of padding, of the first and of the last token of a text.
    """

    tokens: Int[Tensor, " n_tokens"]
    starts: Int[Tensor, " n_starts"]
    words: Int[Tensor, " n_word_starts"]
    special: tuple[int, int, int]

    @classmethod
    def from_lines(cls, lines: Sequence[str], tokenizer: Any, generator: torch.Generator) -> "Corpus":
        """Tokenize distinct lines with a WordPiece tokenizer; `generator` draws their order."""
        order = torch.randperm(len(lines), generator=generator).tolist()
        rows: list[Tensor] = []
        lengths: list[int] = []
        for start in range(0, len(order), _BATCH):
            part = [lines[index] for index in order[start : start + _BATCH]]
            encoded = tokenizer(part, add_special_tokens=False, return_attention_mask=False)["input_ids"]
            rows += [torch.tensor([token for ids in encoded for token in ids])]
            lengths += [len(ids) for ids in encoded if ids]
        tokens = torch.cat(rows).long()
        starts = torch.tensor([0, *lengths]).cumsum(0)
        pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        opens = torch.tensor([not piece.startswith("##") for piece in pieces])[tokens]
        opens[starts[:-1]] = True
        words = torch.cat([opens.nonzero().flatten(), starts[-1:]])
        special = (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
        return cls(tokens, starts, words, special)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def to(self, device: torch.device) -> "Corpus":
        """The same on another device."""
        return Corpus(self.tokens.to(device), self.starts.to(device), self.words.to(device), self.special)

    def held_out(self, n_lines: int) -> tuple["Corpus", "Corpus"]:
        """All but the last lines, and the last `n_lines`."""
        border = len(self) - n_lines
        token = self.starts[border]
        word = int(torch.searchsorted(self.words, token))
        rest = Corpus(self.tokens[:token], self.starts[: border + 1], self.words[: word + 1], self.special)
        return rest, Corpus(self.tokens[token:], self.starts[border:] - token, self.words[word:] - token, self.special)

    def lines(self, indices: Int[Tensor, " batch"], max_tokens: int = 126) -> Tokens:
        """Whole lines, cut at `max_tokens`."""
        return self._gather(self.starts[indices], self.starts[indices + 1], max_tokens)

    def draw(self, n_texts: int, mixture: Mixture, generator: torch.Generator) -> Tokens:
        """Texts drawn with replacement, sorted by length; a line counts once, however long it is.

        Args:
            n_texts: size of the batch.
            mixture: shares of lines, spans and runs.
            generator: on the device of the corpus.
        """
        uniform = torch.rand(4, n_texts, generator=generator, device=self.tokens.device, dtype=torch.float64)
        line = (uniform[0] * len(self)).long()
        begin, end = self.starts[line], self.starts[line + 1]
        run_end = self.starts[(line + 2).clamp(max=len(self))]
        # A span starts at the word that a random token of its line is in.
        token = begin + (uniform[1] * (end - begin)).long()
        word = torch.searchsorted(self.words, token, right=True) - 1
        n_words = 1 + (uniform[2] ** 2 * mixture.max_words).long()
        span_end = torch.minimum(self.words[(word + n_words).clamp(max=len(self.words) - 1)], end)
        is_span = uniform[3] < mixture.spans
        is_run = uniform[3] >= 1 - mixture.runs
        start = torch.where(is_span, self.words[word], begin)
        stop = torch.where(is_span, span_end, torch.where(is_run, run_end, end))
        order = (stop - start).argsort(stable=True)
        return self._gather(start[order], stop[order], mixture.max_tokens)

    def _gather(self, start: Tensor, stop: Tensor, max_tokens: int) -> Tokens:
        padding, first, last = self.special
        length = (stop - start).clamp(max=max_tokens)
        place = torch.arange(int(length.max()) + 2, device=start.device)
        inside = (start[:, None] + place - 1).clamp(0, len(self.tokens) - 1)
        ids = torch.where(place <= length[:, None], self.tokens[inside], padding)
        ids[:, 0] = first
        ids.scatter_(1, length[:, None] + 1, last)
        return Tokens(ids, place < length[:, None] + 2)
