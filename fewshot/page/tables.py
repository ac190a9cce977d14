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
        columns: their heads.
        kinds: a letter for each column: a (h)ead of the row, (n)umber, (w)ords of a text, (t)erm or (q)uotations.
        rows: cells; that of quotations is a tuple.
        sortable: whether a head sorts the rows.
        marked: number of the row that stands out.
    """

    label: str
    columns: tuple[str, ...]
    kinds: str
    rows: tuple[tuple[str | tuple[str, ...], ...], ...]
    sortable: bool = False
    marked: int | None = None


def baselines(page: Page) -> Table:
    """The learner and what it is compared with; columns that are empty are left out."""
    columns = {
        f"{page.measure} %": "accuracy",
        "95 % interval": "interval",
        "difference": "difference",
        "macro-F1 %": "macro_f1",
        "calibration error": "ece",
    }
    there = {name: field for name, field in columns.items() if any(getattr(row, field) for row in page.rows)}
    rows = tuple((row.name, *(getattr(row, field) for field in there.values())) for row in page.rows)
    return Table("learner and baselines", ("classifier", *there), "h" + "n" * len(there), rows, marked=0)


def labels(page: Page) -> Table:
    """Precision, recall and F1 of each label."""
    rows = tuple(
        (short(one.label, LABEL_LENGTH), _percent(one.f1), _percent(one.precision), _percent(one.recall), number(one.n))
        for one in page.classes
    )
    columns = ("label", "F1 %", "precision %", "recall %", page.counted)
    return Table("scores of each label", columns, "hnnnn", rows, sortable=True)


def groups(found: GroupGap) -> Table:
    """The accuracy of each group, the lowest first."""
    return Table(GROUPS, GROUP_COLUMNS, "hnnn", group_rows(found, lambda name: short(name, LABEL_LENGTH)))


def changes(effects: Sequence[ChangeEffect]) -> Table:
    """What each change of the texts does to accuracy."""
    return Table(CHANGES, CHANGE_COLUMNS, "hnnnnn", change_rows(effects))


def findings(found: Findings) -> Table:
    """What is wrong with the texts, what to do, and where."""
    rows = tuple((one.sentence, one.advice, one.examples) for one in found.found)
    return Table("what was found in the texts", ("found", "what to do", "such as"), "hwq", rows)


def pairs(page: Page) -> Table:
    """The labels that are confused most, with texts."""
    rows = tuple(
        (
            f"{short(pair.one, LABEL_LENGTH)} and {short(pair.other, LABEL_LENGTH)}",
            number(pair.there + pair.back),
            tuple(f"{short(text, TEXT_LENGTH // 2)} ({short(label, LABEL_LENGTH)})" for text, label in pair.texts),
        )
        for pair in page.pairs
    )
    return Table("pairs of labels that are confused", ("pair", page.counted, "such as"), "hnq", rows)


def wrong(page: Page) -> Table:
    """Texts that are wrong; columns that say nothing are left out."""
    cells = [
        {
            "text": short(one.text, TEXT_LENGTH),
            "own label": short(one.label, LABEL_LENGTH),
            "taken for": short(one.predicted, LABEL_LENGTH),
            "confidence %": _percent(one.confidence) if one.confidence == one.confidence else "",
            "wrong": f"{one.wrong} of {one.asked}" if one.asked > 1 else "",
            "what decided": short(listed.decided, TEXT_LENGTH),
        }
        for listed in page.wrong
        for one in (listed.one,)
    ]
    kinds = dict(zip(cells[0], "wttnnw", strict=True))
    there = [name for name in kinds if any(row[name] for row in cells)]
    rows = tuple(tuple(row[name] for name in there) for row in cells)
    return Table("wrong texts", tuple(there), "".join(kinds[name] for name in there), rows, sortable=True)


def made(augmented: Augmented) -> Table:
    """How many new texts each source made."""
    kinds = "ht" + "n" * (len(augmented.columns) - 2)
    return Table("new texts by source", augmented.columns, kinds, augmented.rows)


def examples(augmented: Augmented) -> Table:
    """Some new texts."""
    rows = tuple(tuple(short(cell, TEXT_LENGTH) for cell in row) for row in augmented.examples)
    return Table("examples of new texts", ("label", "text", "new text", "source"), "hwww", rows)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
