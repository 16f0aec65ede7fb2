"""Parallel coordinates: walk through runs, choose an axis, keep only runs like this one.

All runs are dots, the best quarter is drawn over the others, and the chosen run over all as a solid
line with its values beside the axes.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import ClassVar, Literal

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Static

from cifar_tui.drawing import Dots, solid
from cifar_tui.features.effects.study import MOST_LEVELS, Study, levels, rising
from cifar_tui.features.effects.tables import figure
from cifar_tui.query.fields import Field, Value
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain

FAN = 0.2
"""Share of a value's stretch of its axis over which its runs are spread, so that each is seen."""
DECADES = 1.5
"""Decades from which on positive numbers stand on a log scale."""
MARGIN = 0.02
"""Of an axis, kept free at both ends."""


Ink = Literal["", "rest", "best", "axis", "label", "chosen", "value", "selected"]
"""What a cell shows; the screen decides how each looks."""
MOST_DOTS = 0.15
"""Share of the canvas that lines may cover; where there are more, only bundles are left."""
LEAST_GAP = 8
"""Cells from one axis to the next."""
NAME_LINES = 2
"""Names of neighbours stand on different lines, so that they may be twice as long."""


@dataclass(frozen=True)
class Cell:
    """One character and what it belongs to."""

    text: str = " "
    ink: Ink = ""


Row = list[Cell]
EMPTY = Cell()


