"""Curves in the terminal: the one place that speaks to plotext, whose state is global."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import plotext
from rich.style import Style
from rich.text import Text
from textual.color import Color
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import Static

from cifar_tui.query.curves import thinned
from cifar_tui.tui.ticks import x_ticks, y_ticks

MARKS = "ox+*#@%&$ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The i-th curve's mark, so that curves are told apart without colour."""
COLOURS = {
    True: ("#56B4E9", "#E69F00", "#2FBF9B", "#F0E442", "#D98CB9", "#E8E8E8"),
    False: ("#0072B2", "#C2500A", "#00795A", "#8A3A85", "#7A6500", "#444444"),
}
"""The curves' colours on a dark and on a light theme, told apart by the colour-blind as well (after
Okabe and Ito, Color Universal Design, 2008): a theme's own colours are partly the same."""
LEAST_WIDTH, LEAST_HEIGHT = 16, 5
LEAST_LABEL = 9
"""Cells to which labels in the legend are cut at most."""
LEGEND_EVERY = 6
"""Lines of the widget for each line that the legend may take."""
CURSOR, POINTER, BLANK = "│", "^", (" ", "\u2800")
DOTS = 4
"""Of a braille character, above each other."""
DOT_EVERY = 3
"""Lines from one dot of the cursor to the next: every line that has one is sent at each step."""
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """One line: its label and points (x, y); a y that is None or not finite is a gap."""

    label: str
    points: Sequence[tuple[float, float | None]]
    band: Sequence[tuple[float, float, float]] = ()
    """Where the curve has a spread: (x, low, high), drawn as two thin lines."""
    remark: tuple[float, str] | None = None
    """What to write where the curve stands or last stood at x."""
    hidden: bool = False
    """Left out for now; the other curves keep their marks."""

    def segments(self, log: bool = False) -> list[Points]:
        """The stretches between gaps; on a log axis y is its logarithm, and none for y <= 0."""
        found: list[Points] = [[]]
        for x, y in self.points:
            height = _height(y, log)
            if height is None:
                found.append([])
            else:
                found[-1].append((x, height))
        return [segment for segment in found if segment]

    def edges(self, log: bool = False) -> list[Points]:
        """The lower and the upper edge of the band."""
        sides = ([(x, y[i]) for x, *y in self.band] for i in (0, 1))
        return [[(x, h) for x, y in side if (h := _height(y, log)) is not None] for side in sides]


def _height(y: float | None, log: bool) -> float | None:
    if y is None or not math.isfinite(y) or (log and y <= 0):
        return None
    return math.log10(y) if log else y


@dataclass(frozen=True)
class PlotView:
    """How curves are looked at."""

    sight: tuple[float, float] | None = None
    """The stretch of x that is shown; None shows all. y fits what is in sight."""
    log: bool = False
    """Whether y rises by factors."""
    clock: bool = False
    """Whether x is in seconds."""


@dataclass(frozen=True)
class Frame:
    """Where the drawing lies: its cells, and the limits that they stand for."""

    left: int
    columns: int
    top: int
    rows: int
    first: float
    last: float
    low: float
    high: float

    @property
    def axis_line(self) -> int:
        """The line of the widget with the x axis."""
        return self.top + self.rows

    @property
    def cursor_lines(self) -> range:
        """The lines of the widget on which the cursor is drawn, up from the axis."""
        return range(self.axis_line, self.top - 1, -DOT_EVERY)

    def column(self, x: float) -> int:
        """The column of x, as plotext places it."""
        share = (x - self.first) / (self.last - self.first)
        return math.floor(round(0.5 + (self.columns - 1) * share, 8))

    def row(self, y: float) -> int:
        """The row of y from below."""
        share = (y - self.low) / (self.high - self.low)
        return math.floor(round(0.5 + (self.rows - 1) * share, 8))

    def at(self, column: int, row: int) -> tuple[float, float]:
        """The x and y that a cell stands for."""
        x = self.first + (self.last - self.first) * column / max(1, self.columns - 1)
        return x, self.low + (self.high - self.low) * row / max(1, self.rows - 1)

    def on_line(self, y: float) -> float:
        """The y of the row in which a braille line passes y, which may be the next one to its own.

        plotext rounds to a quarter of a row there.
        """
        share = (y - self.low) / (self.high - self.low)
        row = math.floor(round(0.5 + (DOTS * self.rows - 1) * share, 8)) // DOTS
        return self.at(0, row)[1]


def mark(number: int) -> str:
    """The mark of the curve with this number, from 0."""
    return MARKS[number % len(MARKS)]


