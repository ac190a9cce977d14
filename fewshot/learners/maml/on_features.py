"""Inner loops on cached features: all episodes of a batch at once."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.learners.learner import Classifier, Support
from fewshot.learners.linear import outnumbers_features
from fewshot.learners.maml.descent import Loss, descend
from fewshot.learners.maml.dual import adapt_head, adapt_network
from fewshot.learners.maml.learn2learn import descend_in_learn2learn, stacked
from fewshot.learners.maml.network import HEAD, HIDDEN, Examples, Layer, Network, Parameters
from fewshot.learners.maml.rates import InnerRates
from fewshot.learners.maml.settings import MAMLSettings


@dataclass(frozen=True)
class AdaptedNetwork(Classifier):
    """A network on projected features, with weights of its own for each episode."""

    network: Network
    projection: nn.Module

    def logits(self, query: Float[Tensor, "episodes n_query dim"]) -> Float[Tensor, "episodes n_query n_way"]:
        """Logits of the network."""
        return self.network.logits(self.projection(query))

    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n metric_dim"]:
        """What the head reads, as unit vectors."""
        return normalize(self.network.embed(self.projection(features)), dim=-1)


def examples_of(support: Support, projection: nn.Module) -> Examples:
    """The support as the inner loop reads it, label names among it."""
    features, targets, amounts = support.with_names_as_shots().flat()
    weights = (amounts / amounts.sum(1, keepdim=True)).to(features.dtype)
    return Examples(projection(features), targets.to(features.dtype), weights[..., None], outnumbers_features(support))


def start_of(first: Parameters, scale: Float[Tensor, ""], examples: Examples) -> Network:
    """The network before the first step; without learned values for the head it starts at the unit prototypes."""
    if HEAD[0] in first:
        return Network.of(first, scale)
    hidden = Layer(*(first[name] for name in HIDDEN)) if HIDDEN[0] in first else None
    embedded = examples.features if hidden is None else hidden(examples.features).relu()
    # Of the same direction as the means. Shares of the largest weight, which are exactly 1 where all weigh the same.
    amounts = examples.weights / examples.weights.amax(1, keepdim=True)
    sums = (examples.targets * amounts).mT @ embedded
    return Network(Layer(normalize(sums, dim=-1), sums.new_zeros(sums.shape[:2])), hidden, scale)


def adapt_on_features(start: Network, examples: Examples, settings: MAMLSettings, rates: InnerRates) -> list[Network]:
    """Fine-tune the head, or the whole network: the network after each step.

    The plain form serves rates that differ within a layer, and learn2learn.
    """
    steps, first_order = settings.inner_steps, not settings.second_order
    if settings.engine == "fewshot" and settings.rates != "per_parameter":
        adapt = adapt_network if settings.adapts == "network" else adapt_head
        return adapt(start, examples, rates, steps, first_order)
    whole, episodes = start.parameters(), range(len(examples.features))
    fixed = {name: value for name, value in whole.items() if name not in rates.names}
    own = {}
    for name in rates.names:
        shape = whole[name].shape[-2:] if name.endswith("weight") else whole[name].shape[-1:]
        own[name] = whole[name].expand(len(episodes), *shape)

    def network(parameters: Parameters) -> Network:
        return Network.of({**fixed, **parameters}, start.scale)

    def loss_on(part: Examples) -> Loss:
        return lambda parameters: part.losses(network(parameters).logits(part.features)).sum()

    if settings.engine == "fewshot":
        path = descend(own, loss_on(examples), rates, steps, first_order)
    else:
        path_of_each = []
        for e in episodes:
            values, loss = {name: value[e] for name, value in own.items()}, loss_on(examples.episode(e))
            metasgd = settings.rates == "per_parameter"
            path_of_each.append(descend_in_learn2learn(values, loss, rates, steps, first_order, metasgd))
        path = stacked(path_of_each)
    return [network(parameters) for parameters in path]
