"""Batches of about equally long texts, so that hardly any work goes into padding."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.errors import EncoderError


def by_tokens(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut texts into batches of similar length.

    Args:
        lengths: tokens of each text.
        budget: maximum of padded tokens (longest × count) in a batch. A text longer than the budget stands alone.

    Returns:
        Indices into `lengths`, each once, longest first: if a batch does not fit into memory, that shows at once.

    Example:
        >>> by_tokens([3, 9, 4, 2], budget=10)
        [[1], [2, 0], [3]]
    """
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if room == 0:
            batches.append([])
            room = max(1, budget // max(1, lengths[index]))
        batches[-1].append(index)
        room -= 1
    return batches


def in_batches(
    lengths: Sequence[int], budget: int, embed: Callable[[list[int]], Float[Tensor, "batch dim"]]
) -> Float[Tensor, "n_texts dim"]:
    """Features of at least one text, float32 on the CPU, in the order of `lengths`; `embed` takes a batch's indices."""
    features = torch.empty(0)
    for indices in by_tokens(lengths, budget):
        rows = embed(indices).to("cpu", torch.float32)
        if not len(features):
            features = torch.empty(len(lengths), rows.shape[1])
        features[indices] = rows
    return features


def check_finite(features: Float[Tensor, "n_texts dim"], texts: Sequence[str], model: str) -> None:
    """Refuse NaN and infinity with an EncoderError that names the first text, and the model and its precision."""
    finite = features.isfinite().all(1)
    if not finite.all():
        text = texts[int((~finite).nonzero()[0])]
        raise EncoderError(
            f"Encoder model {model} gave NaN or infinite features for the text {text[:80]!r}; expected finite numbers. "
            f"Set encoder.dtype=float32, or choose another model."
        )
