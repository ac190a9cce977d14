"""`fewshot report` of audit logs: who answered what, two models beside each other, drift."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from fewshot.errors import ConfigError, printable
from fewshot.report.table import show
from fewshot.serving.audit import TextDigest, read_audit
from fewshot.serving.comparison import Answers, Difference, Log, Mean, Source, differences
from fewshot.tables import LabelledRows, guess_columns, open_table

_SHOWN = 5  # labels of a model


def report_logs(logs: Sequence[Path], labels: Path | None) -> None:
    """Print what audit logs say.

    Args:
        logs: files that `fewshot serve --audit-log` wrote.
        labels: a table of texts with their labels, some of which may be in the logs; None: no accuracies.

    Raises:
        FewshotError: a log holds no answers, or the table cannot be read.
    """
    log = Log.of(chain.from_iterable(map(read_audit, logs)))
    if not log.answers:
        raise ConfigError(
            f"{', '.join(map(str, logs))} holds no answers. Expected a file that `fewshot serve --audit-log` wrote."
        )
    truth = {} if labels is None else _truth(labels, log)
    show(_answers(log, truth))
    if found := differences(log, truth):
        show(_differences(found))
    if (drift := _drift(log)).row_count:
        show(drift)
    print("Intervals are of 95 % and cover other texts of the same kind; a text that came again counts once.")
    if log.n_torn:
        print(f"{log.n_torn} lines are no whole records, as a process that was killed leaves them.")


def _truth(path: Path, log: Log) -> dict[str, Any]:
    """What stands for a text → its label, of a table of texts and labels."""
    table = open_table(path)
    texts, labels = LabelledRows(table, guess_columns(table)).lists()
    digest, known = TextDigest.from_environment(), _named(log)
    truth = {digest(text): known.get(label, label) for text, label in zip(texts, labels, strict=True)}
    seen = {text for answers in log.answers.values() for text in answers.texts}
    if not seen & set(truth):
        raise ConfigError(
            f"None of the {len(truth)} texts of {path} is in the log. Expected some of the texts that were answered, "
            f"and FEWSHOT_AUDIT_KEY as it was when they were. Check both."
        )
    return truth


def _named(log: Log) -> dict[str, Any]:
    """Labels of the log by their text: a table has all labels as text, and several as `a|b`."""
    named: dict[str, Any] = {}
    for label in dict.fromkeys(label for answers in log.answers.values() for label in answers.labels):
        if label is None:  # a rejected text
            continue
        named["|".join(map(str, label)) if isinstance(label, tuple) else str(label)] = label
    return named


def _answers(log: Log, truth: Mapping[str, Any]) -> Table:
    table = Table(title="Answers")
    for column in ("model", "digest", "variant", "texts", "distinct", "rejected %", "probability", "accuracy %"):
        table.add_column(column, justify="left" if column in ("model", "digest", "variant") else "right")
    table.add_column("median ms", justify="right")
    table.add_column("labels")
    for source, answers in log.answers.items():
        right, texts = answers.right(truth)
        table.add_row(
            *source,
            f"{len(answers.texts):,}",
            f"{len(set(answers.texts)):,}",
            f"{100 * answers.n_rejected / len(answers.texts):.1f}",
            _mean(Mean.of(answers.probabilities, answers.texts)),
            _share(Mean.of(right, texts, share=True)) if right else "",
            f"{median(answers.milliseconds):.1f}",
            printable(_labels(answers)),
        )
    return table


def _differences(found: Sequence[Difference]) -> Table:
    table = Table(title="Side by side: the second minus the first")
    for column in ("first", "second", "texts", "same label %", "probability", "accuracy %", "compared"):
        table.add_column(column, justify="left" if column in ("first", "second", "compared") else "right")
    for one in found:
        table.add_row(
            _name(one.first),
            _name(one.second),
            f"{one.probability.n_texts:,}",
            "" if one.agreement is None else _share(one.agreement),
            _mean(one.probability, sign=True),
            "" if one.accuracy is None else _share(one.accuracy, sign=True),
            "on the same texts" if one.paired else "each on its own texts",
        )
    return table


def _drift(log: Log) -> Table:
    table = Table(title="Drift against the support: 0 is none")
    for column in ("model", "digest", "variant", "what", "size", "p-value", "texts"):
        table.add_column(column, justify="right" if column in ("size", "p-value", "texts") else "left")
    for source, answers in log.answers.items():
        for what, shift in log.shifts(source).items():
            table.add_row(*source, what, f"{shift.size:.3f}", f"{shift.p_value:.3f}", f"{len(answers.texts):,}")
    for model, record in log.drifts.items():
        if isinstance(found := record.get("texts"), Mapping):
            size, p_value, n_texts = float(found["size"]), float(found["p_value"]), record["n_texts"]
            table.add_row(model, str(record["digest"]), "", "texts", f"{size:.3f}", f"{p_value:.3f}", f"{n_texts:,}")
    return table


def _name(source: Source) -> str:
    return f"{source[0]} {source[1]} ({source[2]})"


def _labels(answers: Answers) -> str:
    counts = Counter(answers.labels).most_common()
    shown = [f"{'none' if label is None else label} {n / len(answers.labels):.0%}" for label, n in counts[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(counts) > _SHOWN else "")


def _mean(found: Mean, sign: bool = False) -> str:
    return _with_interval(found, ("+" if sign else "") + ".3f", 1.0)


def _share(found: Mean, sign: bool = False) -> str:
    return _with_interval(found, ("+" if sign else "") + ".1f", 100.0)


def _with_interval(found: Mean, form: str, unit: float) -> str:
    """The mean and its interval, which one text alone has none of."""
    mean, low, high = (f"{unit * value:{form}}" for value in (found.mean, found.low, found.high))
    return mean if found.low == found.high else f"{mean} ({low} to {high})"
