"""The picture of the shot curve, from its points: `python -m benchmarks.shot_curve_picture [--name shot_curve]`.

Nothing is measured: `benchmarks/results/NAME.json` becomes `docs/NAME.png`.  The axis of the texts is true: linear
from 0 to 1, logarithmic above, so that 50 and 51 stand together.  The axis of the accuracy has a break, and below it
its zero.  The lower part shows the stages minus the tuned head on the same supports, where their lines part.
"""

import argparse
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import RESULTS
from fewshot.evaluation import Estimate, paired_difference

PICTURES = RESULTS.parents[1] / "docs"
REFERENCE = "attention + head"
# Colours of Okabe and Ito, which any kind of colour vision tells apart; each stage has its own mark and line too.
STYLES: dict[str, dict[str, Any]] = {
    "label names": {"color": "#777777", "marker": "x", "linestyle": ":"},
    "prototypes": {"color": "#E69F00", "marker": "s", "linestyle": "--"},
    REFERENCE: {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "LoRA": {"color": "#D55E00", "marker": "^", "linestyle": "-."},
    "full": {"color": "#009E73", "marker": "D", "linestyle": (0, (1, 1))},
}
AUTO = {"marker": "o", "markersize": 13, "markerfacecolor": "none", "linestyle": "", "color": "black"}
Point = dict[str, Any]


def main() -> None:
    """Draw what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="shot_curve", help="name of the file in benchmarks/results")
    name = parser.parse_args().name
    points = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["points"]
    draw(points, PICTURES / f"{name}.png")


def series(points: Sequence[Point], stage: str, against: str | None = None) -> list[tuple[int, float, float]]:
    """Shots, accuracy and half of its interval of a stage, in per cent; or minus another stage on the same supports."""
    others = {p["shots"]: p["accuracies"] for p in points if p["stage"] == against}
    found = []
    for p in sorted((p for p in points if p["stage"] == stage), key=lambda p: p["shots"]):
        values = torch.tensor(p["accuracies"], dtype=torch.double)
        estimate = Estimate.of(values)
        if against is not None:
            if len(others.get(p["shots"], ())) != len(values):
                continue
            estimate = paired_difference(values, torch.tensor(others[p["shots"]], dtype=torch.double))
        found.append((p["shots"], 100 * estimate.mean, 100 * (estimate.ci95 or 0.0)))
    return found


def draw(points: Sequence[Point], path: Path) -> None:
    """Accuracy above, difference to the tuned head below."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (top, zero, below) = pyplot.subplots(3, figsize=(8, 7.4), height_ratios=[10, 0.7, 6], sharex=True)
    present = [stage for stage in STYLES if any(p["stage"] == stage for p in points)]
    for stage in present:
        _line(top, series(points, stage), stage, label=stage)
        if stage != REFERENCE:
            _line(below, series(points, stage, REFERENCE), stage)
    for axes, against in ((top, None), (below, REFERENCE)):
        if auto := series(points, "auto", against):
            axes.plot(*list(zip(*auto, strict=True))[:2], zorder=5, label="auto", **AUTO)
    first = points[0]
    top.set(ylabel="accuracy %", title=f"{first['task']}, {first['ways']} classes at once")
    top.legend(loc=(0.745, 0.11), framealpha=1)
    _break(top, zero)
    below.axhline(0, color=STYLES[REFERENCE]["color"], linewidth=1.5)
    below.set(ylabel=f"points more than\n{REFERENCE}", xlabel="labelled texts per class")
    _texts_axis(below, sorted({p["shots"] for p in points}))
    for axes in (top, below):
        axes.grid(alpha=0.3)
    figure.subplots_adjust(left=0.1, right=0.98, top=0.95, bottom=0.185, hspace=0.08)
    figure.text(0.02, 0.015, _caption(points), fontsize=9, va="bottom", linespacing=1.4)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _line(axes: Any, values: Sequence[tuple[int, float, float]], stage: str, **options: Any) -> None:
    if not values:
        return
    shots, means, halves = zip(*values, strict=True)
    style = STYLES[stage] | {"capsize": 3, "markersize": 6, "linewidth": 1.6, "elinewidth": 1}
    hollow = {} if style["marker"] == "x" else {"markerfacecolor": "white"}
    axes.errorbar(shots, means, halves, **style, **hollow, **options)


def _break(top: Any, zero: Any) -> None:
    """The strip below shows the zero of the axis, and two strokes that the axis is broken."""
    zero.set(ylim=(0, 1), yticks=[0])
    top.spines.bottom.set_visible(False)
    zero.spines.top.set_visible(False)
    for axes in (top, zero):
        axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    stroke = {"marker": [(-1, -0.6), (1, 0.6)], "markersize": 10, "linestyle": "", "color": "black", "clip_on": False}
    top.plot([0, 1], [0, 0], transform=top.transAxes, **stroke)
    zero.plot([0, 1], [1, 1], transform=zero.transAxes, **stroke)


def _texts_axis(axes: Any, shots: Sequence[int]) -> None:
    """Linear from 0 to 1, logarithmic above; a number is written where it has room beside the one before it."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xlim(-0.15, 1.15 * max(shots))
    labels = [str(n) for n in shots]
    for place in range(1, len(shots)):
        if shots[place] < 1.1 * shots[place - 1]:
            labels[place - 1], labels[place] = f"{shots[place - 1]}, {shots[place]}", ""
    axes.set_xticks(shots, labels)
    axes.minorticks_off()


def _caption(points: Sequence[Point]) -> str:
    drawn = max(len(p["accuracies"]) for p in points)
    n_texts = points[0]["ways"] * points[0]["queries"]
    share = max(sum(p["accuracies"]) / len(p["accuracies"]) for p in points)
    others = 196 * (share * (1 - share) / n_texts) ** 0.5
    sentences = (
        f"Bars: 95 % interval (Student's t) over {drawn} draws of the labelled texts, all scored on {n_texts:,} texts.",
        f"They do not cover other test texts, which alone make ± {others:.1f} points at {100 * share:.0f} %.",
        f"Rings: what auto chooses. Lower part: difference to {REFERENCE} on the same draws.",
        "The axis of the texts is linear from 0 to 1 and logarithmic above; that of the accuracy is broken above 0.",
    )
    return textwrap.fill(" ".join(sentences), width=119)


if __name__ == "__main__":
    main()
