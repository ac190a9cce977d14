"""Model-agnostic meta-learning and its relatives: a network is fine-tuned on the support, and learned for that.

    theta_0 = theta                        theta_{t+1} = theta_t - rate * d/dtheta_t  CE(support; theta_t)
    loss = CE(query; theta_T)              logits = s (h W^T + b), with h the features of a text

| setting | what it makes | source |
|---|---|---|
| the default | ProtoMAML: W starts at the unit prototypes of the support, b at 0 | Triantafillou et al. 2020, 3.1 |
| `head_init="learned"` | MAML | Finn et al. 2017 |
| `first_order` | FOMAML | Finn et al. 2017, 5.2 |
| `adapts="head"` | ANIL: only the head is adapted | Raghu et al. 2020 |
| `rates="per_parameter"` | Meta-SGD | Li et al. 2017 |
| `rates="per_layer_and_step"`, `multi_step_loss` | MAML++ | Antoniou et al. 2019 |
| `reptile` | Reptile: theta moves towards theta_T | Nichol et al. 2018 |

Where we differ: the prototypes are of length one, so that their biases in ProtoMAML, `-|p_c|^2`, are all alike and say
nothing; a learned scale `s` takes the place of its factor of two.  Before the first step the default is thus exactly
`Prototypical`.  The steps of the multi-step loss keep weights that grow with the step, `w_t ~ t`, where MAML++ shifts
them from uniform to the last over the training.  Reptile's inner loop reads the support alone.  The label name counts
as one more example.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from fewshot.learners.learner import Classifier, Support
from fewshot.learners.maml.inner_loop import Loss, adapt_head, adapt_network, descend
from fewshot.learners.maml.learn2learn import descend_in_learn2learn
from fewshot.learners.maml.network import HEAD, HIDDEN, Examples, Layer, NamedParameters, Network, Parameters
from fewshot.learners.maml.settings import Adapts, Engine, HeadInit, InnerRates, MAMLSettings, Rates
from fewshot.learners.prototypical import ProjectedLearner
from fewshot.randomness import child_generator

Step = TypeVar("Step")


class _WithGradients(torch.autograd.Function):
    """A scalar whose backward pass hands each parameter the gradient given for it, times that from upstream."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: tuple[Tensor | None, ...], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(None if gradient is None else upstream[0] * gradient for gradient in ctx.gradients)


def summed_gradients(losses: Iterable[Float[Tensor, ""]], parameters: Sequence[Tensor]) -> Float[Tensor, ""]:
    """The sum of losses, each one's gradient computed and its graph freed before the next loss is made."""
    value, sums = torch.zeros(()), dict[int, Tensor]()
    for loss in losses:
        value = value + loss.detach()
        if torch.is_grad_enabled():
            for place, gradient in enumerate(torch.autograd.grad(loss, list(parameters), allow_unused=True)):
                if gradient is not None:
                    sums[place] = sums[place] + gradient if place in sums else gradient
    return _WithGradients.apply(value, tuple(sums.get(place) for place in range(len(parameters))), *parameters)


