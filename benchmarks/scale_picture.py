"""The picture of time and memory against the number of texts, from the rows of `benchmarks.scale`."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.record import RESULTS

PICTURE = RESULTS.parents[1] / "docs" / "scale.svg"


def draw(rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw `docs/scale.svg`: seconds of the processor for fit and predict, and the largest memory."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams["svg.hashsalt"] = "scale"
    texts = [row["size"] for row in rows]
    figure, (seconds, memory) = pyplot.subplots(1, 2, figsize=(8, 3.2))
    for name, colour, marker in (("fit", "#0072B2", "o"), ("predict", "#D55E00", "^")):
        seconds.plot(texts, [row[f"{name} cpu s"] for row in rows], color=colour, marker=marker, label=_LABELS[name])
    seconds.set(ylabel="processor seconds", yscale="log")
    seconds.legend(framealpha=1)
    memory.plot(texts, [row["GB"] for row in rows], color="#009E73", marker="s")
    memory.axhline(4, color="black", linewidth=1, linestyle=":")
    memory.set(ylabel="largest memory, GB", ylim=(0, 4.4))
    for axes in (seconds, memory):
        axes.set(xscale="log", xlabel="labelled texts of 10,000 classes")
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


_LABELS = {"fit": "fit", "predict": "predict 100,000 texts"}
