"""The charts of a page."""

import math
from collections.abc import Sequence

from fewshot.page.answers import Answers
from fewshot.page.map import Map, Point
from fewshot.page.page import Curve, Page, Row, Scope
from fewshot.page.svg import LETTER, WIDTH, Axis, Chart, box, dot, grid_x, grid_y, number, path, picture, short, text
from fewshot.page.tables import Table

_FOOT = 40.0  # below an axis, for its values and its name
_LEFT = 46.0
_NAMED = 40  # labels whose names fit beside a confusion matrix
_MOST_CELLS, _MOST_ROWS = 2000, 500  # off the diagonal, in the chart and in its table
_BARS = 40
_COLOURS = ("own", "bad", "mark", "soft")  # each with a dash of its own


def accuracies(rows: Sequence[Row], measure: str, suffix: str = "", name: str = "accuracies") -> Chart:
    """The share of each row as a dot, its interval as a line; `suffix` ends the title."""
    rows = [row for row in rows if row.share is not None]
    values = (value for row in rows for value in (row.share, row.low, row.high) if value is not None)
    axis, bottom = Axis.around(values, 20.0, WIDTH - 20), 40.0 * len(rows) + 6
    parts, descriptions = [grid_x(axis, bottom)], []
    for i, row in enumerate(rows):
        y, kind = 40.0 * i + 30, "soft" if i else "own"
        descriptions.append(f"{row.name}: {row.accuracy} % ({row.interval})")
        parts.append(text(axis.start + 4, y - 12, short(row.name, 56), "start", "name"))
        if row.low is not None and row.high is not None:
            parts.append(path(f"{kind} line", f"M{axis.at(row.low):.1f} {y}H{axis.at(row.high):.1f}"))
        if row.share is not None:
            parts.append(dot(kind, axis.at(row.share), y, 5.0, descriptions[-1]))
    parts.append(text(WIDTH / 2, bottom + 34, f"{measure} %; line: 95 % interval"))
    return picture(name, f"{measure} and its interval{suffix}", "; ".join(descriptions), (WIDTH, bottom + _FOOT), parts)


def confusion(answers: Answers) -> Chart:
    """How many texts of each label (row) get each label (column)."""
    classes = sorted({number for cell in answers.confusion for number in cell})
    n, index = len(classes), {number: i for i, number in enumerate(classes)}
    labels = [short(answers.labels[number], 60) for number in classes]
    cells = [(index[target], index[predicted], count) for (target, predicted), count in answers.confusion.items()]
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    right = [cell for cell in cells if cell[0] == cell[1]]
    named = n <= _NAMED
    left, top = (170.0, 22.0) if named else (4.0, 4.0)
    cell = min((640 - left - 4) / n, 44.0)
    parts = []
    for order, label in enumerate(labels if named else (), 1):
        middle = (order - 0.5) * cell
        parts.append(text(left - 6, top + middle + 4, f"{short(label, 20)} {order}", "end", "small"))
        parts.append(text(left + middle, top - 6, str(order), kind="small"))
    for kind, of_kind, min_size in (("own", right, 3.0), ("bad", wrong[:_MOST_CELLS], 6.0)):
        max_count = max((count for *_, count in of_kind), default=1.0)
        size = cell - 1 if named else min_size  # a mistake among many labels must be seen
        for row, column, count in of_kind:
            x, y = (start + (at + 0.5) * cell for start, at in ((left, column), (top, row)))
            share = count / max_count
            tooltip = f"{labels[row]} → {labels[column]}: {number(count)}"
            numbered = cell >= 26  # and pale, so that the number can be read
            opacity = 0.1 + 0.3 * share if numbered else 0.2 + 0.8 * share if named else 0.5 + 0.5 * share
            parts.append(box(kind, (x - size / 2, y - size / 2), (size, size), tooltip, opacity))
            if numbered:
                parts.append(text(x, y + 4, number(count)))
    edge = n * cell
    parts.append(box("frame", (left, top), (edge, edge)))
    description = (
        f"Rows are the own labels, columns the predicted ones; {len(wrong)} cells off the diagonal have texts."
    )
    rows = tuple((labels[row], labels[column], number(count)) for row, column, count in wrong[:_MOST_ROWS])
    table = Table("confused labels", ("own label", "taken for", "how many"), "htn", rows)
    return picture("confusion", "Confusion matrix", description, (left + edge + 4, top + edge + 4), parts, table)


