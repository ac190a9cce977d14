"""Word embeddings perturbed so that the loss is larger: the fast gradient method.

    r_i = size |s_i| g_i / |g_i|        g_i = dL / ds_i

s_i are the embeddings of the words of text i, all in one vector, before positions are added and the first layer reads
them.  r_i counts as a constant, so that the loss at s + r teaches the weights alone.

Source: Miyato, Dai and Goodfellow 2017, "Adversarial Training Methods for Semi-Supervised Text Classification",
https://arxiv.org/abs/1605.07725, equation 3.  They normalise the embeddings of the vocabulary, so that a size means the
same in any model; a published encoder's are as they are, and the size is in units of |s_i| instead.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fewshot.encoders import TrainableEncoder
from fewshot.errors import ConfigError


def word_layer(encoder: TrainableEncoder) -> nn.Module:
    """The layer that turns token ids into vectors; a ConfigError where none could be found."""
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
    """The outputs of the word layer in its calls, and zeros added to them, which gradients reach."""

    words: list[Float[Tensor, "n tokens dim"]] = field(default_factory=list)
    places: list[Float[Tensor, "n tokens dim"]] = field(default_factory=list)

    def perturbations(self, loss: Float[Tensor, ""], size: float) -> list[Float[Tensor, "n tokens dim"]]:
        """The perturbation of the words of each call for which the loss grows most; its graph is kept."""
        gradients = torch.autograd.grad(loss, self.places, retain_graph=True, allow_unused=True)
        return [
            torch.zeros_like(words) if gradient is None else fast_gradient(words, gradient, size)
            for words, gradient in zip(self.words, gradients, strict=True)
        ]


@contextmanager
def recorded(layer: nn.Module) -> Iterator[WordRecord]:
    """While the block lasts, keep the outputs of a word layer, and let gradients reach them."""
    seen = WordRecord()

    def record(output: Tensor) -> Tensor:
        seen.words.append(output.detach())
        seen.places.append(torch.zeros_like(output, requires_grad=True))
        return output + seen.places[-1]

    with _hooked(layer, record):
        yield seen


@contextmanager
def perturbed(layer: nn.Module, perturbations: Sequence[Float[Tensor, "n tokens dim"]]) -> Iterator[None]:
    """While the block lasts, add to the outputs of a word layer: one tensor for each of its calls, in turn."""
    left = iter(perturbations)
    with _hooked(layer, lambda output: output + next(left)):
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
    reached = (gradient != 0).any(-1, keepdim=True)
    length = (words * reached).flatten(1).norm(dim=1)
    steepness = gradient.flatten(1).norm(dim=1).clamp(min=torch.finfo(gradient.dtype).tiny)
    return (size * length)[:, None, None] * (gradient / steepness[:, None, None])
