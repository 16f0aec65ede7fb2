"""Parallel coordinates made of characters: an axis per setting and the figure, a line per run.

All runs are dots, the best quarter is drawn over the others, and the chosen run over all as a solid
line with its values beside the axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from cifar_tui.drawing.canvas import Dots, solid

if TYPE_CHECKING:
    from cifar_tui.effects.axes import Axis

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
