"""Why a text has its label: contributions of the evidence that add up to the score."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

LabelOrLabels = str | int | tuple[str | int, ...]  # of a text

_MAX_SHOWN = 5  # contributions


@dataclass(frozen=True)
class Contribution:
    """A piece of evidence and its part of the logit of the explained label."""

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
            the label if only these count.
        rest: the score minus all contributions: the bias of a label if texts have several; 0 up to rounding if the
            score is linear in the evidence and all of it is here.
    """

    text: str
    label: str | int
    probability: float
    logit: float
    contributions: tuple[Contribution, ...]
    rest: float

    def __str__(self) -> str:
        lines = [f"{self.label!r} with a probability of {self.probability:.2f}, a score of {self.logit:.2f}:"]
        for piece in self._shown():
            kind = "label name" if piece.is_label_name else "text"
            lines.append(f"  {piece.weight:+7.2f}  {kind} {piece.text!r} ({piece.label!r}, cosine {piece.cosine:.2f})")
        others = self.logit - sum(piece.weight for piece in self._shown())
        return "\n".join([*lines, f"  {others:+7.2f}  everything else"])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:right'>{piece.weight:+.2f}</td><td>{html.escape(str(piece.label))}</td>"
            f"<td>{html.escape(piece.text)}{' <i>(label name)</i>' if piece.is_label_name else ''}</td></tr>"
            for piece in self._shown()
        )
        head = f"<b>{html.escape(str(self.label))}</b>, probability {self.probability:.2f}, score {self.logit:.2f}"
        columns = "<tr><th>weight</th><th>label</th><th>evidence</th></tr>"
        return f"<p>{head}: {html.escape(self.text)}</p><table>{columns}{rows}</table>"

    def _shown(self) -> Sequence[Contribution]:
        return sorted(self.contributions, key=lambda piece: -abs(piece.weight))[:_MAX_SHOWN]
