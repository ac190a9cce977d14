"""The training of a student: steps, schedule, and a checkpoint that goes on to the same numbers.

    loss = that of `fewshot.distill.losses` + b sum_k |h_k - g_k|^2 / sum_k |g_k|^2

`h` and `g` are the hidden states of a token by student and teacher.

The student computes in the precision in which it will be used, so that its router sees in training the scores that it
will see later; AdamW updates a copy of the weights in float32, as in Micikevicius et al. 2018, "Mixed Precision
Training", https://arxiv.org/abs/1710.03740; Jiao et al. 2020, "TinyBERT",
https://arxiv.org/abs/1909.10351, for the loss of the tokens.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from benchmarks.pretraining.balance import ExpertBalance
from benchmarks.pretraining.corpus import Corpus, Mixture, Tokens
from benchmarks.pretraining.deepseek import layer_states, pooled
from fewshot.distill.losses import imitation_loss
from fewshot.encoders.precision import cast_parameters
from fewshot.errors import StorageError
from fewshot.storage import read_tensors, write_tensors

_PART = {"cuda": 40_000, "cpu": 2_048}  # tokens, with padding, that go through a model at once
_HELD_OUT = 512  # texts
_MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW


@dataclass(frozen=True)
class LossWeights:
    """Weights beside that of the cosine, which is 1.

    Args:
        similarity: a, of the similarities within a batch.
        tokens: b, of the hidden states.
    """

    similarity: float = 10.0
    tokens: float = 1.0


class Pair(NamedTuple):
    """A layer of the student that learns one of the teacher, and the length of its mean in the features."""

    student: int
    teacher: int
    weight: float


_LAST = (Pair(-1, -1, 1.0),)
_MIXTURE, _WEIGHTS = Mixture(), LossWeights()


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: linear warm-up, then a cosine down to a hundredth.

    Args:
        steps: of the optimiser.
        batch: texts a step.
        minutes: an earlier end; the rate then falls with the time that is left.
        learning_rate: at its peak.
        warmup: steps.
        weight_decay: of matrices other than the word embeddings.
        balance_rate: by how much the biases of experts move; in the last tenth they stay.
    """

    steps: int
    batch: int = 4096
    minutes: float = math.inf
    learning_rate: float = 3e-3
    warmup: int = 200
    weight_decay: float = 0.01
    balance_rate: float = 1e-3

    def progress(self, step: int, seconds: float) -> float:
        """Share of the training that is over, 0 to 1, by steps or by time."""
        return min(1.0, max(step / self.steps, seconds / (60 * self.minutes)))

    def rate(self, step: int, progress: float) -> float:
        """The learning rate of a step."""
        falling = 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
        return self.learning_rate * min(1.0, (step + 1) / self.warmup) * falling


class Report(NamedTuple):
    """How a training stands: the last loss, texts so far, and seconds of training."""

    step: int
    loss: float
    texts: int
    seconds: float


