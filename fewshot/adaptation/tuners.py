"""The tuner of each final stage, with its defaults."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fewshot.adaptation.final_stage import Tuner
from fewshot.adaptation.fine_tuner import FineTuner
from fewshot.adaptation.head_tuner import HeadTuner
from fewshot.encoders import Adapter, Full, Trainable


@dataclass(frozen=True)
class AdapterTuner(FineTuner):
    """Bottleneck adapters, which like LoRA start at zero: its defaults."""

    trainable: Trainable = field(default_factory=Adapter)


@dataclass(frozen=True)
class FullTuner(FineTuner):
    """All weights, with more than 500 texts per class."""

    trainable: Trainable = field(default_factory=Full)
    steps: int = 1500
    learning_rate: float = 1e-4  # all weights are updated at once: a twentieth of the rate of LoRA
    held_out: float = 0.1
    max_held_out: int = 50  # a tenth of the 500 texts from which on this stage runs by itself


@dataclass(frozen=True)
class LightTuner(FineTuner):
    """A light contrastive tuning of all weights, for 2 to 50 texts per class: a minute or two on a CPU.

    Pairs are what few texts are rich in: Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts" (SetFit),
    https://arxiv.org/abs/2209.11055.
    """

    trainable: Trainable = field(default_factory=Full)
    steps: int = 100
    epochs: float = 5.0
    max_evaluations: int = 2  # each says how many steps are worth taking
    batch: int = 64  # the contrastive term learns from all pairs in it
    per_class: int = 2  # each text has a partner
    learning_rate: float = 5e-5  # at 2e-4 few texts are learnt by heart before anything is gained
    head_learning_rate: float = 3e-3
    contrastive_weight: float = 1.0
    folds: int = 2  # a fifth of few texts is too little to learn without or to compare on
    interpolation: Sequence[float] = (1.0,)  # unused with folds
    margin: float = 1.0  # with few texts luck weighs more


def default_tuners() -> dict[str, Tuner]:
    """Name of a final stage → its tuner."""
    return {
        "head": HeadTuner(),
        "light": LightTuner(),
        "lora": FineTuner(),
        "adapter": AdapterTuner(),
        "full": FullTuner(),
    }
