"""Whether a tuned classifier is better than the one before, on texts that neither was trained on.

The tuned one was also selected on these texts (number of steps, share of the way, L2 penalty), so that its score on
them is a little too good; a margin stands against that.
"""

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor


@dataclass(frozen=True)
class Comparison:
    """Two classifiers on the same held-out texts, on which the second one was selected.

    Args:
        before: accuracy of the first.
        after: accuracy of the second.
        standard_error: of the difference, paired text by text.
        n_texts: held out.
    """

    before: float
    after: float
    standard_error: float
    n_texts: int

    @classmethod
    def of(cls, before: Bool[Tensor, " n_texts"], after: Bool[Tensor, " n_texts"]) -> "Comparison":
        """From which of the texts each got right.

        Example:
            >>> import torch
            >>> before = torch.tensor([True, False, False, False])
            >>> Comparison.of(before, ~before).after
            0.75
        """
        if not len(before):
            return cls(0.0, 0.0, 0.0, 0)
        gains = after.double() - before.double()
        error = float(gains.std(unbiased=False)) / len(gains) ** 0.5
        return cls(float(before.double().mean()), float(after.double().mean()), error, len(gains))

    def pays(self, margin: float) -> bool:
        """Whether the gain is above zero by `margin` of its standard errors, and by more than `margin` texts.

        A tie keeps what is there. The second condition is for few texts, of which a single one that changed sides has a
        standard error as small as its gain.
        """
        gain = self.after - self.before
        return gain >= margin * self.standard_error and round(gain * self.n_texts) > margin
