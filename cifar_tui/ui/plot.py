"""Curves in the terminal: the one place that speaks to plotext, whose state is global."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotext
from rich.text import Text
from textual.color import Color, ColorParseError
from textual.widgets import Static

MARKS = "ox+*#@%&$ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The i-th curve's mark, so that curves are told apart without colour."""
COLOURS = ("primary", "warning", "success", "error", "accent", "secondary")
LEAST_WIDTH, LEAST_HEIGHT = 16, 5


@dataclass(frozen=True)
class Curve:
    """One line: its label and points (x, y); a y that is None or not finite is a gap."""

    label: str
    points: Sequence[tuple[float, float | None]]
    band: Sequence[tuple[float, float, float]] = ()
    """Where the curve has a spread: (x, low, high), drawn as two thin lines."""

    def segments(self) -> list[list[tuple[float, float]]]:
        """The stretches between gaps."""
        found: list[list[tuple[float, float]]] = [[]]
        for x, y in self.points:
            if y is None or not math.isfinite(y):
                found.append([])
            else:
                found[-1].append((x, y))
        return [segment for segment in found if segment]

    def edges(self) -> list[list[tuple[float, float]]]:
        """The lower and the upper edge of the band."""
        if not self.band:
            return []
        return [[(x, low) for x, low, _ in self.band], [(x, high) for x, _, high in self.band]]


def mark(number: int) -> str:
    """The mark of the curve with this number, from 0."""
    return MARKS[number % len(MARKS)]


class Curves(Static):
    """Curves over each other with a one-line legend; drawn again only when something changed."""

    DEFAULT_CSS = "Curves { height: 1fr; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._title = ""
        self._curves: tuple[Curve, ...] = ()
        self._drawn: tuple[object, ...] | None = None

    def show(self, curves: Sequence[Curve], title: str) -> None:
        """Show these curves; does nothing when they are on the screen already."""
        self._curves = tuple(Curve(c.label, tuple(c.points), tuple(c.band)) for c in curves)
        self._title = title
        self._redraw()

    def on_resize(self) -> None:
        """Fit the plot to its new size."""
        self._redraw()

    def _redraw(self) -> None:
        width, height = self.size
        state = (width, height, self._title, self._curves, self.app.theme)
        if state == self._drawn or not width or not height:
            return
        self._drawn = state
        legend = Text(no_wrap=True, overflow="ellipsis")
        legend.append(self._title, "bold")
        for number, curve in enumerate(self._curves):
            legend.append(f"  {mark(number)} {curve.label}", self._style(number))
        roomy = width >= LEAST_WIDTH and height > LEAST_HEIGHT
        if roomy and any(curve.segments() for curve in self._curves):
            legend.append("\n")
            legend.append_text(self._plot(width, height - 1))
        self.update(legend)

    def _style(self, number: int) -> str:
        colour = self._colour(number)
        return "" if colour is None else "rgb({},{},{})".format(*colour)

    def _colour(self, number: int) -> tuple[int, int, int] | None:
        name = self.app.theme_variables.get(COLOURS[number % len(COLOURS)], "")
        try:
            return Color.parse(name).rgb
        except ColorParseError:
            return None

    def _plot(self, width: int, height: int) -> Text:
        plotext.clear_figure()
        plotext.theme("clear")
        plotext.plot_size(width, height)
        plotext.xaxes(True, False)
        plotext.yaxes(True, False)
        drawn = [
            (number, [_thin(segment, 2 * width) for segment in curve.segments()])
            for number, curve in enumerate(self._curves)
        ]
        edges = [
            (number, _thin(edge, 2 * width))
            for number, curve in enumerate(self._curves)
            for edge in curve.edges()
        ]
        points = [p for _, segments in drawn for segment in segments for p in segment]
        points += [p for _, edge in edges for p in edge]
        _scale([x for x, _ in points], [y for _, y in points], width, height)
        for number, edge in edges:
            xs, ys = zip(*edge, strict=True)
            plotext.scatter(xs, ys, marker="braille", color=self._colour(number) or "default")
        for number, segments in drawn:
            colour = self._colour(number) or "default"
            for segment in segments:
                if len(segment) > 1:
                    xs, ys = zip(*segment, strict=True)
                    plotext.plot(xs, ys, marker="braille", color=colour)
        every = max(1, len(self._curves))
        for number, segments in drawn:
            colour = self._colour(number) or "default"
            for segment in segments:
                marked = _marked(segment, max(3, width // (3 * every)))
                xs, ys = zip(*marked, strict=True)
                plotext.scatter(xs, ys, marker=mark(number), color=colour)
        return Text.from_ansi(plotext.build())


def _thin(points: list[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most about `most` points, the last one included."""
    step = math.ceil(len(points) / most)
    thin = points[::step]
    return thin if thin[-1] == points[-1] else [*thin, points[-1]]


def _marked(points: list[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Points to mark, counted back from the last, so that a curve's end carries its mark."""
    step = math.ceil(len(points) / most)
    return points[::-1][::step][::-1]


def _scale(xs: list[float], ys: list[float], width: int, height: int) -> None:
    """Set limits and a few ticks of fixed precision on both axes."""
    low, high = min(ys), max(ys)
    pad = (high - low) * 0.05 or max(abs(high) * 0.05, 0.01)
    low, high = low - pad, high + pad
    count = max(2, min(5, height // 3))
    ticks = [low + (high - low) * i / (count - 1) for i in range(count)]
    digits = 2 if high - low >= 0.05 else 4
    plotext.ylim(low, high)
    plotext.yticks(ticks, [f"{t:.{digits}f}" if abs(t) < 1e4 else f"{t:.0e}" for t in ticks])
    first, last = min(xs), max(max(xs), min(xs) + 1)
    plotext.xlim(first, last)
    count = max(2, min(7, width // 10))
    marks = sorted({round(first + (last - first) * i / (count - 1)) for i in range(count)})
    plotext.xticks(marks, [str(m) for m in marks])
