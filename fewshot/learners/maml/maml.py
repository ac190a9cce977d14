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

from dataclasses import asdict

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fewshot.learners.learner import Support
from fewshot.learners.maml.network import HIDDEN, NamedParameters
from fewshot.learners.maml.on_features import AdaptedNetwork, adapt_on_features, examples_of, start_of
from fewshot.learners.maml.outer import outer_loss
from fewshot.learners.maml.rates import InnerRates
from fewshot.learners.maml.settings import Adapts, Engine, HeadInit, MAMLSettings, Rates
from fewshot.learners.projection import ProjectedLearner
from fewshot.randomness import child_generator


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
        examples = examples_of(support, self.projection)
        networks = adapt_on_features(start_of(self.first.named(), scale, examples), examples, self.settings, self.rates)
        return [AdaptedNetwork(network, self.projection) for network in networks]


def _first_values(settings: MAMLSettings, dim: int, seed: int) -> dict[str, Tensor]:
    """First values of a hidden layer (He et al. 2015) and of a learned head."""
    if settings.hidden is None:
        return settings.learned_head(dim)
    drawn = torch.randn(settings.hidden, dim, generator=child_generator(seed, "maml/hidden"))
    first = (drawn * (2 / dim) ** 0.5, torch.zeros(settings.hidden))
    return dict(zip(HIDDEN, first, strict=True)) | settings.learned_head(settings.hidden)
