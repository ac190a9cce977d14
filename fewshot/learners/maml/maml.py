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
`Prototypical`.  The steps of the multi-step loss keep weights that grow with the step, `w_t ~ t`, where MAML++ moves
them from uniform to the last over the training.  Reptile's inner loop reads the support alone.  The label name counts
as one more example.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fewshot.encoders import Encoder, Full, LoRA, Trainable
from fewshot.errors import ConfigError
from fewshot.learners.learner import Support
from fewshot.learners.maml.body import Body
from fewshot.learners.maml.named import NamedParameters, Parameters
from fewshot.learners.maml.network import HEAD, HIDDEN
from fewshot.learners.maml.on_features import AdaptedNetwork, adapt_on_features, examples_of, start_of
from fewshot.learners.maml.outer import with_gradients
from fewshot.learners.maml.rates import InnerRates
from fewshot.learners.maml.settings import Adapts, Engine, HeadInit, MAMLSettings, Rates
from fewshot.learners.maml.through_encoder import AdaptedEncoder, adapt_through_encoder
from fewshot.learners.maml.tokens import token_rows
from fewshot.learners.projection import ProjectedLearner
from fewshot.randomness import child_generator


class MAML(ProjectedLearner):
    """MAML, FOMAML, ANIL, ProtoMAML, MAML++, Meta-SGD and Reptile.

    With `adapts="head"` or `"network"` it reads cached features through a residual projection that is meta-trained
    like the rest.  With `"lora"` or `"encoder"` it reads token ids (`fewshot.learners.maml.token_rows`), and the inner
    loop goes through the encoder handed over by `attach`.

    Args:
        dim: number of features.
        inner_lr: rate of the inner loop, or its first value.
        meta_lr: rate of the outer loop for weight matrices, and for all that is adapted of an encoder; None is
            `training.learning_rate`.
        inner_steps: steps of the inner loop.
        first_order: take the gradients of the inner loop as constants.
        adapts: what the inner loop changes: the `"head"`; the `"network"`, which is hidden layer and head; `"lora"`,
            low-rank updates of the encoder, and the head; the whole `"encoder"` and the head.
        hidden: width of a hidden layer; None is a linear head.
        head_init: the head starts at the `"prototypes"` of the support, or at `"learned"` values.
        ways: number of classes of a learned head.
        rates: of the inner loop, see `InnerRates`.
        multi_step_loss: the query loss counts after every step, not only after the last.
        reptile: move what is adapted towards where the inner loop ends; nothing else is meta-trained.
        engine: who runs the inner loop: this package, or learn2learn, one episode after another.
        scale: first value of the factor of the logits.
        centring: share of the train classes' mean that is taken away, see `ResidualProjection`.
        seed: of the first weights of a hidden layer and of LoRA.

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
            *(inner_lr, meta_lr, inner_steps, first_order, adapts, hidden, head_init, ways),
            *(rates, multi_step_loss, reptile, engine, scale),
        )
        super().__init__(dim, centring, **asdict(settings), seed=seed)
        self.settings, self.dim, self.seed, self.meta_lr, self.ways = settings, dim, seed, meta_lr, ways
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        self.first = NamedParameters(_first_values(settings, dim, seed))
        self.rates = self._inner_rates()
        self.body: Body | None = None
        if settings.through_encoder:
            self.reads = "tokens"
            self.projection = nn.Identity()  # the encoder itself is trained
        if settings.reptile:
            self.requires_grad_(False)
            for name, parameter in self.first.named().items():
                parameter.requires_grad_(name in self.rates.names)

    def attach(self, encoder: Encoder, trainable: Trainable | None = None) -> None:
        """Take a copy of the encoder, whose parameters the inner loop is to adapt; the learner is in `eval()` then.

        Raises:
            ConfigError: its features are not as many as `dim`, or its attention has no second derivative.
            EncoderError: it cannot be loaded or adapted.
        """
        if self.reads == "features":
            return
        generator = child_generator(self.seed, "maml/lora")
        if trainable is None:
            trainable = LoRA() if self.settings.adapts == "lora" else Full()
        body = Body(encoder, trainable, self.settings.second_order, generator)
        with torch.no_grad():
            found = body(body.start, token_rows(encoder, ["one text"])).shape[1]
        if found != self.dim:
            raise ConfigError(
                f"Got dim={self.dim}, but encoder model {encoder.model!r} gives {found} features. "
                f"Make the learner with dim={found}."
            )
        self.body = body
        first = {name: tensor for name, tensor in self.first.named().items() if name not in self.body.names}
        self.first = NamedParameters({**first, **self.body.start})
        self.rates = self._inner_rates()
        self.eval()

    @property
    def attached(self) -> Mapping[str, Any]:
        """The encoder's fingerprint and how its parameters are adapted."""
        return {} if self.body is None else self.body.described

    @property
    def pretrained(self) -> Sequence[Tensor]:
        """The parameters of the attached encoder."""
        if self.body is None:
            return ()
        return [parameter for name, parameter in self.first.named().items() if name in self.body.names]

    def train(self, mode: bool = True) -> "MAML":
        """Training mode; dropout of an attached encoder goes with it."""
        super().train(mode)
        if self.body is not None:
            self.body.train(mode)
        return self

    def prepare(self, class_means: Num[Tensor, "n_classes dim"]) -> None:
        """Centre the projection on the train classes, where features are read."""
        if self.reads == "features":
            super().prepare(class_means)

    def embed(self, features: Num[Tensor, "n_texts dim"]) -> Num[Tensor, "n_texts dim"]:
        """Project each text once; what the inner loop changes comes after it."""
        return features if self.reads == "tokens" else super().embed(features)

    def adapt(self, support: Support) -> AdaptedNetwork | AdaptedEncoder:
        """Fine-tune on the support of each episode.

        Raises:
            ConfigError: a learned head and another number of classes, or no encoder where one is needed.
        """
        if self.reads == "features":
            return self._steps(support)[-1]
        ends = [self._steps(support.episode(index))[-1] for index in range(len(support.mask))]
        return AdaptedEncoder(self._attached(), tuple(end.parameters[0] for end in ends), self.log_scale.exp())

    def loss(self, support: Support, query: Num[Tensor, "episodes n_query dim"], targets: Tensor) -> Float[Tensor, ""]:
        """Cross-entropy of the queries after the last step, or after every step; see `Learner.loss`.

        Through an encoder each episode's gradient is computed at once, and its graph freed.  Reptile's value is the
        same cross-entropy, its gradient `theta - theta_T`.
        """
        if self.reads == "features":
            return self._loss(support, query, targets)
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        value, sums = torch.zeros(()), dict[int, Tensor]()
        for index in range(len(query)):
            own = slice(index, index + 1)
            loss = self._loss(support.episode(index), query[own], targets[own]) / len(query)
            value = value + loss.detach()
            if torch.is_grad_enabled():
                for place, gradient in enumerate(torch.autograd.grad(loss, trained, allow_unused=True)):
                    if gradient is not None:
                        sums[place] = sums[place] + gradient if place in sums else gradient
        return with_gradients(value, trained, [sums.get(place) for place in range(len(trained))])

    def _loss(self, support: Support, query: Tensor, targets: Tensor) -> Tensor:
        if self.settings.reptile:
            with torch.no_grad():
                end = self._steps(support)[-1]
                value = cross_entropy(end.logits(query).flatten(0, 1), targets.flatten())
            return self._towards(end.weights, value)
        steps = self._steps(support)
        if not self.settings.multi_step_loss:
            return cross_entropy(steps[-1].logits(query).flatten(0, 1), targets.flatten())
        losses = torch.stack([cross_entropy(step.logits(query).flatten(0, 1), targets.flatten()) for step in steps])
        weights = torch.arange(1, len(steps) + 1, device=losses.device)
        return (weights * losses).sum() / weights.sum()

    def _towards(self, end: Parameters, value: Tensor) -> Tensor:
        """The value with the gradient `theta - theta_T`, the mean over episodes."""
        moved = {name: p for name, p in self.first.named().items() if p.requires_grad}
        ends = [end[name].mean(0) if end[name].ndim > p.ndim else end[name] for name, p in moved.items()]
        gradients = [p.detach() - last for p, last in zip(moved.values(), ends, strict=True)]
        return with_gradients(value, list(moved.values()), gradients)

    def _steps(self, support: Support) -> list[Any]:
        """The classifier after each step of the inner loop; of one episode where it goes through the encoder."""
        n_way, scale = support.mask.shape[1], self.log_scale.exp()
        if self.ways is not None and n_way != self.ways:
            raise ConfigError(
                f"Got episodes of {n_way} classes for a learned head of learner.ways={self.ways}. Set ways={self.ways} "
                f"and training.ways={self.ways}, or learner.head_init=prototypes, which takes any number."
            )
        first, rates = self.first.named(), self.rates
        if self.reads == "tokens":
            body = self._attached()
            path = adapt_through_encoder(body, first, scale, support, self.settings, rates)
            return [AdaptedEncoder(body, (parameters,), scale) for parameters in path]
        examples = examples_of(support, self.projection)
        networks = adapt_on_features(start_of(first, scale, examples), examples, self.settings, rates)
        return [AdaptedNetwork(network, self.projection) for network in networks]

    def _attached(self) -> Body:
        if self.body is None:
            raise ConfigError(
                f"Got learner.adapts={self.settings.adapts} and no encoder to adapt. Call learner.attach(encoder), or "
                f"load_learner(folder, encoder=encoder), first."
            )
        return self.body

    def _inner_rates(self) -> InnerRates:
        """Rates of what is adapted; the classes of a head that starts at prototypes share theirs."""
        first, width = self.first.named(), self.settings.hidden or self.dim
        adapted = [name for name in first if name not in HIDDEN or self.settings.adapts == "network"]
        shapes = {name: tuple(first[name].shape) for name in adapted}
        for name, shape in zip(HEAD, ((width,), ()), strict=True):
            shapes.setdefault(name, shape)
        return InnerRates(self.settings.rates, self.settings.inner_lr, self.settings.inner_steps, shapes)


def _first_values(settings: MAMLSettings, dim: int, seed: int) -> dict[str, Tensor]:
    """First values of a hidden layer (He et al. 2015) and of a learned head."""
    values, width = {}, settings.hidden or dim
    if settings.hidden is not None:
        drawn = torch.randn(width, dim, generator=child_generator(seed, "maml/hidden"))
        values = dict(zip(HIDDEN, (drawn * (2 / dim) ** 0.5, torch.zeros(width)), strict=True))
    if settings.ways is not None:
        values |= dict(zip(HEAD, (torch.zeros(settings.ways, width), torch.zeros(settings.ways)), strict=True))
    return values