def most_axes(width: int, figure: int) -> int:
    """How many axes fit, the last one with `figure` cells for its values."""
    return max(2, (width - figure - 2) // LEAST_GAP + 1)


@dataclass(frozen=True)
class Plot:
    """Where everything stands: axes, the runs' ranks, and the size in cells."""

    axes: "Sequence[Axis]"
    shown: Sequence[int]
    """The runs that are drawn."""
    best: frozenset[int]
    width: int
    height: int
    """Names of the axes included."""

    @property
    def rows(self) -> int:
        """Lines above the names."""
        return self.height - NAME_LINES

    @cached_property
    def columns(self) -> list[int]:
        """The cell of each axis."""
        room = self.width - 2 - max((len(text) for text in self.axes[-1].texts), default=0)
        last = max(1, len(self.axes) - 1)
        return [round(room * i / last) for i in range(len(self.axes))]

    def background(self) -> list[Row]:
        """All runs but the chosen one, without axes."""
        rows = [[EMPTY] * self.width for _ in range(self.rows)]
        layers: tuple[tuple[Ink, bool], ...] = (("rest", False), ("best", True))
        for ink, wanted in layers:
            dots = Dots(self.width, self.rows)
            for run in self.shown:
                if (run in self.best) is wanted:
                    dots.path(self._corners(run))
            for x, y, text in dots.cells(MOST_DOTS):
                rows[y][x] = Cell(text, ink)
        return rows

    def over(self, background: Sequence[Row], chosen: int | None, selected: int) -> list[Row]:
        """The background with axes, values and the chosen run on top, and the names below."""
        rows = [list(row) for row in background]
        columns = self.columns
        for number, (axis, x) in enumerate(zip(self.axes, columns, strict=True)):
            for row in rows:
                row[x] = Cell("┃" if number == selected else "│", "axis")
            room = (columns[number + 1] if number + 1 < len(columns) else self.width) - x - 1
            own = "" if chosen is None else axis.texts[chosen]
            for at, text in axis.ticks:
                if text != own:
                    _write(rows[self._row(at)], x + 1, text[:room], "label")
        if chosen is not None:
            self._draw_chosen(rows, columns, chosen)
        return rows + self._names(columns, selected)

    def _draw_chosen(self, rows: list[Row], columns: list[int], chosen: int) -> None:
        corners = [
            (x, self._row(axis.places[chosen])) for x, axis in zip(columns, self.axes, strict=True)
        ]
        for x, y, text in solid(corners):
            rows[y][x] = Cell(text, "chosen")
        for (x, y), axis in zip(corners, self.axes, strict=True):
            rows[y][x] = Cell("●", "chosen")
            _write(rows[y], x + 1, axis.texts[chosen][: self.width - x - 1], "value")

    def _names(self, columns: list[int], selected: int) -> list[Row]:
        rows = [[EMPTY] * self.width for _ in range(NAME_LINES)]
        last = len(self.axes) - 1
        for number, (axis, x) in enumerate(zip(self.axes, columns, strict=True)):
            after = columns[number + 2] if number + 2 <= last else self.width
            room = max(LEAST_GAP, after - x) - 1
            start = max(0, min(x, self.width - len(axis.name))) if number == last else x
            name = axis.name if len(axis.name) <= room else f"{axis.name[: room - 1]}…"
            ink: Ink = "selected" if number == selected else "label"
            _write(rows[number % NAME_LINES], start, name, ink)
        return rows

    def _corners(self, run: int) -> list[tuple[int, int]]:
        """The run's line in dots: two to a cell across, four down."""
        tall = 4 * self.rows - 1
        return [
            (2 * x + 1, round((1 - axis.places[run]) * tall))
            for x, axis in zip(self.columns, self.axes, strict=True)
        ]

    def _row(self, place: float) -> int:
        return min(self.rows - 1, int((1 - place) * self.rows))


def _write(row: Row, x: int, text: str, ink: Ink) -> None:
    for offset, character in enumerate(text):
        if 0 <= x + offset < len(row):
            row[x + offset] = Cell(character, ink)


def runs_of(row: Sequence[Cell]) -> list[tuple[str, Ink]]:
    """The texts of a row, neighbours of one ink together."""
    found: list[tuple[str, Ink]] = []
    for cell in row:
        if found and found[-1][1] == cell.ink:
            found[-1] = (found[-1][0] + cell.text, cell.ink)
        else:
            found.append((cell.text, cell.ink))
    return found


BEST_SHARE = 4
"""One in this many of the runs shown counts as best."""
LEAST_WIDTH, LEAST_HEIGHT = 24, 6
FAR = 1_000_000


class ParallelPlot(Static, can_focus=True):
    """Axes and lines of a study's runs; the cursor's run is drawn over the others."""

    DEFAULT_CSS = """
    ParallelPlot { text-wrap: nowrap; overflow: hidden; }
    ParallelPlot .parallel--rest { color: $text-muted; }
    ParallelPlot .parallel--best { color: $primary; text-style: bold; }
    ParallelPlot .parallel--chosen { color: $warning; text-style: bold; }
    ParallelPlot .parallel--value { color: $warning; text-style: bold reverse; }
    ParallelPlot .parallel--selected { text-style: bold reverse; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"parallel--{ink}" for ink in ("rest", "best", "chosen", "value", "selected")
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "run(-1)", "better run", show=False),
        Binding("down", "run(1)", "worse run", show=False),
        Binding("pageup", "run(-10)", "10 better", show=False),
        Binding("pagedown", "run(10)", "10 worse", show=False),
        Binding("home", f"run(-{FAR})", "best run", show=False),
        Binding("end", f"run({FAR})", "worst run", show=False),
        Binding("left", "axis(-1)", "axis before", show=False),
        Binding("right", "axis(1)", "next axis", show=False),
    ]

    class Moved(Message):
        """The cursor is on another run or axis, or other runs are shown."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._study: Study | None = None
        self._axes: list[Axis] = []
        self._order: list[int] = []
        """The runs' places in the study, best first."""
        self._place = 0
        """Of the cursor's run among those that are shown."""
        self._selected = 0
        self._kept: dict[str, int] = {}
        """Per axis the part of it in which all runs that are shown lie."""
        self._plot: Plot | None = None
        self._background: list[Row] = []

    def show(self, study: Study) -> None:
        """Have this study's runs, the best one chosen."""

        self._study, self._axes, self._order = study, axes_of(study), best_first(study)
        self._kept.clear()
        self._place = self._selected = 0
        self._lay_out()

    def on_resize(self) -> None:
        self._lay_out()

    @property
    def run(self) -> Run | None:
        """The cursor's run."""
        shown = self._shown()
        return self._study.runs[shown[self._place]] if self._study and shown else None

    @property
    def place(self) -> tuple[int, int]:
        """The rank of the cursor's run among those shown, and how many these are."""
        return self._place + 1, len(self._shown())

    @property
    def axis(self) -> str:
        """Name of the axis under the cursor."""
        return self._visible()[self._selected].name if self._axes else ""

    @property
    def hidden(self) -> list[str]:
        """The settings that have no axis for lack of room."""
        return [axis.name for axis in self._axes[len(self._visible()) - 1 : -1]]

    @property
    def kept(self) -> dict[str, str]:
        """What all runs that are shown have in common, by the names of the axes."""
        return {
            axis.name: axis.part_texts[self._kept[axis.name]]
            for axis in self._axes
            if axis.name in self._kept
        }

    def keep(self) -> None:
        """Show only runs with the cursor's run's value on the axis, or in the same range."""
        shown = self._shown()
        if not shown:
            return
        axis, chosen = self._visible()[self._selected], shown[self._place]
        if self._kept.pop(axis.name, None) is None:
            self._kept[axis.name] = axis.parts[chosen]
        self._place = self._shown().index(chosen)
        self._lay_out()

    def keep_all(self) -> None:
        chosen = self._shown()[self._place] if self._order else 0
        self._kept.clear()
        self._place = self._order.index(chosen) if self._order else 0
        self._lay_out()

    def action_run(self, step: int) -> None:
        self._place = max(0, min(self._place + step, len(self._shown()) - 1))
        self._draw()

    def action_axis(self, step: int) -> None:
        self._selected = max(0, min(self._selected + step, len(self._visible()) - 1))
        self._draw()

    def _shown(self) -> list[int]:
        wanted = [(axis.parts, self._kept[axis.name]) for axis in self._axes if self._is_kept(axis)]
        return [run for run in self._order if all(parts[run] == part for parts, part in wanted)]

    def _is_kept(self, axis: "Axis") -> bool:
        return axis.name in self._kept

    def _visible(self) -> "list[Axis]":
        """The axes that fit, the figure's always among them."""
        if not self._axes:
            return []
        figure = max((len(text) for text in self._axes[-1].texts), default=0)
        settings = self._axes[:-1][: most_axes(self.screen.size.width, figure) - 1]
        return [*settings, self._axes[-1]]

    def _lay_out(self) -> None:
        """Draw the runs that are shown; the cursor's comes on top of them."""
        width, height = self.size
        shown, axes = self._shown(), self._visible()
        self._selected = max(0, min(self._selected, len(axes) - 1))
        self._plot = None
        if shown and width >= LEAST_WIDTH and height >= LEAST_HEIGHT:
            best = frozenset(shown[: max(1, len(shown) // BEST_SHARE)])
            self._plot = Plot(axes, shown, best, width, height)
            self._background = self._plot.background()
        self._draw()

    def _draw(self) -> None:
        if self._plot is None:
            self.update("")
            return
        rows = self._plot.over(self._background, self._plot.shown[self._place], self._selected)
        styles = {name[len("parallel--") :]: self._style(name) for name in self.COMPONENT_CLASSES}
        text = Text(no_wrap=True, end="")
        for number, row in enumerate(rows):
            text.append("\n" if number else "")
            for part, ink in runs_of(row):
                text.append(part, styles.get(ink, ""))
        self.update(text)
        self.post_message(self.Moved())

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(name, partial=True)


@dataclass(frozen=True)
class Axis:
    """One setting, or the figure: a place from 0 to 1, and a text, for each run."""

    name: str
    places: tuple[float, ...]
    texts: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]
    """Texts at places of the axis."""
    parts: tuple[int, ...]
    """Which runs are alike on this axis: the same value, or the same range of values."""
    part_texts: tuple[str, ...]


def best_first(study: Study) -> list[int]:
    """The places of the runs in `study.runs`, the best figure first."""
    numbers = range(len(study.figures))
    return sorted(numbers, key=study.figures.__getitem__, reverse=rising(study.metric))


def axes_of(study: Study) -> list[Axis]:
    """The settings, those that matter most first, and the figure as the last axis."""
    order = best_first(study)
    fields = [effect.setting for effect in study.effects]
    found = [_axis(field, [field.value(run) for run in study.runs], order) for field in fields]
    metric = replace(study.metric, show=partial(figure, study.metric))
    return [*found, _axis(metric, study.figures, order)]


def _axis(field: Field, values: Sequence[Value], order: Sequence[int]) -> Axis:
    names, parts = levels(field, values)
    texts = tuple("-" if value is None else plain(field.show(value)) for value in values)
    if -1 in parts:
        names, parts = ["-", *names], [part + 1 for part in parts]
    exact = len(set(values)) <= MOST_LEVELS + 1 or field.kind != "number"
    if exact:
        places = _fanned(parts, len(names), order)
        ticks = [((part + 0.5) / len(names), plain(name)) for part, name in enumerate(names)]
    else:
        places, ticks = _scaled(field, values)
    return Axis(field.name, tuple(places), texts, tuple(ticks), tuple(parts), tuple(names))


def _fanned(parts: Sequence[int], count: int, order: Sequence[int]) -> list[float]:
    """Runs of one value side by side, the best on top."""
    members: dict[int, list[int]] = defaultdict(list)
    for run in reversed(order):
        members[parts[run]].append(run)
    places = [0.0] * len(parts)
    for part, runs in members.items():
        for rank, run in enumerate(runs):
            aside = FAN * (rank / (len(runs) - 1) - 0.5) if len(runs) > 1 else 0.0
            places[run] = (part + 0.5 + aside) / count
    return places


def _scaled(field: Field, values: Sequence[Value]) -> tuple[list[float], list[tuple[float, str]]]:
    """Numbers on a line, or on a log scale; what has none stands at the foot."""
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    wide = low > 0 and math.log10(high / low) >= DECADES
    scale: Callable[[float], float] = math.log if wide else float
    foot = 0.1 if len(known) < len(values) else MARGIN
    room = (1 - MARGIN - foot) / (scale(high) - scale(low))
    places = [
        0.0 if value is None else foot + (scale(value) - scale(low)) * room for value in values
    ]
    ticks = [(1 - MARGIN, plain(field.show(high))), (foot, plain(field.show(low)))]
    return places, [*ticks, (0.0, "-")] if len(known) < len(values) else ticks
