"""The loss of a student's features against its teacher's.

    loss = mean_i (1 - cos(s_i, t_i)) + a mean_ij (cos(s_i, s_j) - cos(t_i, t_j))^2

`s` and `t` are the embeddings of a text by student and teacher. The second term compares the similarities of all pairs
of a batch, the only input of a nearest centroid.

Source: Park et al. 2019, "Relational Knowledge Distillation", https://arxiv.org/abs/1904.05068, for the second term.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


def imitation_loss(
    student: Float[Tensor, "batch dim"], teacher: Float[Tensor, "batch dim"], similarity_weight: float
) -> Float[Tensor, ""]:
    """The loss above; `similarity_weight` is a.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        >>> imitation_loss(student, teacher, 10.0)
        tensor(5.5000)
    """
    student, teacher = normalize(student, dim=-1), normalize(teacher, dim=-1)
    cosine = 1 - (student * teacher).sum(1).mean()
    similarity = (student @ student.T - teacher @ teacher.T).square().mean()
    return cosine + similarity_weight * similarity