class Distillation:
    """Teaches a student the hidden states of a teacher that reads the same tokens.

    Args:
        student: a transformer of the teacher's width, changed in place: it is cast to the teacher's precision, its
            buffers left as they are, and those of its parameters trained that require a gradient.
        teacher: a transformer, in the precision to compute in; both are on the device of the corpus.
        corpus: what texts are drawn from.
        schedule: steps, batch and rates.
        mixture: lines, spans and runs.
        weights: of the parts of the loss; that of the tokens falls linearly to 0, for in the end the embedding counts.
        seed: of the batches.
        pairs: layers whose hidden states are learnt; the features are their means over tokens, side by side.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        corpus: Corpus,
        schedule: Schedule,
        mixture: Mixture = _MIXTURE,
        weights: LossWeights = _WEIGHTS,
        seed: int = 0,
        pairs: Sequence[Pair] = _LAST,
    ):
        self.student, self.teacher, self.corpus = student.train(), teacher.eval(), corpus
        self.schedule, self.mixture, self.weights = schedule, mixture, weights
        self.pairs, self.balance = tuple(pairs), ExpertBalance(student)
        self.step, self.seconds = 0, 0.0
        self._generator = torch.Generator(corpus.tokens.device).manual_seed(seed)
        self._used = {name: p for name, p in student.named_parameters() if p.requires_grad}
        self._exact = {name: p.detach().float().clone().requires_grad_() for name, p in self._used.items()}
        cast_parameters(student, next(teacher.parameters()).dtype)
        decays = [p for name, p in self._exact.items() if p.dim() > 1 and "embed_tokens" not in name]
        others = [p for name, p in self._exact.items() if p.dim() == 1 or "embed_tokens" in name]
        groups = [{"params": decays, "weight_decay": schedule.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.98), fused=True)

    @property
    def texts(self) -> int:
        """Texts drawn so far."""
        return self.step * self.schedule.batch

    def run(self, report: Callable[[Report], None] | None = None, every: int = 100, until: int | None = None) -> None:
        """Train to the end, or to step `until`; `report` is called every so many steps, and at the last one."""
        last = self.schedule.steps if until is None else until
        while self.step < last and self.schedule.progress(self.step, self.seconds) < 1:
            started = time.perf_counter()
            loss = self._advance()
            reports = report is not None and (self.step % every == 0 or self.step == last)
            value = loss.item() if reports else 0.0  # waits for the device
            self.seconds += time.perf_counter() - started
            if report is not None and reports:
                report(Report(self.step, value, self.texts, self.seconds))

    def held_out_cosine(self, corpus: Corpus) -> float:
        """Mean cosine between student and teacher on the lines of another corpus."""
        cosines = []
        for indices in torch.arange(len(corpus), device=corpus.tokens.device).split(_HELD_OUT):
            tokens = corpus.lines(indices)
            with torch.no_grad():
                student, teacher = (self._features(states, tokens) for states in self._states(tokens))
            cosines.append(torch.cosine_similarity(student, teacher))
        return torch.cat(cosines).mean().item()

    def save(self, file: Path) -> None:
        """Write all that `load` needs to go on."""
        write_tensors(file, self._state(), {"step": str(self.step), "seconds": repr(self.seconds)})

    def load(self, file: Path) -> None:
        """Go on where `save` was called, with the same data, schedule and seed; StorageError for a damaged file."""
        try:
            stored, metadata = read_tensors(file)
        except (OSError, ValueError) as error:
            raise StorageError(
                f"Could not read the training in {str(file)!r}: {error}. Expected a file as `save` writes it. Begin "
                f"the training anew."
            ) from error
        self.step, self.seconds = int(metadata["step"]), float(metadata["seconds"])
        self._generator.set_state(stored.pop("generator"))
        for parameter in self._exact.values():  # the optimiser would make its state at its first step
            zeros = {name: torch.zeros_like(parameter) for name in _MOMENTS}
            self._optimiser.state[parameter] = {"step": parameter.new_tensor(self.step, requires_grad=False)} | zeros
        state = self._state()
        with torch.no_grad():
            for name, tensor in stored.items():
                state[name].copy_(tensor)
            self._round()

    def _advance(self) -> Tensor:
        progress = self.schedule.progress(self.step, self.seconds)
        self.balance.reset()  # of held-out lines that were looked at in between
        loss = self._loss(self.corpus.draw(self.schedule.batch, self.mixture, self._generator), progress)
        loss.backward()
        for name, parameter in self._exact.items():
            gradient = self._used[name].grad
            parameter.grad = None if gradient is None else gradient.float()
            self._used[name].grad = None
        nn.utils.clip_grad_norm_(list(self._exact.values()), 1.0)
        for group in self._optimiser.param_groups:
            group["lr"] = self.schedule.rate(self.step, progress)
        self._optimiser.step()
        self._round()
        self.balance.move(self.schedule.balance_rate if progress < 0.9 else 0.0)
        self.step += 1
        return loss.detach()

    def _states(self, tokens: Tokens) -> tuple[list[Tensor], list[Tensor]]:
        """Hidden states of each pair, by the student and by the teacher."""
        student, teacher, _ = zip(*self.pairs, strict=True)
        self.balance.expect(tokens.mask)
        with torch.no_grad():
            given = layer_states(self.teacher, tokens, teacher)
        return layer_states(self.student, tokens, student), given

    def _features(self, states: Sequence[Tensor], tokens: Tokens) -> Float[Tensor, "batch features"]:
        means = [nn.functional.normalize(pooled(hidden, tokens.mask), dim=-1) for hidden in states]
        return torch.cat([pair.weight * mean for pair, mean in zip(self.pairs, means, strict=True)], dim=-1)

    def _loss(self, tokens: Tokens, progress: float) -> Float[Tensor, ""]:
        students, teachers, distances = [], [], []
        for part in _parts(tokens, _PART[tokens.ids.device.type]):
            states, given = self._states(part)
            students.append(self._features(states, part))
            teachers.append(self._features(given, part))
            distance = torch.stack([token_loss(*pair, part.mask) for pair in zip(states, given, strict=True)]).mean()
            distances.append(distance * part.mask.sum() / tokens.mask.sum())
        of_tokens = (1 - progress) * torch.stack(distances).sum()
        of_features = imitation_loss(torch.cat(students), torch.cat(teachers), self.weights.similarity)
        return of_features + self.weights.tokens * of_tokens

    @torch.no_grad()
    def _round(self) -> None:
        """Put the exact weights into the student, in its precision."""
        torch._foreach_copy_(list(self._used.values()), list(self._exact.values()))

    def _state(self) -> dict[str, Tensor]:
        """What a checkpoint holds: tensors that are shared with the training, not copies."""
        state = {"generator": self._generator.get_state()}
        for name, parameter in self._exact.items():
            moments = self._optimiser.state.get(parameter, {})
            state |= {name: parameter.detach()} | {f"{name}.{key}": moments[key] for key in _MOMENTS if key in moments}
        routers = self.balance.routers
        return state | {f"bias.{place}": router.e_score_correction_bias for place, router in enumerate(routers)}


def token_loss(
    student: Float[Tensor, "batch tokens dim"],
    teacher: Float[Tensor, "batch tokens dim"],
    mask: Bool[Tensor, "batch tokens"],
) -> Float[Tensor, ""]:
    """Squared distance of the hidden states of all tokens in `mask`, as a share of the teacher's squared length."""
    distance = ((student - teacher).float().square().sum(-1) * mask).sum()  # by a product: indexing waits for a GPU
    return distance / (teacher.float().square().sum(-1) * mask).sum()


def _parts(tokens: Tokens, most: int) -> list[Tokens]:
    """Parts of a batch that is sorted by length, longest first, each as wide as its longest text in steps of 8.

    A part has `most` tokens at most, or is one text.
    """
    lengths = tokens.mask.sum(1).tolist()
    room = nn.functional.pad
    parts = []
    stop = len(lengths)
    while stop > 0:
        width = -(-lengths[stop - 1] // 8) * 8
        start = max(0, stop - max(1, most // width))
        extra = max(0, width - tokens.ids.shape[1])
        parts.append(Tokens(*(room(tensor[start:stop, :width], (0, extra)) for tensor in tokens)))
        stop = start
    return parts
