"""Tables of the accuracy of groups, and on changed texts; the page shows the same cells."""

from collections.abc import Callable, Iterable, Sequence

from rich.table import Table

from fewshot.errors import printable
from fewshot.evaluation.gaps import ChangeEffect, GroupGap
from fewshot.report.table import interval

GROUPS, GROUP_COLUMNS = "accuracy of groups", ("group", "texts", "accuracy %", "95 % interval")
CHANGES = "accuracy on changed texts"
CHANGE_COLUMNS = ("change", "texts", "before %", "after %", "difference", "95 % interval")


def group_rows(gap: GroupGap, name: Callable[[str], str] = printable) -> tuple[tuple[str, ...], ...]:
    """Cells of the accuracy of each group, the lowest first; `name` formats the name of a group."""
    return tuple(
        (name(group.name), f"{group.n_texts:,}", group.accuracy.percent(), interval(group.accuracy.as_json()))
        for group in gap.groups
    )


def change_rows(effects: Sequence[ChangeEffect]) -> tuple[tuple[str, ...], ...]:
    """Cells of the effect of each change of the texts on accuracy."""
    return tuple(
        (
            effect.name,
            f"{effect.n_texts:,}",
            effect.before.percent(),
            effect.after.percent(),
            effect.difference.percent(sign=True),
            interval(effect.difference.as_json(), sign=True),
        )
        for effect in effects
    )


def gaps_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """The cells as a table for a terminal."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*row)
    return table
