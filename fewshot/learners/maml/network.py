"""A linear or two-layer network on features, with weights of its own for each episode.

logits = s (h W^T + b)        h = x, or relu(x V^T + c) with a hidden layer
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, log_softmax

Parameters = Mapping[str, Tensor]

# torch keeps the dot for the path to a submodule, and safetensors takes any other character.
_DOT = "/"
HEAD, HIDDEN = ("head.weight", "head.bias"), ("hidden.weight", "hidden.bias")


class NamedParameters(nn.Module):
    """Parameters under names that may hold dots; a `nn.Parameter` is kept as it is, and so shared."""

    def __init__(self, parameters: Parameters):
        super().__init__()
        for name, tensor in parameters.items():
            kept = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor)
            self.register_parameter(name.replace(".", _DOT), kept)

    def named(self) -> dict[str, Tensor]:
        """Name → parameter."""
        return {name.replace(_DOT, "."): value for name, value in self._parameters.items() if value is not None}


@dataclass(frozen=True)
class Layer:
    """`y = x W^T + b - (x X^T) C`: a linear map whose change is kept over the rows X that it was fitted to.

    Gradient descent on rows X changes the weights by `-C^T X` with few rows in C: the product is never formed. W and b
    are one for all episodes or one for each; X and C are None where nothing has changed.
    """

    weight: Float[Tensor, "*shared out dim"]
    bias: Float[Tensor, "*each out"]
    rows: Float[Tensor, "episodes n dim"] | None = None
    coefficients: Float[Tensor, "episodes n out"] | None = None

    def __call__(self, features: Float[Tensor, "*batch n dim"]) -> Float[Tensor, "*batch n out"]:
        """Scores of each row of features."""
        scores = times(features, self.weight) + self.bias[..., None, :]
        if self.rows is None or self.coefficients is None:
            return scores
        return torch.baddbmm(scores, features @ self.rows.mT, self.coefficients, alpha=-1)

    def merged(self) -> "Layer":
        """The same map with its change put into the weights."""
        if self.rows is None or self.coefficients is None:
            return self
        return Layer(self.weight - self.coefficients.mT @ self.rows, self.bias)


def times(features: Float[Tensor, "*batch n dim"], weight: Float[Tensor, "*shared out dim"]) -> Tensor:
    """`x W^T`; where all episodes share W, in the form whose gradient by W is several times faster than that of `@`."""
    return linear(features, weight) if weight.ndim == 2 else features @ weight.mT


@dataclass(frozen=True)
class Network:
    """A head with a row for each way, perhaps a hidden layer before it, and the factor of the logits."""

    head: Layer
    hidden: Layer | None
    scale: Float[Tensor, ""]

    def embed(self, features: Float[Tensor, "*batch n dim"]) -> Float[Tensor, "*batch n width"]:
        """The features that the head reads."""
        return features if self.hidden is None else self.hidden(features).relu()

    def logits(self, features: Float[Tensor, "*batch n dim"]) -> Float[Tensor, "*batch n n_way"]:
        """Unnormalised log-probabilities."""
        return self.scale * self.head(self.embed(features))

    @classmethod
    def of(cls, parameters: Parameters, scale: Float[Tensor, ""]) -> "Network":
        """The network with the weights of a dictionary."""
        hidden = Layer(*(parameters[name] for name in HIDDEN)) if HIDDEN[0] in parameters else None
        return cls(Layer(*(parameters[name] for name in HEAD)), hidden, scale)

    def parameters(self) -> dict[str, Tensor]:
        """The weights as a dictionary."""
        head = self.head.merged()
        named = dict(zip(HEAD, (head.weight, head.bias), strict=True))
        if self.hidden is not None:
            hidden = self.hidden.merged()
            named |= dict(zip(HIDDEN, (hidden.weight, hidden.bias), strict=True))
        return named


@dataclass(frozen=True)
class Examples:
    """The labelled examples of an inner loop, with one-hot targets; rows behind a weight of zero are padding."""

    features: Float[Tensor, "episodes n dim"]
    targets: Float[Tensor, "episodes n n_way"]
    weights: Float[Tensor, "episodes n 1"]

    def losses(self, logits: Float[Tensor, "episodes n n_way"]) -> Float[Tensor, " episodes"]:
        """Mean cross-entropy of each episode, in nats."""
        return -(self.weights * self.targets * log_softmax(logits, dim=-1)).sum((-2, -1))

    def episode(self, index: int) -> "Examples":
        """One episode as a batch of one."""
        own = {name: getattr(self, name)[index : index + 1] for name in ("features", "targets", "weights")}
        return replace(self, **own)

    def residuals(self, scale: Float[Tensor, ""], scores: Float[Tensor, "episodes n n_way"]) -> Tensor:
        """Gradient of `losses` by the scores that the scale multiplies."""
        return (scale * self.weights) * ((scale * scores).softmax(-1) - self.targets)
