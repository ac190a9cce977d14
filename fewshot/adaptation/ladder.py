"""The stage of adaptation for a number of labelled examples per class."""

from dataclasses import dataclass
from typing import Literal, get_args

from fewshot.errors import ConfigError

Stage = Literal["zero_shot", "prototypes", "attention", "lora", "adapter", "full"]
STAGES: tuple[Stage, ...] = get_args(Stage)
FINAL_STAGES = ("auto", "none", "head", "light")  # that can be asked for by name, below the stages that fine-tune


@dataclass(frozen=True)
class Rung:
    """A stage, and why it was chosen: one sentence for the log and the results."""

    name: Stage
    reason: str


@dataclass(frozen=True)
class Ladder:
    """The borders between the stages, in labelled examples per class.

    Args:
        prototypes_from: fewest for which support texts are averaged; with less, label names are used alone.
        attention_from: fewest for which new texts are tried in the support, and attention weighs its texts.
        lora_above: largest number without LoRA on the encoder.
        full_above: largest number with LoRA; with more, all weights are fine-tuned.

    Raises:
        ConfigError: the borders are not in this order.

    Example:
        >>> [Ladder().rung(shots).name for shots in (0, 1, 9, 10, 50, 51, 500, 501)]
        ['zero_shot', 'prototypes', 'prototypes', 'attention', 'attention', 'lora', 'lora', 'full']
    """

    prototypes_from: int = 1
    attention_from: int = 10
    lora_above: int = 50
    full_above: int = 500

    def __post_init__(self) -> None:
        borders = (self.prototypes_from, self.attention_from, self.lora_above + 1, self.full_above + 1)
        if self.prototypes_from < 1 or list(borders) != sorted(borders):
            raise ConfigError(
                f"Got ladder borders prototypes_from={self.prototypes_from}, attention_from={self.attention_from}, "
                f"lora_above={self.lora_above}, full_above={self.full_above}, expected 1 <= prototypes_from <= "
                f"attention_from <= lora_above + 1 <= full_above + 1. Correct what is out of order."
            )

    def rung(self, shots: int, strategy: str = "auto") -> Rung:
        """The stage for a number of examples.

        Args:
            shots: labelled examples per class; of the largest class if sizes differ.
            strategy: `"auto"` goes by the borders, the name of a stage forces it.

        Raises:
            ConfigError: a negative number of examples, or no such strategy.
        """
        if shots < 0:
            raise ConfigError(f"Got {shots} labelled examples per class, expected 0 or more. Correct shots.")
        if strategy != "auto":
            if strategy not in STAGES:
                raise ConfigError(
                    f"Got strategy={strategy!r}, expected one of auto, {', '.join(STAGES)}. Set strategy=auto, which "
                    f"goes by the number of labelled examples."
                )
            return Rung(strategy, f"{strategy} was asked for (strategy={strategy}).")
        at = {name: f"{name}={border}" for name, border in vars(self).items()}
        name: Stage
        if shots < self.prototypes_from:
            name, within = "zero_shot", f", fewer than {at['prototypes_from']}"
        elif shots < self.attention_from:
            name, within = "prototypes", f": {at['prototypes_from']} or more, fewer than {at['attention_from']}"
        elif shots <= self.lora_above:
            name, within = "attention", f": {at['attention_from']} or more, at most {at['lora_above']}"
        elif shots <= self.full_above:
            name, within = "lora", f": more than {at['lora_above']}, at most {at['full_above']}"
        else:
            name, within = "full", f", more than {at['full_above']}"
        return Rung(name, f"{shots} labelled example{'' if shots == 1 else 's'} per class{within}.")
