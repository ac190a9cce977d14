"""Why a text has its label: contributions of the evidence that add up to the score."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

LabelOrLabels = str | int | tuple[str | int, ...]  # of a text

_SHOWN = 5


@dataclass(frozen=True)
class Contribution:
    """A piece of evidence and what it adds to the logit of the explained label."""

    text: str
    label: LabelOrLabels
    is_label_name: bool
    cosine: float
    weight: float


@dataclass(frozen=True)
class Explanation:
    """Why a text has its label.

    Args:
        text: the text.
        label: the label that is explained.
        probability: of this label.
        logit: its score, which the weights of `contributions` and `rest` add up to.
        contributions: all evidence, the largest weight first; of more than 50,000 texts the 100 nearest, or those of
            the label where only these count.
        rest: what no contribution accounts for: the bias of a label where texts have several; else 0 but for rounding
            where the score is linear in the evidence and all of it is there.
    """

    text: str
    label: str | int
    probability: float
    logit: float
    contributions: tuple[Contribution, ...]
    rest: float

    def __str__(self) -> str:
        lines = [f"{self.label!r} with a probability of {self.probability:.2f}, a score of {self.logit:.2f}:"]
        for one in self._shown():
            lines.append(f"  {one.weight:+7.2f}  {_kind(one)} {one.text!r} ({one.label!r}, cosine {one.cosine:.2f})")
        others = self.logit - sum(one.weight for one in self._shown())
        return "\n".join([*lines, f"  {others:+7.2f}  everything else"])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:right'>{one.weight:+.2f}</td><td>{html.escape(str(one.label))}</td>"
            f"<td>{html.escape(one.text)}{' <i>(label name)</i>' if one.is_label_name else ''}</td></tr>"
            for one in self._shown()
        )
        head = f"<b>{html.escape(str(self.label))}</b>, probability {self.probability:.2f}, score {self.logit:.2f}"
        columns = "<tr><th>weight</th><th>label</th><th>evidence</th></tr>"
        return f"<p>{head}: {html.escape(self.text)}</p><table>{columns}{rows}</table>"

    def _shown(self) -> Sequence[Contribution]:
        return sorted(self.contributions, key=lambda one: -abs(one.weight))[:_SHOWN]


def _kind(one: Contribution) -> str:
    return "label name" if one.is_label_name else "text"