def towards(end: Mapping[str, Tensor], start: Mapping[str, Tensor], value: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Reptile's loss: a value whose gradient by each value in `start` is `theta - theta_T`, the mean over episodes."""
    ends = [end[name].mean(0) if end[name].ndim > p.ndim else end[name] for name, p in start.items()]
    gradients = tuple(p.detach() - last for p, last in zip(start.values(), ends, strict=True))
    return _WithGradients.apply(value.detach(), gradients, *start.values())


def outer_loss(
    settings: MAMLSettings,
    first: NamedParameters,
    steps: Callable[[], list[Step]],
    query_loss: Callable[[Step], Float[Tensor, ""]],
    weights: Callable[[Step], Parameters],
) -> Float[Tensor, ""]:
    """The loss of the outer loop, in nats: of the queries after the last step, or after every step.

    Reptile's value is the same, its gradient `theta - theta_T`. `steps` takes the inner loop; `query_loss` and
    `weights` give the cross-entropy of the queries, and values by name, after a step.
    """
    if settings.reptile:
        with torch.no_grad():
            end = steps()[-1]
            value = query_loss(end)
        return towards(weights(end), {name: p for name, p in first.named().items() if p.requires_grad}, value)
    path = steps()
    if not settings.multi_step_loss:
        return query_loss(path[-1])
    losses = torch.stack([query_loss(step) for step in path])
    growing = torch.arange(1, len(path) + 1, device=losses.device)
    return (growing * losses).sum() / growing.sum()


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


def start_of(first: Parameters, scale: Float[Tensor, ""], examples: Examples) -> Network:
    """The network before the first step; without learned values for the head it starts at the unit prototypes."""
    if HEAD[0] in first:
        return Network.of(first, scale)
    hidden = Layer(*(first[name] for name in HIDDEN)) if HIDDEN[0] in first else None
    embedded = examples.features if hidden is None else hidden(examples.features).relu()
    sums = examples.targets.mT @ embedded  # of the same direction as the means
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
        path = [
            {name: torch.stack([parameters[name] for parameters in step]) for name in step[0]}
            for step in zip(*path_of_each, strict=True)
        ]
    return [network(parameters) for parameters in path]


class MAML(ProjectedLearner):
    """MAML, FOMAML, ANIL, ProtoMAML, MAML++, Meta-SGD and Reptile.

    It reads cached features through a meta-trained residual projection; `EncoderMAML` goes through the encoder.

    Args:
        dim: number of features.
        inner_lr: rate of the inner loop, or its first value.
        meta_lr: rate of the outer loop for weight matrices; None is `training.learning_rate`.
        inner_steps: steps of the inner loop.
        first_order: take the gradients of the inner loop as constants.
        adapts: what the inner loop changes: the `"head"`, or the `"network"`, which is hidden layer and head.
        hidden: width of a hidden layer; None is a linear head.
        head_init: the head starts at the `"prototypes"` of the support, or at `"learned"` values.
        ways: number of classes of a learned head.
        rates: of the inner loop, see `InnerRates`.
        multi_step_loss: the query loss counts after every step, not only after the last.
        reptile: update what is adapted towards the end of the inner loop; nothing else is meta-trained.
        engine: of the inner loop: this package, or learn2learn, one episode after another.
        scale: first value of the factor of the logits.
        centring: share of the train classes' mean that is taken away, see `ResidualProjection`.
        seed: of the first weights of a hidden layer.

    Raises:
        ConfigError: settings that are out of range or contradict each other.
    """

    title = "MAML"

    def __init__(
        self,
        dim: int,
        inner_lr: float = 0.01,
        meta_lr: float | None = None,
        inner_steps: int = 5,
        first_order: bool = False,
        adapts: Adapts = "head",
        hidden: int | None = None,
        head_init: HeadInit = "prototypes",
        ways: int | None = None,
        rates: Rates = "fixed",
        multi_step_loss: bool = False,
        reptile: bool = False,
        engine: Engine = "fewshot",
        scale: float = 20.0,
        centring: float = 0.6,
        seed: int = 0,
    ):
        settings = MAMLSettings(
            inner_lr=inner_lr,
            meta_lr=meta_lr,
            inner_steps=inner_steps,
            first_order=first_order,
            adapts=adapts,
            hidden=hidden,
            head_init=head_init,
            ways=ways,
            rates=rates,
            multi_step_loss=multi_step_loss,
            reptile=reptile,
            engine=engine,
            scale=scale,
        )
        super().__init__(dim, centring, **asdict(settings), seed=seed)
        self.settings, self.dim, self.seed, self.meta_lr, self.ways = settings, dim, seed, meta_lr, ways
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        self.first = NamedParameters(_first_values(settings, dim, seed))
        first = self.first.named()
        adapted = {name: value for name, value in first.items() if name not in HIDDEN or adapts == "network"}
        self.rates = InnerRates.of(settings, adapted, hidden or dim)
        if settings.reptile:
            self.requires_grad_(False)
            for name, parameter in first.items():
                parameter.requires_grad_(name in self.rates.names)

    def fine_tuned(self) -> list[nn.Parameter]:
        """The first values of a hidden layer and of a learned head."""
        return list(self.first.parameters())

    def adapt(self, support: Support) -> AdaptedNetwork:
        """Fine-tune on the support of each episode; a ConfigError for other classes than a learned head has."""
        return self._steps(support)[-1]

    def loss(
        self, support: Support, query: Float[Tensor, "episodes n_query dim"], targets: Tensor
    ) -> Float[Tensor, ""]:
        """The loss of the outer loop, see `Learner.loss` and `outer_loss`."""
        return outer_loss(
            self.settings,
            self.first,
            steps=lambda: self._steps(support),
            query_loss=lambda step: cross_entropy(step.logits(query).flatten(0, 1), targets.flatten()),
            weights=lambda step: step.network.parameters(),
        )

    def _steps(self, support: Support) -> list[AdaptedNetwork]:
        """The classifier after each step of the inner loop."""
        self.settings.check_ways(support.mask.shape[1])
        scale = self.log_scale.exp()
        features, targets, mask = support.with_names_as_shots().flat()
        weights = (mask / mask.sum(1, keepdim=True)).to(features.dtype)[..., None]
        examples = Examples(self.projection(features), targets.to(features.dtype), weights)
        networks = adapt_on_features(start_of(self.first.named(), scale, examples), examples, self.settings, self.rates)
        return [AdaptedNetwork(network, self.projection) for network in networks]


def _first_values(settings: MAMLSettings, dim: int, seed: int) -> dict[str, Tensor]:
    """First values of a hidden layer (He et al. 2015) and of a learned head."""
    if settings.hidden is None:
        return settings.learned_head(dim)
    drawn = torch.randn(settings.hidden, dim, generator=child_generator(seed, "maml/hidden"))
    first = (drawn * (2 / dim) ** 0.5, torch.zeros(settings.hidden))
    return dict(zip(HIDDEN, first, strict=True)) | settings.learned_head(settings.hidden)
