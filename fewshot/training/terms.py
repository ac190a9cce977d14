"""Terms beside the loss of the episodes, in nats: pure functions of the unit vectors z of the texts of one step.

Cosines are divided by the temperature.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


def supervised_contrastive(
    embeddings: Float[Tensor, "n dim"], labels: Int[Tensor, " n"], temperature: float = 0.1
) -> Float[Tensor, ""]:
    """Pull what has one label together, push the rest apart.

        L_i = -mean_{p in P(i)} log softmax_{j != i}(z_i . z_j / temperature)_p

    P(i) are the others with the label of i: texts of its class, and the class's name.  The mean is over those i that
    have others; 0 where none has.

    Source: Khosla et al. 2020, "Supervised Contrastive Learning", https://arxiv.org/abs/2004.11362, equation 2.
    """
    itself = torch.eye(len(labels), dtype=torch.bool, device=embeddings.device)
    positive = (labels[:, None] == labels).to(embeddings.device) & ~itself
    likelihood = (embeddings @ embeddings.T / temperature).masked_fill(itself, -math.inf).log_softmax(1)
    others = positive.sum(1)
    likelihoods = likelihood.masked_fill(~positive, 0.0).sum(1)[others > 0] / others[others > 0]
    return -likelihoods.mean() if len(likelihoods) else embeddings.sum() * 0.0


def consistency(
    embeddings: Float[Tensor, "n dim"], teacher: Float[Tensor, "n teacher_dim"], temperature: float = 0.05
) -> Float[Tensor, ""]:
    """Keep the neighbourhoods of the teacher's vectors t of the same texts; 0 where both agree on all distances.

        L = mean_i KL(softmax_{j != i}(t_i . t_j / temperature) || softmax_{j != i}(z_i . z_j / temperature))

    Source: Fang et al. 2021, "SEED: Self-supervised Distillation", https://arxiv.org/abs/2101.04731, equation 4,
        with the step's own texts in the place of a queue.
    """
    ours, theirs = (_off_diagonal(z @ z.T / temperature).log_softmax(1) for z in (embeddings, teacher))
    return torch.nn.functional.kl_div(ours, theirs, log_target=True, reduction="batchmean")


def alignment(embeddings: Float[Tensor, "n dim"], target: Float[Tensor, "n_target dim"]) -> Float[Tensor, ""]:
    """Distance between the mean embedding of the step and that of texts t of a target domain, from 0 to 4.

        L = |mean_i z_i - mean_j t_j|^2

    This is the maximum mean discrepancy with a linear kernel.

    Source: Tzeng et al. 2014, "Deep Domain Confusion", https://arxiv.org/abs/1412.3474, equation 1.
    """
    return (embeddings.mean(0) - target.mean(0)).square().sum()


def augmentation(
    texts: Float[Tensor, "n dim"], variants: Float[Tensor, "n n_variants dim"], temperature: float = 0.1
) -> Float[Tensor, ""]:
    """Tell texts apart by their variants v: each text is a class of its own, whose variants make the prototype.

        p_i = normalize(mean_m v_im)        L = -mean_i log softmax_j(z_i . p_j / temperature)_i

    Source: Dopierre, Gravier and Logerais 2021, "ProtAugment", https://arxiv.org/abs/2105.12995, section 3.2, the
        unsupervised loss; theirs has squared Euclidean distances in the place of cosines over a temperature.
    """
    prototypes = normalize(variants.mean(1), dim=-1)
    own = torch.arange(len(texts), device=texts.device)
    return cross_entropy(texts @ prototypes.T / temperature, own)


def _off_diagonal(square: Float[Tensor, "n n"]) -> Float[Tensor, "n n_others"]:
    n = len(square)
    return square.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)