def reliability(page: Page) -> Chart:
    """The share that is right over the confidence; the larger a dot, the more texts."""
    size, top = 300.0, 16.0
    across, up = Axis(0.0, 1.0, _LEFT, _LEFT + size), Axis(0.0, 1.0, top + size, top)
    parts = [grid_x(across, top + size), grid_y(up, across.start, across.end)]
    parts.append(path("dashed", f"M{across.start} {up.start}L{across.end} {up.end}"))
    max_n = max(bin_.n for bin_ in page.reliability)
    rows = []
    for bin_ in page.reliability:
        row = (f"{100 * bin_.confidence:.0f}", f"{100 * bin_.accuracy:.0f}", number(bin_.n))
        tooltip = "confidence {} %: {} % right of {}".format(*row)
        rows.append(row)
        radius = 3 + 9 * math.sqrt(bin_.n / max_n)
        parts.append(dot("own pale", across.at(bin_.confidence), up.at(bin_.accuracy), radius, tooltip))
    parts.append(text(_LEFT + size / 2, top + size + 34, "confidence %; up: share that is right, %"))
    description = "; ".join("{} % sure: {} % right of {}".format(*row) for row in rows)
    title = "Confidence and share that is right"
    table = Table(title, ("confidence %", "right %", "how many"), "nnn", tuple(rows))
    return picture("reliability", title, description, (_LEFT + size + 18, top + size + _FOOT), parts, table)


def texts_map(map_: Map) -> Chart:
    """Texts as dots, those that are wrong as crosses, means of labels as diamonds with their names."""
    width, height, points = 640.0, 480.0, [*map_.texts, *map_.prototypes]
    across, up = (
        Axis(min(values), max(values) if max(values) > min(values) else min(values) + 1, start, end)
        for values, start, end in (
            ([point.x for point in points], 14.0, width - 14),
            ([point.y for point in points], height - 14, 14.0),
        )
    )
    parts, names = [], []
    for point in sorted(map_.texts, key=lambda point: point.wrong):
        x, y, tooltip = across.at(point.x), up.at(point.y), f"{short(point.label, 60)}: {short(point.text)}"
        cross = path("bad", f"M{x - 3:.0f} {y - 3:.0f}l6 6m0 -6l-6 6", tooltip)
        parts.append(cross if point.wrong else dot("text", x, y, 3.0, tooltip))
    taken: list[tuple[float, float, float]] = []
    for point in map_.prototypes:
        x, y = across.at(point.x), up.at(point.y)
        parts.append(path("mean", f"M{x:.0f} {y - 6:.0f}l6 6l-6 6l-6 -6z", short(point.label)))
        names += _name(point, x, y, width, taken)
    description = f"{len(map_.texts)} texts and the means of {len(map_.prototypes)} labels on their two principal axes."
    rows = tuple((label, other, f"{cosine:.2f}") for label, other, cosine in map_.closest)
    table = Table("closest labels", ("label", "closest label", "cosine"), "htn", rows)
    return picture("map", "Map of texts and labels", description, (width, height), [*parts, *names], table)


def _name(point: Point, x: float, y: float, width: float, taken: list[tuple[float, float, float]]) -> list[str]:
    """The name of a label above or below its diamond, unless it would cover a name in `taken`, to which it is added."""
    name = short(point.label, 24)
    half = 1.1 * LETTER * len(name) / 2  # bold
    middle = min(max(x, half + 2), width - half - 2)
    for base in (y - 11, y + 19):
        if base > 14 and all(abs(middle - x) > half + width + 4 or abs(base - y) > 14 for x, y, width in taken):
            taken.append((middle, base, half))
            return [text(middle, base, name, kind="name")]
    return []


