"""Sources that need nothing: what they propose can be told from the text alone."""

from collections.abc import Sequence

import torch

from fewshot.augment import AugmentRequest, Proposal, Source


class Prefixes(Source):
    """The text behind each of some words."""

    name = "prefixes"

    def __init__(self, words: Sequence[str] = ("a", "the", "some", "this", "that", "our", "any", "one")):
        self.words, self.asked = tuple(words), []

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        self.asked.append(request)
        return [
            [Proposal(f"{word} {text}", f"prefix {word}") for word in self.words][: request.max_new]
            for text in request.texts
        ]

    def notes(self, request: AugmentRequest) -> list[str]:
        return [f"Prefixes: {', '.join(self.words)}."]


class Changes(Source):
    """Each word of the text in turn for each word that a table has for it."""

    name = "changes"

    def __init__(self, table: dict[str, Sequence[str]]):
        self.table, self.asked = table, []

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        self.asked.append(request)
        return [
            [
                Proposal(" ".join([*words[:place], new, *words[place + 1 :]]), f"{word} → {new}")
                for place, word in enumerate(words)
                for new in self.table.get(word, ())
            ][: request.max_new]
            for words in (text.split() for text in request.texts)
        ]


class Listed(Source):
    """What a table has for a text."""

    name = "listed"

    def __init__(self, table: dict[str, Sequence[str]], name: str = "listed"):
        self.table, self.name = table, name  # type: ignore[misc]

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        return [
            [Proposal(new, self.name) for new in self.table.get(text, ())][: request.max_new] for text in request.texts
        ]


class Vectors:
    """Unit vectors from a table of numbers; it remembers what it was asked for."""

    def __init__(self, table: dict[str, Sequence[float]]):
        self.table, self.asked = table, []

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        self.asked.append(list(texts))
        rows = [self.table[text] for text in texts]
        features = torch.tensor(rows, dtype=torch.float32).reshape(len(rows), self.dim)
        return torch.nn.functional.normalize(features, dim=-1)

    @property
    def dim(self) -> int:
        return len(next(iter(self.table.values())))
