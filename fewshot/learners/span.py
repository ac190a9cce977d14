"""Vectors as weighted sums of rows, by the smallest coefficients that give them.

a = E (E^T E)^+ w        E^T a = w, if w is in the span of the rows of E
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK = 16_384  # rows that are held in double precision at once


def inverse_gram(parts: Iterable[Float[Tensor, "n_part dim"]]) -> Float[Tensor, "dim dim"]:
    """`(E^T E)^+` in double precision, from the rows part by part."""
    gram: Tensor | None = None
    for part in parts:
        exact = part.double()
        gram = exact.T @ exact if gram is None else gram.addmm_(exact.T, exact)
    assert gram is not None
    return torch.linalg.pinv(gram, hermitian=True, rtol=1e-9)


def span_coefficients(
    rows: Float[Tensor, "n dim"], vectors: Float[Tensor, "n_vectors dim"]
) -> Float[Tensor, "n n_vectors"]:
    """The smallest coefficients of the rows whose weighted sums are some vectors in their span."""
    parts = rows.split(CHUNK)
    dual = inverse_gram(parts) @ vectors.double().T
    return torch.cat([(part.double() @ dual).to(rows.dtype) for part in parts])