def histogram(scope: Scope) -> Chart:
    """A histogram of the scores of each kind of texts, and the threshold."""
    threshold = [] if scope.threshold is None else [scope.threshold]
    values = [score for scores in scope.scores.values() for score in scores]
    low, high = (end([*values, *threshold]) for end in (min, max))
    axis, tall = Axis(low, high if high > low else low + 1, 24.0, WIDTH - 24), 110.0
    bottom = tall * len(scope.scores)
    parts, rows = [grid_x(axis, bottom, percent=False)], []
    for i, (which, scores) in enumerate(scope.scores.items()):
        counts, base = [0] * _BARS, tall * (i + 1)
        for score in scores:
            counts[min(int(_BARS * (score - axis.low) / (axis.high - axis.low)), _BARS - 1)] += 1
        width = (axis.end - axis.start) / _BARS
        for bar, count in enumerate(counts):
            if count:
                height = (tall - 34) * count / max(counts)
                corner = (axis.start + width * bar, base - height)
                parts.append(box("bad" if i else "own", corner, (width - 1, height), str(count)))
        parts.append(text(18.0, base - tall + 18, f"{which} ({len(scores)})", "start", "name"))
        ranked = sorted(scores)
        rows.append((which, *(f"{ranked[int(share * (len(ranked) - 1))]:.2f}" for share in (0.05, 0.5, 0.95))))
    for value in threshold:
        parts.append(path("dashed", f"M{axis.at(value):.1f} 4V{bottom}"))
    parts.append(text(WIDTH / 2, bottom + 34, "score; dashed: the threshold" if threshold else "score"))
    columns = ("texts", "5 % score below", "half score below", "95 % score below")
    title, table = "Scores of being in scope", Table("scores", columns, "hnnn", tuple(rows))
    return picture("scope", title, scope.sentence, (WIDTH, bottom + _FOOT), parts, table)


def lines(curve: Curve, order: int) -> Chart:
    """Lines with their intervals; each has a colour, a dash and a name."""
    points = [point for line in curve.lines.values() for point in line]
    xs = sorted({x for x, *_ in points})
    scale = {x: math.log(x) if curve.log else x for x in xs}
    bottom = 250.0
    across = Axis(scale[xs[0]], scale[xs[-1]] if len(xs) > 1 else scale[xs[0]] + 1, _LEFT, WIDTH - 30)
    up = Axis.around((y for _, *ys in points for y in ys if y is not None), bottom, 12.0)
    ticks = xs if len(xs) <= 8 else [xs[round(step * (len(xs) - 1) / 5)] for step in range(6)]
    parts = [grid_y(up, across.start, across.end)]
    for x in ticks:
        parts.append(path("grid", f"M{across.at(scale[x]):.1f} 12V{bottom}"))
        parts.append(text(across.at(scale[x]), bottom + 16, f"{x:.4g}"))
    rows = []
    for i, (name, line) in enumerate(curve.lines.items()):
        kind = f"{_COLOURS[i % 4]} line dash{i % 4}"
        shift = 4.0 * i  # so that intervals do not hide each other
        shape = "L".join(f"{across.at(scale[x]) + shift:.1f} {up.at(y):.1f}" for x, y, *_ in line)
        parts.append(path(kind, f"M{shape}"))
        for x, y, low, high in line:
            x_at, cells = across.at(scale[x]) + shift, (name, f"{x:.4g}", f"{100 * y:.1f}")
            if low is not None and high is not None:
                parts.append(path(f"{_COLOURS[i % 4]} line thin", f"M{x_at:.1f} {up.at(low):.1f}V{up.at(high):.1f}"))
                rows.append((*cells, f"{100 * low:.1f} to {100 * high:.1f}"))
            else:
                rows.append((*cells, ""))
            parts.append(dot(_COLOURS[i % 4], x_at, up.at(y), 4.0, f"{name}, {cells[1]}: {cells[2]} %"))
        base = bottom + 60 + 22 * i
        parts += [path(kind, f"M{_LEFT} {base - 4}h40"), text(_LEFT + 48, base, short(name, 50), "start")]
    parts.append(text((across.start + across.end) / 2, bottom + 34, f"{curve.x}; up: {curve.y} %"))
    description = "; ".join(f"{name} at {x}: {y} %" for name, x, y, _ in rows)
    size = (WIDTH, bottom + _FOOT + 10 + 22 * len(curve.lines))
    table = Table(curve.title, ("line", curve.x, f"{curve.y} %", "95 % interval"), "hnnn", tuple(rows))
    return picture(f"curve{order}", curve.title, description, size, parts, table)
