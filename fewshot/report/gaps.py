"""Tables of the accuracy of groups, and on changed texts."""

from collections.abc import Sequence

from rich.table import Table

from fewshot.errors import printable
from fewshot.evaluation.gaps import ChangeEffect, GroupGap
from fewshot.report.table import interval


def group_table(found: GroupGap) -> Table:
    """The accuracy of each group, the lowest first."""
    table = _table("accuracy of groups", "group", "texts", "accuracy %", "95 % interval")
    for group in found.groups:
        table.add_row(
            printable(group.name), f"{group.n_texts:,}", group.accuracy.percent(), interval(group.accuracy.as_json())
        )
    return table


def change_table(effects: Sequence[ChangeEffect]) -> Table:
    """What each change of the texts does to accuracy."""
    table = _table("accuracy on changed texts", "change", "texts", "before %", "after %", "difference", "95 % interval")
    for effect in effects:
        table.add_row(
            effect.name,
            f"{effect.n_texts:,}",
            effect.before.percent(),
            effect.after.percent(),
            effect.difference.percent(sign=True),
            interval(effect.difference.as_json(), sign=True),
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    return table