class Curves(Static):
    """Curves over each other under a legend; drawn again only when something changed."""

    DEFAULT_CSS = "Curves { height: 1fr; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._title = ""
        self._curves: tuple[Curve, ...] = ()
        self._view = PlotView()
        self._drawn: tuple[object, ...] | None = None
        self._frame: Frame | None = None
        self._cursor: float | None = None

    def show(self, curves: Sequence[Curve], title: str, view: PlotView | None = None) -> None:
        """Show these curves; does nothing when they are on the screen already."""
        self._curves = tuple(replace(c, points=tuple(c.points), band=tuple(c.band)) for c in curves)
        self._title = title
        self._view = view or PlotView()
        self._redraw()

    def point_at(self, x: float | None) -> None:
        """Draw a dotted vertical line at x, or none; only the lines with its dots are sent."""
        before = self._cursor_column
        self._cursor = x
        now = self._cursor_column
        touched = [column for column in (before, now) if column is not None]
        if before != now and self._frame is not None:
            left, right = min(touched), max(touched) + 1
            self.refresh(*(Region(left, y, right - left, 1) for y in self._frame.cursor_lines))

    @property
    def columns(self) -> int:
        """How many columns the drawing has."""
        return self._frame.columns if self._frame else 1

    @property
    def _cursor_column(self) -> int | None:
        """The column of the widget on which the cursor is, if it is in sight.

        Between a change of the widget's width and the drawing that follows, it may be beyond it.
        """
        frame, x = self._frame, self._cursor
        if frame is None or x is None or not frame.first <= x <= frame.last:
            return None
        column = frame.left + frame.column(x)
        return column if column < self.size.width else None

    def render_line(self, y: int) -> Strip:
        """A line of the drawing, with the cursor over it: dots and marks stay readable."""
        strip, column, frame = super().render_line(y), self._cursor_column, self._frame
        if column is None or frame is None or y not in frame.cursor_lines:
            return strip
        strip = strip.adjust_cell_length(self.size.width, self.rich_style)
        before, cell, after = strip.divide([column, column + 1, self.size.width])
        if cell.text in BLANK:
            cell = Strip([segment._replace(text=CURSOR) for segment in cell], 1)
        elif y >= frame.axis_line:
            cell = Strip([segment._replace(text=POINTER) for segment in cell], 1)
        else:
            cell = cell.apply_style(Style(reverse=True))
        return Strip.join([before, cell, after])

    def on_resize(self) -> None:
        self._redraw()

    def _redraw(self) -> None:
        width, height = self.size
        state = (width, height, self._title, self._curves, self._view, self.app.theme)
        if state == self._drawn or not width or not height:
            return
        self._drawn = state
        self._frame = None
        content = self._legend(width, max(1, height // LEGEND_EVERY))
        top = content.plain.count("\n") + 1
        roomy = width >= LEAST_WIDTH and height - top >= LEAST_HEIGHT
        shown = [curve for curve in self._curves if not curve.hidden]
        if roomy and any(curve.segments(self._view.log) for curve in shown):
            content.append("\n")
            content.append_text(self._plot(width, height - top, top))
        else:
            for number, curve in enumerate(self._curves):
                if curve.remark and not curve.hidden:
                    content.append(f"\n {mark(number)} {curve.remark[1]}", self._style(number))
        self.update(content, layout=False)

    def _legend(self, width: int, most: int) -> Text:
        """The title, and each curve's mark and label, on up to `most` lines.

        Labels are shortened where they do not fit; the last are left out first.
        """
        items = [(i, curve.label) for i, curve in enumerate(self._curves) if not curve.hidden]
        texts = [text for _, text in items]
        cells = max(map(len, texts), default=0)
        least = max(LEAST_LABEL, _telling_cells(texts))
        while cells > least and self._lines(texts, cells, width) > most:
            cells -= 1
        legend = Text.assemble((self._title, "bold"), no_wrap=True, overflow="ellipsis")
        used, line = len(self._title), 1
        for place, (number, label) in enumerate(items):
            text = label if len(label) <= cells else label[: cells - 1] + "…"
            left = len(items) - place - 1
            more = len(f"  +{left}") if left and line == most else 0
            if used + 4 + len(text) + more > width and (place or most > 1):
                if line == most:
                    legend.append(f"  +{left + 1}")
                    break
                legend.append("\n")
                used, line = 0, line + 1
            legend.append(f"  {mark(number)} {text}", self._style(number))
            used += 4 + len(text)
        return legend

    def _lines(self, texts: Sequence[str], cells: int, width: int) -> int:
        """How many lines the legend takes with labels of up to so many cells."""
        used, lines = len(self._title), 1
        for text in texts:
            used += 4 + min(len(text), cells)
            if used > width:
                used, lines = 4 + min(len(text), cells), lines + 1
        return lines

    def _style(self, number: int) -> str:
        return "rgb({},{},{})".format(*self._colour(number))

    def _colour(self, number: int) -> tuple[int, int, int]:
        colours = COLOURS[self.app.current_theme.dark]
        return Color.parse(colours[number % len(colours)]).rgb

    def _plot(self, width: int, height: int, top: int) -> Text:
        view, most = self._view, 2 * width
        shown = [(i, curve) for i, curve in enumerate(self._curves) if not curve.hidden]
        lines = [
            (i, thinned(part, most))
            for i, curve in shown
            for segment in curve.segments(view.log)
            if (part := _in_sight(segment, view.sight))
        ]
        edges = [
            (i, thinned(part, most))
            for i, curve in shown
            for edge in curve.edges(view.log)
            if (part := _in_sight(edge, view.sight))
        ]
        points = [point for _, part in lines + edges for point in part]
        self._frame = frame = _begin(points, view, width, height, top)
        for number, edge in edges:
            self._scatter(number, edge, "braille")
        for number, line in lines:
            if len(line) > 1:
                xs, ys = zip(*line, strict=True)
                plotext.plot(xs, ys, marker="braille", color=self._colour(number))
        each = max(3, width // (3 * max(1, len(shown))))
        for number, line in lines:
            marked = _marked(line, each, number / len(self._curves))
            on_line = [(x, frame.on_line(y)) for x, y in marked]
            self._scatter(number, on_line, mark(number))
        remarks = [(i, curve) for i, curve in shown if curve.remark]
        for number, text, column, row in _placed(remarks, frame, view.log):
            x, y = frame.at(column, row)
            plotext.text(text, x, y, color=self._colour(number), alignment="left")
        return Text.from_ansi(plotext.build())

    def _scatter(self, number: int, points: Points, marker: str) -> None:
        xs, ys = zip(*points, strict=True)
        plotext.scatter(xs, ys, marker=marker, color=self._colour(number))


def _in_sight(points: Points, sight: tuple[float, float] | None) -> Points:
    """The points in sight and the next on either side, so that lines run on to the border."""
    if sight is None:
        return points
    inside = [i for i, (x, _) in enumerate(points) if sight[0] <= x <= sight[1]]
    if not inside:
        return []
    return points[max(0, inside[0] - 1) : inside[-1] + 2]


def _marked(points: Points, most: int, shift: float) -> Points:
    """Points to mark: the last, and from it back so many, moved so that curves' marks lie apart."""
    step = math.ceil(len(points) / most)
    before = points[-1 - int(shift * step) :: -step] if shift * step < len(points) else []
    return [*({*before, points[-1]})]


def _telling_cells(texts: Sequence[str]) -> int:
    """The least width to which texts can be cut without becoming the same."""
    longest = max(map(len, texts), default=0)
    kinds = len(set(texts))
    widths = range(1, longest + 1)
    telling = (
        n for n in widths if len({t if len(t) <= n else t[: n - 1] + "…" for t in texts}) == kinds
    )
    return next(telling, longest)


def _placed(
    curves: Sequence[tuple[int, Curve]], frame: Frame, log: bool
) -> list[tuple[int, str, int, int]]:
    """Each remark in sight as (curve, text, column, row), on a row of its own where they meet."""
    found: list[tuple[int, str, int, int]] = []
    for number, curve in curves:
        assert curve.remark is not None
        x, words = curve.remark
        if not frame.first <= x <= frame.last:
            continue
        text = f"{mark(number)} {words}"[: frame.columns - 1]
        before = [p for part in curve.segments(log) for p in part if frame.first <= p[0] <= x]
        row = frame.row(before[-1][1]) if before else frame.rows - 1
        column = frame.column(before[-1][0] if before else x) + 2
        column = max(0, min(column, frame.columns - len(text)))
        taken = {r for _, t, c, r in found if c < column + len(text) and column < c + len(t)}
        free = [r for r in range(frame.rows) if r not in taken]
        row = min(free or [row], key=lambda r: abs(r - row))
        found.append((number, text, column, row))
    return found


def _begin(points: Points, view: PlotView, width: int, height: int, top: int) -> Frame:
    """An empty plot below the legend whose limits fit the points, with a few round ticks."""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)  # the widget knows its room, whatever the terminal says
    plotext.plot_size(width, height)
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    xs = [x for x, _ in points] or [0.0]
    first, last = view.sight or (min(xs), max(max(xs), min(xs) + 1))
    ys = [y for x, y in points if first <= x <= last] or [y for _, y in points] or [0.0]
    low, high = min(ys), max(ys)
    pad = (high - low) * 0.05 or (0.1 if view.log else abs(high) * 0.05 or 0.01)
    if view.log:
        low, high = low - pad, high + pad
    else:  # no loss below 0 and no share above 1 on an axis
        least, most = (0 if low >= 0 else -math.inf), (1 if low >= 0 and high <= 1 else math.inf)
        low, high = max(least, low - pad), min(most, high + pad)
    ticks, labels = y_ticks(low, high, max(2, min(6, height // 3)), view.log)
    plotext.ylim(low, high)
    plotext.yticks(ticks, labels)
    plotext.xlim(first, last)
    ticks, names = x_ticks(first, last, width, view.clock)
    plotext.xticks(ticks, names)
    left = max(map(len, labels)) + 1
    return Frame(left, width - left, top, height - 2, first, last, low, high)
