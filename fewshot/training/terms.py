"""Terms beside the loss of the episodes, in nats: functions of the unit vectors z of the texts of one step.

Cosines are divided by the temperature. The adversarial term is the loss with word embeddings perturbed to increase it,
by the fast gradient method:

    r_i = size |s_i| g_i / |g_i|        g_i = dL / ds_i

s_i are the embeddings of the words of text i, all in one vector, before positions are added and the first layer reads
them.  r_i counts as a constant, so that the loss at s + r teaches the weights alone.

Source: Miyato, Dai and Goodfellow 2017, "Adversarial Training Methods for Semi-Supervised Text Classification",
https://arxiv.org/abs/1605.07725, equation 3.  They normalise the embeddings of the vocabulary, so that a size means the
same in any model; those of a published encoder stay unchanged, and the size is in units of |s_i| instead.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fewshot.encoders import TrainableEncoder
from fewshot.errors import ConfigError


def supervised_contrastive(
    embeddings: Float[Tensor, "n dim"], labels: Int[Tensor, " n"], temperature: float = 0.1
) -> Float[Tensor, ""]:
    """Pull embeddings with the same label together, push others apart.

        L_i = -mean_{p in P(i)} log softmax_{j != i}(z_i . z_j / temperature)_p

    P(i) are the others with the label of i: texts of its class, and the class's name.  The mean is over those i that
    have others; 0 if none has.

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
    """Keep the neighbourhoods of the teacher's vectors t of the same texts; 0 if both agree on all distances.

        L = mean_i KL(softmax_{j != i}(t_i . t_j / temperature) || softmax_{j != i}(z_i . z_j / temperature))

    Source: Fang et al. 2021, "SEED: Self-supervised Distillation", https://arxiv.org/abs/2101.04731, equation 4,
        with the step's own texts instead of a queue.
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


def _off_diagonal(square: Float[Tensor, "n n"]) -> Float[Tensor, "n n_others"]:
    n = len(square)
    return square.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)


def word_layer(encoder: TrainableEncoder) -> nn.Module:
    """The layer that turns token ids into vectors; ConfigError if none is found."""
    try:
        layer = encoder.backbone.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        layer = None
    if not isinstance(layer, nn.Module):
        raise ConfigError(
            f"Encoder model {encoder.published.model!r} has no layer of word embeddings that could be perturbed. Set "
            f"encoder_training.adversarial_weight=0."
        )
    return layer


@dataclass
class WordRecord:
    """The outputs of the word layer in each call, and zeros added to them, which gradients reach."""

    words: list[Float[Tensor, "n tokens dim"]] = field(default_factory=list)
    zeros: list[Float[Tensor, "n tokens dim"]] = field(default_factory=list)

    def perturbations(self, loss: Float[Tensor, ""], size: float) -> list[Float[Tensor, "n tokens dim"]]:
        """For each call, the perturbation of its words that increases the loss most; the graph is kept."""
        gradients = torch.autograd.grad(loss, self.zeros, retain_graph=True, allow_unused=True)
        return [
            torch.zeros_like(words) if gradient is None else fast_gradient(words, gradient, size)
            for words, gradient in zip(self.words, gradients, strict=True)
        ]


@contextmanager
def recorded(layer: nn.Module) -> Iterator[WordRecord]:
    """Within the block, record the outputs of a word layer, and let gradients reach them."""
    record = WordRecord()

    def append(output: Tensor) -> Tensor:
        record.words.append(output.detach())
        record.zeros.append(torch.zeros_like(output, requires_grad=True))
        return output + record.zeros[-1]

    with _hooked(layer, append):
        yield record


@contextmanager
def perturbed(layer: nn.Module, perturbations: Sequence[Float[Tensor, "n tokens dim"]]) -> Iterator[None]:
    """Within the block, add one tensor to the output of a word layer in each of its calls, in turn."""
    remaining = iter(perturbations)
    with _hooked(layer, lambda output: output + next(remaining)):
        yield


@contextmanager
def _hooked(layer: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    handle = layer.register_forward_hook(lambda module, inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def fast_gradient(
    words: Float[Tensor, "n tokens dim"], gradient: Float[Tensor, "n tokens dim"], size: float
) -> Float[Tensor, "n tokens dim"]:
    """The perturbation of each text: along its gradient, `size` times as long as its words without padding."""
    is_word = (gradient != 0).any(-1, keepdim=True)
    length = (words * is_word).flatten(1).norm(dim=1)
    steepness = gradient.flatten(1).norm(dim=1).clamp(min=torch.finfo(gradient.dtype).tiny)
    return (size * length)[:, None, None] * (gradient / steepness[:, None, None])
