"""Tables for the console."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from fewshot.errors import printable
from fewshot.evaluation import Estimate
from fewshot.experiment.result import ITSELF
from fewshot.report.jobs import JobWithoutResults


def percent(value: Mapping[str, Any], sign: bool = False) -> str:
    """A `{mean, ci95}` of `results.json` in per cent: "84.2 ± 0.5"."""
    ci95 = value.get("ci95")
    return Estimate(float(value["mean"]), None if ci95 is None else float(ci95), None, 0).percent(sign)


def interval(value: Mapping[str, Any], sign: bool = False) -> str:
    """Its interval: "81.0 to 87.1"; empty if there is none."""
    plus = "+" if sign else ""
    return " to ".join(f"{100 * bound:{plus}.1f}" for bound in value.get("interval") or ())


def gain(difference: Mapping[str, Any] | None) -> str:
    """A difference of `results.json` in points with its interval: "+3.1 (+1.0 to +5.2)"; empty for None."""
    return f"{100 * difference['mean']:+.1f} ({interval(difference, sign=True)})" if difference else ""


def learner_name(results: Mapping[str, Any]) -> str:
    """The learner, and the final stage if there is one."""
    final = (results.get("strategy") or {}).get("final_stage")
    return f"{results['learner']} + {final}" if final else str(results["learner"])


def comparison_table(results: Mapping[str, Any]) -> Table:
    """The learner beside its baselines on the same episodes."""
    itself = [name for name in ITSELF if name in results["baselines"]]
    notes = "".join(f"; {name}: the same learner" for name in itself)
    chosen = {name: count for name, count in (results.get("adapters") or {}).items() if name != "none"}
    if chosen:
        counts = ", ".join(f"{name} in {count}" for name, count in chosen.items())
        notes += f"; the learner takes adapters, baselines none: {counts} of {results['episodes']} supports"
    table = Table(title=printable(protocol(results)), caption=f"{coverage(results)}{notes}")
    for column in ("learner", "accuracy %", "95 % interval", "difference", "macro-F1 %", "ECE", "intra", "inter"):
        table.add_column(column, justify="left" if column == "learner" else "right")
    table.add_row(*_row(learner_name(results), results), style="bold")
    for name, scores in results["baselines"].items():
        table.add_row(*_row(name, scores))
    return table


def failed_table(jobs: Sequence[JobWithoutResults]) -> Table:
    """Jobs without results, and why they have none."""
    table = Table("settings", "why", title="No results", show_lines=True)
    for job in jobs:
        table.add_row(*map(printable, (" ".join(job.overrides), job.message)))
    return table


def protocol(results: Mapping[str, Any]) -> str:
    """Task and protocol in words: "medical_terms, 5-way 5-shot, with label names"."""
    names = "with label names" if results["label_names"] else "without label names"
    noise = f", {results['support_noise']:.0%} of the support labels wrong" if results["support_noise"] else ""
    unequal = " (unequal)" if results["realistic"] else ""
    crossed = (results.get("strategy") or {}).get("protocol") == "cross_validation"
    ways = f"{results['ways']} classes" if crossed else f"{results['ways']}-way {results['shots']}-shot{unequal}"
    return f"{results['task']}, {ways}, {names}{noise}"


def coverage(results: Mapping[str, Any]) -> str:
    """The episodes of the scores and the coverage of the intervals, in words."""
    return f"{_episodes(results)}; {_intervals(results)}"


def _between(sizes: Mapping[str, int]) -> str:
    low, high = sizes["smallest"], sizes["largest"]
    return str(low) if low == high else f"{low} to {high}"


def _episodes(results: Mapping[str, Any]) -> str:
    """The episodes of the scores, in words."""
    strategy = results.get("strategy") or {}
    count = results["episodes"]
    if strategy.get("protocol") == "cross_validation":
        sizes = strategy["support_texts"]
        return f"cross-validation, {count} supports of {_between(sizes)} texts per class"
    if strategy.get("protocol") != "fixed_test":
        return f"{count} episodes of classes never seen in training"
    seen = "of all classes, none trained on" if strategy["classes"] == "all" else "of classes never seen in training"
    supports = f"{count} support{'' if count == 1 else 's'}"
    sizes = strategy["support_texts"]
    if sizes["smallest"] < results["shots"]:
        supports += f" of {_between(sizes)} texts per class"
    return f"{supports} beside one test part of {results['queries']} texts per class, {seen}"


def _intervals(results: Mapping[str, Any]) -> str:
    """The coverage of the intervals, in words."""
    strategy = results.get("strategy") or {}
    drawn = strategy.get("protocol")
    other = "other texts" if strategy.get("classes") == "all" else "other classes and texts"
    intervals = f"the interval and that of differences are for {other}"
    if drawn == "cross_validation" or results["episodes"] == 1:
        return intervals
    return f"± is over draws of {'supports' if drawn == 'fixed_test' else 'episodes'} alone, {intervals}"


def _row(name: str, scores: Mapping[str, Any]) -> Sequence[str]:
    return (
        name,
        percent(scores["accuracy"]),
        interval(scores["accuracy"]),
        gain(scores.get("difference")),
        f"{100 * scores['macro_f1']['mean']:.1f}",
        f"{scores['ece']:.3f}",
        f"{scores['intra_class_distance']['mean']:.3f}",
        f"{scores['inter_class_distance']['mean']:.3f}",
    )


def show(table: Table) -> None:
    """Print to standard output; in a file, as wide as the table needs."""
    for column in table.columns:
        column.overflow = "fold"  # values are shown whole
    console = Console(markup=False, emoji=False)  # a task or label may be called [/red]
    if not console.is_terminal:
        needed = Measurement.get(console, console.options.update(max_width=1000), table).maximum
        console = Console(width=max(80, needed), markup=False, emoji=False)
    console.print(table)
