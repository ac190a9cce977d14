"""Vectors as weighted sums of rows, by the smallest coefficients that give them.

a = E (E^T E)^+ w        E^T a = w, if w is in the span of the rows of E
"""

import torch
from jaxtyping import Float
from torch import Tensor

_CHUNK = 16_384  # rows that are held in double precision at once


def inverse_gram(rows: Float[Tensor, "n dim"]) -> Float[Tensor, "dim dim"]:
    """`(E^T E)^+` in double precision."""
    gram = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.double)
    for part in rows.split(_CHUNK):
        exact = part.double()
        gram.addmm_(exact.T, exact)
    return torch.linalg.pinv(gram, hermitian=True, rtol=1e-9)


def span_coefficients(
    rows: Float[Tensor, "n dim"], vectors: Float[Tensor, "n_vectors dim"]
) -> Float[Tensor, "n n_vectors"]:
    """The smallest coefficients of the rows whose weighted sums are some vectors in their span."""
    dual = inverse_gram(rows) @ vectors.double().T
    parts = [(part.double() @ dual).to(rows.dtype) for part in rows.split(_CHUNK)]
    return torch.cat(parts)
