"""Inner loops that go through the encoder: one episode after another, on rows of token ids."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.learners.learner import Classifier, Support
from fewshot.learners.maml.body import Body
from fewshot.learners.maml.descent import descend
from fewshot.learners.maml.named import Parameters
from fewshot.learners.maml.network import Examples, Network
from fewshot.learners.maml.on_features import start_of
from fewshot.learners.maml.peer import descend_in_learn2learn
from fewshot.learners.maml.rates import InnerRates
from fewshot.learners.maml.settings import MAMLSettings


@dataclass(frozen=True)
class AdaptedEncoder(Classifier):
    """An encoder that was fine-tuned on the support of each episode, with its head.

    Args:
        body: the encoder as a function of its adapted parameters.
        parameters: of each episode, the head's among them.
        scale: factor of the logits.
    """

    body: Body
    parameters: tuple[Parameters, ...]
    scale: Float[Tensor, ""]

    def logits(self, query: Int[Tensor, "episodes n_query tokens"]) -> Float[Tensor, "episodes n_query n_way"]:
        """Logits of the head on the adapted features."""
        return torch.cat(
            [
                Network.of(parameters, self.scale).logits(embed(self.body, parameters, rows))
                for parameters, rows in zip(self.parameters, query, strict=True)
            ]
        )

    def metric(self, features: Int[Tensor, "episodes n tokens"]) -> Float[Tensor, "episodes n metric_dim"]:
        """The adapted features, as unit vectors."""
        return torch.cat([embed(self.body, *pair) for pair in zip(self.parameters, features, strict=True)])

    @property
    def weights(self) -> Parameters:
        """What the first episode ended with, by name."""
        return self.parameters[0]


def adapt_through_encoder(
    body: Body,
    first: Parameters,
    scale: Float[Tensor, ""],
    support: Support,
    settings: MAMLSettings,
    rates: InnerRates,
) -> list[Parameters]:
    """Fine-tune encoder parameters and head on one episode.

    Args:
        body: the encoder.
        first: first values: those of the body, and of the head where they are learned.
        scale: factor of the logits.
        support: a batch of one episode; its features are token ids.
        settings: of MAML.
        rates: of the inner loop.

    Returns:
        The parameters after each step.
    """
    shots = support.with_names_as_shots()
    real = shots.mask[0].flatten()
    rows = shots.features[0].flatten(0, 1)[real]  # what stands in padding is no text
    amounts = shots.amounts()[0].flatten()[real]
    weights = (amounts / amounts.sum())[None, :, None]
    ways = torch.arange(shots.mask.shape[1], device=rows.device).repeat_interleave(shots.mask.shape[2])[real]

    def examples(parameters: Parameters) -> Examples:
        features = embed(body, parameters, rows)
        targets = torch.nn.functional.one_hot(ways, shots.mask.shape[1])[None].to(features.dtype)
        return Examples(features, targets, weights.to(features.dtype))

    def loss(parameters: Parameters) -> Tensor:
        now = examples(parameters)
        return now.losses(Network.of(parameters, scale).logits(now.features)).sum()

    head = start_of(first, scale, examples(first)).parameters()
    start = {**head, **{name: value for name, value in first.items() if name not in head}}
    steps, first_order = settings.inner_steps, not settings.second_order
    if settings.engine == "learn2learn":
        return descend_in_learn2learn(start, loss, rates, steps, first_order)
    return descend(start, loss, rates, steps, first_order)


def embed(body: Body, parameters: Parameters, rows: Int[Tensor, "n tokens"]) -> Float[Tensor, "1 n dim"]:
    """Features of one episode's texts, as a batch of one."""
    return body({name: value for name, value in parameters.items() if name in body.names}, rows)[None]
