"""`fewshot report` of audit logs: the answers of each model, pairs of models compared, drift."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
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

_MAX_LABELS = 5  # that are shown of a model


def report_logs(logs: Sequence[Path], labels: Path | None) -> None:
    """Print the tables of audit logs.

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
    if pairs := differences(log, truth):
        show(_differences(pairs))
    if (drift := _drift(log)).row_count:
        show(drift)
    print("Intervals are of 95 % and cover other texts of the same kind; a text that came again counts once.")
    if log.n_torn:
        print(f"{log.n_torn} lines are no whole records, as a process that was killed leaves them.")


def _truth(path: Path, log: Log) -> dict[str, Any]:
    """Digest of a text → its label, of a table of texts and labels."""
    table = open_table(path)
    texts, labels = LabelledRows(table, guess_columns(table)).lists()
    digest, known = TextDigest.from_environment(), _by_text(log)
    truth = {digest(text): known.get(label, label) for text, label in zip(texts, labels, strict=True)}
    seen = {text for answers in log.answers.values() for text in answers.texts}
    if not seen & set(truth):
        raise ConfigError(
            f"None of the {len(truth)} texts of {path} is in the log. Expected some of the texts that were answered, "
            f"and FEWSHOT_AUDIT_KEY as it was when they were. Check both."
        )
    return truth


def _by_text(log: Log) -> dict[str, Any]:
    """Labels of the log by the text that a table has for them; several labels are `a|b`."""
    labels: dict[str, Any] = {}
    for label in dict.fromkeys(label for answers in log.answers.values() for label in answers.labels):
        if label is not None:  # None: a rejected text
            labels["|".join(map(str, label)) if isinstance(label, tuple) else str(label)] = label
    return labels


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


def _differences(pairs: Sequence[Difference]) -> Table:
    table = Table(title="Side by side: the second minus the first")
    for column in ("first", "second", "texts", "same label %", "probability", "accuracy %", "compared"):
        table.add_column(column, justify="left" if column in ("first", "second", "compared") else "right")
    for pair in pairs:
        table.add_row(
            _name(pair.first),
            _name(pair.second),
            f"{pair.probability.n_texts:,}",
            "" if pair.agreement is None else _share(pair.agreement),
            _mean(pair.probability, sign=True),
            "" if pair.accuracy is None else _share(pair.accuracy, sign=True),
            "on the same texts" if pair.paired else "each on its own texts",
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
        if isinstance(drift := record.get("texts"), Mapping):
            size, p_value, n_texts = float(drift["size"]), float(drift["p_value"]), record["n_texts"]
            table.add_row(model, str(record["digest"]), "", "texts", f"{size:.3f}", f"{p_value:.3f}", f"{n_texts:,}")
    return table


def _name(source: Source) -> str:
    return f"{source[0]} {source[1]} ({source[2]})"


def _labels(answers: Answers) -> str:
    counts = Counter(answers.labels).most_common()
    shown = [f"{'none' if label is None else label} {n / len(answers.labels):.0%}" for label, n in counts[:_MAX_LABELS]]
    return ", ".join(shown) + (", ..." if len(counts) > _MAX_LABELS else "")


def _mean(mean: Mean, sign: bool = False) -> str:
    return _with_interval(mean if sign else _within(mean), ("+" if sign else "") + ".3f", 1.0)


def _share(mean: Mean, sign: bool = False) -> str:
    return _with_interval(mean if sign else _within(mean), ("+" if sign else "") + ".1f", 100.0)


def _within(mean: Mean) -> Mean:
    """The mean of shares, with an interval that stays between 0 and 1."""
    return replace(mean, low=max(0.0, mean.low), high=min(1.0, mean.high))


def _with_interval(mean: Mean, form: str, unit: float) -> str:
    """The mean and its interval; a single text has no interval."""
    value, low, high = (f"{unit * number:{form}}" for number in (mean.mean, mean.low, mean.high))
    return value if mean.low == mean.high else f"{value} ({low} to {high})"
