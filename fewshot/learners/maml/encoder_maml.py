"""MAML whose inner loop goes through the encoder: parameters of the encoder and a head take steps on the support.

    theta_0 = theta                        theta_{t+1} = theta_t - rate * d/dtheta_t  CE(support; theta_t)
    loss = CE(query; theta_T)              logits = s (h W^T + b), with h the unit features of a text

theta holds the part of the encoder that is trained (low-rank updates, adapters, or all weights) and the head. The
settings make the family, see `fewshot.learners.maml.maml`; the label name counts as one more example. An episode takes
about a second, so they come one after another, and each one's gradient is computed at once and its graph freed.

Source: Finn et al. 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks",
https://arxiv.org/abs/1703.03400.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from fewshot.encoders import Encoder, Trainable, TrainableEncoder
from fewshot.encoders.shared import SharedModel
from fewshot.encoders.trained import TrainedWeights
from fewshot.errors import ConfigError
from fewshot.learners.learner import Classifier
from fewshot.learners.maml.inner_loop import descend
from fewshot.learners.maml.learn2learn import descend_in_learn2learn
from fewshot.learners.maml.maml import AdaptedNetwork, outer_loss, start_of, summed_gradients
from fewshot.learners.maml.network import HEAD, Examples, NamedParameters, Network, Parameters
from fewshot.learners.maml.settings import InnerRates, MAMLSettings
from fewshot.randomness import child_generator

_NO_TOKEN = -1  # no tokenizer has it, while the id that stands for padding may be that of a real token


class Body:
    """Features of token rows, given the adapted parameters, by a copy in 32 bits whose dropout is off at first."""

    def __init__(self, encoder: Encoder, trainable: Trainable, second_order: bool, generator: torch.Generator):
        self.trainable = TrainableEncoder(encoder, trainable, generator)
        if second_order:
            _turn_to_eager_attention(self.trainable.backbone, encoder.model)
        self.start: Mapping[str, Tensor] = {n: p for n, p in self.trainable.named_parameters() if p.requires_grad}
        self.names = frozenset(self.start)
        self.trainable.train(False)

    def __call__(self, parameters: Parameters, rows: Int[Tensor, "n tokens"]) -> Float[Tensor, "n dim"]:
        """Unit vectors of token rows, on the device of the rows."""
        mask = rows != _NO_TOKEN
        longest = int(mask.sum(1).max())
        tokens, mask = rows[:, :longest], mask[:, :longest]
        batch = {"input_ids": tokens.masked_fill(~mask, 0), "attention_mask": mask.long()}
        features = torch.func.functional_call(self.trainable, dict(parameters), (batch,))
        return normalize(features.to(rows.device), dim=-1)

    def weights(self, parameters: Parameters) -> TrainedWeights:
        """Adapted parameters as trained weights of the encoder, for `Encoder.with_trained`."""
        kept = {name: value.detach().clone() for name, value in self.start.items()}
        try:
            for name, value in self.start.items():
                value.data.copy_(parameters[name].detach())
            return self.trainable.trained_weights()
        finally:
            for name, value in self.start.items():
                value.data.copy_(kept[name])


def _turn_to_eager_attention(backbone: Any, model: str) -> None:
    """The fused kernels have a first derivative only."""
    kernel = getattr(getattr(backbone, "config", None), "_attn_implementation", None) or "eager"
    if kernel == "eager":
        return
    try:
        backbone.set_attn_implementation("eager")
    except (AttributeError, ValueError) as error:
        raise ConfigError(
            f"Encoder model {model!r} insists on the attention kernel {kernel!r}, which has no second derivative, "
            f"and MAML of second order needs one. Set learner.first_order=true."
        ) from error


def token_rows(encoder: Encoder, texts: Sequence[str]) -> Int[Tensor, "n_texts tokens"]:
    """Texts (at least one) as rows of token ids, which episodes index like features; -1 is behind the end of a text."""
    batch = encoder.tokenize(texts)
    needed = set(batch) - {"input_ids", "attention_mask", "token_type_ids"}
    if "input_ids" not in batch or needed or bool(batch.get("token_type_ids", torch.zeros(1)).any()):
        raise ConfigError(
            f"Encoder model {encoder.model!r} reads {', '.join(sorted(batch))}, but an inner loop through the encoder "
            f"gives it the ids of tokens and nothing else. Set training=episodic, or choose another encoder."
        )
    return batch["input_ids"].masked_fill(batch["attention_mask"] == 0, _NO_TOKEN)


@dataclass(frozen=True)
class TokenEpisode:
    """One episode as rows of `token_rows`, with the way of each text; label names are among the support."""

    support: Int[Tensor, "n_support tokens"]
    ways: Int[Tensor, " n_support"]
    query: Int[Tensor, "n_query tokens"]
    targets: Int[Tensor, " n_query"]
    n_way: int


class EncoderMAML(nn.Module):
    """First values of an encoder's parameters and of a head, from which a few steps on a support make a classifier.

    Args:
        encoder: published or meta-trained; it is not changed. It has to read token ids alone.
        trainable: which part of it the inner loop adapts.
        settings: of MAML; `adapts` and `hidden` have no part.
        seed: of the first LoRA or adapter weights.

    Raises:
        ConfigError: a hidden layer, rates that learn2learn does not have, or an attention without a second derivative.
        EncoderError: the weights cannot be loaded, or their architecture is not known well enough.
    """

    title = "MAML through the encoder"
    temperature: Tensor

    def __init__(self, encoder: Encoder, trainable: Trainable, settings: MAMLSettings, seed: int = 0):
        super().__init__()
        settings.check_through_encoder()
        self.settings, self.ways, self.meta_lr = settings, settings.ways, settings.meta_lr
        self.arguments: dict[str, Any] = {**asdict(settings), "seed": seed}
        self.trainable = trainable
        self.body = Body(encoder, trainable, settings.second_order, child_generator(seed, "maml/lora"))
        self.published = encoder
        with torch.no_grad():
            self.dim = self.body(self.body.start, token_rows(encoder, ["one text"])).shape[1]
        self.first = NamedParameters({**settings.learned_head(self.dim), **self.body.start})
        self.log_scale = nn.Parameter(torch.tensor(settings.scale).log())
        self.rates = InnerRates.of(settings, self.first.named(), self.dim)
        self.register_buffer("temperature", torch.ones(()))
        self._shared: SharedModel | None = None
        if settings.reptile:
            self.requires_grad_(False)
            for parameter in self.first.parameters():
                parameter.requires_grad_(True)
        self.eval()

    def train(self, mode: bool = True) -> "EncoderMAML":
        """Training mode; dropout of the encoder goes with it."""
        super().train(mode)
        self.body.trainable.train(mode)
        return self

    @property
    def pretrained(self) -> list[Tensor]:
        """The parameters of the encoder."""
        return [value for name, value in self.first.named().items() if name in self.body.names]

    def adapt(self, texts: Sequence[str], ways: Int[Tensor, " n_texts"], n_way: int) -> tuple[Encoder, Classifier]:
        """The encoder, uncached in 32 bits, and a classifier, adapted to texts (names among them) and their ways."""
        end = self.steps(token_rows(self.published, texts), ways, n_way)[-1]
        if self._shared is None:  # loaded once for all supports
            self._shared = SharedModel(self.published.replace(dtype="float32", cache=None))
        with torch.no_grad():
            encoder = self._shared.encoder(self.body.weights(end))
            network = Network.of({name: end[name].detach() for name in HEAD}, self.log_scale.exp())
        return encoder, AdaptedNetwork(network, nn.Identity())

    def logits(self, episode: TokenEpisode) -> Float[Tensor, "n_query n_way"]:
        """Logits of the queries after the last step."""
        return self._logits(self.steps(episode.support, episode.ways, episode.n_way)[-1], episode.query)

    def forward(self, episodes: Sequence[TokenEpisode]) -> Float[Tensor, ""]:
        """Mean loss of the episodes, in nats, see `outer_loss`."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return summed_gradients((self._loss(episode) / len(episodes) for episode in episodes), trained)

    def steps(
        self, rows: Int[Tensor, "n_support tokens"], ways: Int[Tensor, " n_support"], n_way: int
    ) -> list[Parameters]:
        """The parameters after each step of the inner loop; arguments as in `TokenEpisode`."""
        self.settings.check_ways(n_way)
        first, scale, settings = self.first.named(), self.log_scale.exp(), self.settings
        targets = one_hot(ways.to(rows.device), n_way)[None]

        def examples(parameters: Parameters) -> Examples:
            features = self._features(parameters, rows)
            return Examples(features, targets.to(features.dtype), features.new_full((1, len(rows), 1), 1 / len(rows)))

        def loss(parameters: Parameters) -> Tensor:
            now = examples(parameters)
            return now.losses(Network.of(parameters, scale).logits(now.features)).sum()

        start = {**start_of(first, scale, examples(first)).parameters(), **first}
        descent = descend_in_learn2learn if settings.engine == "learn2learn" else descend
        return descent(start, loss, self.rates, settings.inner_steps, not settings.second_order)

    def _loss(self, episode: TokenEpisode) -> Float[Tensor, ""]:
        return outer_loss(
            self.settings,
            self.first,
            steps=lambda: self.steps(episode.support, episode.ways, episode.n_way),
            query_loss=lambda step: cross_entropy(self._logits(step, episode.query), episode.targets),
            weights=lambda step: step,
        )

    def _logits(self, parameters: Parameters, rows: Int[Tensor, "n tokens"]) -> Float[Tensor, "n n_way"]:
        return Network.of(parameters, self.log_scale.exp()).logits(self._features(parameters, rows))[0]

    def _features(self, parameters: Parameters, rows: Int[Tensor, "n tokens"]) -> Float[Tensor, "1 n dim"]:
        return self.body({name: value for name, value in parameters.items() if name in self.body.names}, rows)[None]
