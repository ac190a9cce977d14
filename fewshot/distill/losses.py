"""How far a student's features are from its teacher's.

    loss = mean_i (1 - cos(s_i, t_i)) + a mean_ij (cos(s_i, s_j) - cos(t_i, t_j))^2
           + b sum_k |h_k - g_k|^2 / sum_k |g_k|^2

`s` and `t` are the embeddings of a text by student and teacher, `h` and `g` the last hidden states of a token. The
second term compares the similarities of all pairs of a batch, which is all that a nearest centroid sees.

Source: Park et al. 2019, "Relational Knowledge Distillation", https://arxiv.org/abs/1904.05068, for the second term,
and Jiao et al. 2020, "TinyBERT", https://arxiv.org/abs/1909.10351, for the third.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True)
class LossWeights:
    """Weights beside that of the cosine, which is 1.

    Args:
        similarity: a, of the similarities within a batch.
        tokens: b, of the hidden states.
    """

    similarity: float = 10.0
    tokens: float = 1.0


def distillation_loss(
    student: Float[Tensor, "batch dim"],
    teacher: Float[Tensor, "batch dim"],
    tokens: Float[Tensor, ""],
    weights: LossWeights,
) -> Float[Tensor, ""]:
    """The loss above; `tokens` is its third term, see `token_loss`.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        >>> distillation_loss(student, teacher, torch.tensor(0.0), LossWeights(similarity=10.0))
        tensor(5.5000)
    """
    student, teacher = normalize(student, dim=-1), normalize(teacher, dim=-1)
    cosine = 1 - (student * teacher).sum(1).mean()
    similarity = (student @ student.T - teacher @ teacher.T).square().mean()
    return cosine + weights.similarity * similarity + weights.tokens * tokens


def token_loss(
    student: Float[Tensor, "batch tokens dim"],
    teacher: Float[Tensor, "batch tokens dim"],
    mask: Bool[Tensor, "batch tokens"],
) -> Float[Tensor, ""]:
    """Squared distance of the hidden states of all tokens in `mask`, as a share of the teacher's squared length."""
    distance = ((student - teacher).float().square().sum(-1) * mask).sum()  # by a product: indexing waits for a GPU
    return distance / (teacher.float().square().sum(-1) * mask).sum()
