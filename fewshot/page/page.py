"""The content of a page as plain values; `render` makes HTML of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewshot.evaluation.gaps import Gaps
from fewshot.housekeeping.findings import Findings
from fewshot.page.answers import MOST_WRONG, Answers, Bin, ClassScores, Pair, WrongText
from fewshot.page.map import Map


@dataclass(frozen=True)
class Row:
    """A learner, a baseline or a run beside others; cells are ready to be read."""

    name: str
    accuracy: str
    interval: str = ""
    difference: str = ""
    macro_f1: str = ""
    ece: str = ""
    share: float | None = None  # the accuracy and its interval as fractions, for the chart
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Curve:
    """Points of lines, `(x, y, low, high)` each, the last two None where there is no interval; `y` is a share."""

    title: str
    x: str
    y: str
    lines: Mapping[str, tuple[tuple[float, float, float | None, float | None], ...]]
    log: bool = False  # x on a logarithmic scale


@dataclass(frozen=True)
class Scope:
    """Scores of texts for being of a known label; those below the threshold are rejected (None: no text is)."""

    scores: Mapping[str, tuple[float, ...]]
    threshold: float | None
    sentence: str


@dataclass(frozen=True)
class Augmented:
    """New texts: a row for each part and source, and examples as (label, text, new text, source)."""

    sentence: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    examples: tuple[tuple[str, str, str, str], ...] = ()


@dataclass(frozen=True)
class Listed:
    """A wrong text, and the reason for its prediction."""

    wrong: WrongText
    reason: str


@dataclass(frozen=True)
class Page:
    """All that is shown; what is empty has no section.

    Args:
        title: of the page.
        summary: a sentence on the tested texts.
        rows: the number of the page, and the baselines below it.
        advice: sentences, the most important one last.
        answers: the predictions behind the number; None if they are not known text by text.
        classes: scores of each label.
        pairs: labels that are confused.
        wrong: the first `MOST_WRONG` of all `n_wrong` texts.
        reliability: bins of the confidence.
        ece: the calibration error, as in the table.
        measure: name of the scores in the rows.
        map: texts and prototypes.
        scope: scores of a rejection.
        curves: learning and shot curves.
        augmented: new texts.
        gaps: accuracy of groups, and on changed texts.
        findings: faults of the texts.
        configuration: name → value.
        command: to repeat it.
    """

    title: str
    summary: str
    rows: tuple[Row, ...]
    advice: tuple[str, ...] = ()
    answers: Answers | None = None
    classes: tuple[ClassScores, ...] = ()
    pairs: tuple[Pair, ...] = ()
    wrong: tuple[Listed, ...] = ()
    n_wrong: int = 0
    reliability: tuple[Bin, ...] = ()
    ece: float | None = None
    measure: str = "accuracy"
    map: Map | None = None
    scope: Scope | None = None
    curves: tuple[Curve, ...] = ()
    augmented: Augmented | None = None
    gaps: Gaps | None = None
    findings: Findings | None = None
    configuration: tuple[tuple[str, str], ...] = ()
    command: str = ""

    @property
    def counted(self) -> str:
        """The unit of counts: texts, or answers if some texts have more answers than others."""
        return "texts" if self.answers is None or self.answers.even else "answers"


def answered(answers: Answers, reasons: Sequence[str]) -> dict[str, Any]:
    """The fields of a page that follow from answers; `reasons` has a sentence for each wrong text that is listed."""
    wrong = answers.wrong()
    return {
        "answers": answers,
        "classes": answers.by_class(),
        "pairs": answers.pairs(),
        "wrong": tuple(Listed(text, reason) for text, reason in zip(wrong[:MOST_WRONG], reasons, strict=True)),
        "n_wrong": len(wrong),
        "reliability": answers.reliability(),
    }


def settings(values: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Nested values as name and value, names joined by dots; None and empty values are left out."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            pairs += settings(value, f"{prefix}{name}.")
        elif value is not None and value not in ("", [], ()):
            pairs.append((f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value)))
    return tuple(pairs)
