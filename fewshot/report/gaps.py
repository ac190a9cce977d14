"""Tables and a sentence about the accuracy of groups, and on changed texts."""

from collections.abc import Sequence

from rich.table import Table

from fewshot.errors import printable
from fewshot.evaluation.gaps import FEWEST, ChangeEffect, GroupGap
from fewshot.report.table import interval


def group_table(found: GroupGap) -> Table:
    """The accuracy of each group, the lowest first."""
    table = _table("accuracy of groups", "group", "texts", "accuracy %", "95 % interval")
    for group in found.groups:
        table.add_row(
            printable(group.name), f"{group.n_texts:,}", group.accuracy.percent(), interval(group.accuracy.as_json())
        )
    return table


def gap_sentence(found: GroupGap) -> str:
    """How far the groups are apart, and how often random groups are."""
    if found.gap is None or found.by_chance is None:
        return f"Fewer than two groups have {FEWEST} texts or more, so no difference is computed."
    low, high = found.compared[0], found.compared[-1]
    chance = "less than 0.1" if found.by_chance < 0.001 else f"{100 * found.by_chance:.1f}"
    sentence = f"{low.name!r} is {100 * found.gap:.1f} points below {high.name!r}."
    return f"{sentence} Of random groups of these sizes {chance} % are as far apart."


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
