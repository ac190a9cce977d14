"""The tables of a page."""

from collections.abc import Sequence
from dataclasses import dataclass

from fewshot.evaluation.gaps import ChangeEffect, GroupGap
from fewshot.housekeeping.findings import Findings
from fewshot.page.page import Augmented, Page
from fewshot.page.svg import number, short
from fewshot.report.gaps import CHANGE_COLUMNS, CHANGES, GROUP_COLUMNS, GROUPS, change_rows, group_rows

TEXT_LENGTH, LABEL_LENGTH = 400, 100  # characters that are shown


@dataclass(frozen=True)
class Table:
    """Cells that are ready to be shown.

    Args:
        label: of the table, for a screen reader.
        columns: heads of the columns.
        kinds: a letter for each column: a (h)ead of the row, (n)umber, (w)ords of a text, (t)erm or (q)uotations.
        rows: cells; a cell of quotations is a tuple.
        sortable: True if a head sorts the rows.
        marked: index of the row that stands out.
    """

    label: str
    columns: tuple[str, ...]
    kinds: str
    rows: tuple[tuple[str | tuple[str, ...], ...], ...]
    sortable: bool = False
    marked: int | None = None


def baselines(page: Page) -> Table:
    """The learner and its baselines; empty columns are left out."""
    columns = {
        f"{page.measure} %": "accuracy",
        "95 % interval": "interval",
        "difference": "difference",
        "macro-F1 %": "macro_f1",
        "calibration error": "ece",
    }
    used = {name: field for name, field in columns.items() if any(getattr(row, field) for row in page.rows)}
    rows = tuple((row.name, *(getattr(row, field) for field in used.values())) for row in page.rows)
    return Table("learner and baselines", ("classifier", *used), "h" + "n" * len(used), rows, marked=0)


def labels(page: Page) -> Table:
    """Precision, recall and F1 of each label."""
    rows = tuple(
        (short(row.label, LABEL_LENGTH), _percent(row.f1), _percent(row.precision), _percent(row.recall), number(row.n))
        for row in page.classes
    )
    columns = ("label", "F1 %", "precision %", "recall %", page.counted)
    return Table("scores of each label", columns, "hnnnn", rows, sortable=True)


def groups(gap: GroupGap) -> Table:
    """The accuracy of each group, the lowest first."""
    return Table(GROUPS, GROUP_COLUMNS, "hnnn", group_rows(gap, lambda name: short(name, LABEL_LENGTH)))


def changes(effects: Sequence[ChangeEffect]) -> Table:
    """The effect of each change of the texts on accuracy."""
    return Table(CHANGES, CHANGE_COLUMNS, "hnnnnn", change_rows(effects))


def findings(findings: Findings) -> Table:
    """The faults of the texts, with advice and examples."""
    rows = tuple((finding.sentence, finding.advice, finding.examples) for finding in findings.found)
    return Table("what was found in the texts", ("found", "what to do", "such as"), "hwq", rows)


def pairs(page: Page) -> Table:
    """The labels that are confused most, with texts."""
    rows = tuple(
        (
            f"{short(pair.first, LABEL_LENGTH)} and {short(pair.second, LABEL_LENGTH)}",
            number(pair.n_as_second + pair.n_as_first),
            tuple(f"{short(text, TEXT_LENGTH // 2)} ({short(label, LABEL_LENGTH)})" for text, label in pair.texts),
        )
        for pair in page.pairs
    )
    return Table("pairs of labels that are confused", ("pair", page.counted, "such as"), "hnq", rows)


def wrong(page: Page) -> Table:
    """The wrong texts; empty columns are left out."""
    cells = [
        {
            "text": short(wrong_text.text, TEXT_LENGTH),
            "own label": short(wrong_text.label, LABEL_LENGTH),
            "taken for": short(wrong_text.predicted, LABEL_LENGTH),
            "confidence %": _percent(wrong_text.confidence) if wrong_text.confidence == wrong_text.confidence else "",
            "wrong": f"{wrong_text.n_wrong} of {wrong_text.n_tested}" if wrong_text.n_tested > 1 else "",
            "what decided": short(listed.reason, TEXT_LENGTH),
        }
        for listed in page.wrong
        for wrong_text in (listed.wrong,)
    ]
    kinds = dict(zip(cells[0], "wttnnw", strict=True))
    used = [name for name in kinds if any(row[name] for row in cells)]
    rows = tuple(tuple(row[name] for name in used) for row in cells)
    return Table("wrong texts", tuple(used), "".join(kinds[name] for name in used), rows, sortable=True)


def new_texts(augmented: Augmented) -> Table:
    """The number of new texts of each source."""
    kinds = "ht" + "n" * (len(augmented.columns) - 2)
    return Table("new texts by source", augmented.columns, kinds, augmented.rows)


def examples(augmented: Augmented) -> Table:
    """Some new texts."""
    rows = tuple(tuple(short(cell, TEXT_LENGTH) for cell in row) for row in augmented.examples)
    return Table("examples of new texts", ("label", "text", "new text", "source"), "hwww", rows)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
