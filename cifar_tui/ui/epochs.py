"""The table of epochs, newest first, drawn a line at a time."""

from collections.abc import Sequence
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cifar_tui.formats import EPOCH_COLUMNS, epoch_cells
from cifar_tui.runs.record import Point

WIDTHS = (6, 10, 11, 10, 9, 8, 7, 6)
"""Cells of each column of EPOCH_COLUMNS; the mark of the best epoch stands behind."""


class EpochTable(ScrollView):
    """All epochs of a run; only the visible lines are ever rendered."""

    DEFAULT_CSS = "EpochTable { height: 1fr; scrollbar-size-vertical: 1; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._epochs: Sequence[dict[str, Any]] = ()
        self._best: int | None = None

    def show(self, epochs: Sequence[dict[str, Any]], best: Point | None) -> None:
        """Show these epochs; does nothing when they are on the screen already."""
        best_epoch = best.epoch if best else None
        if len(epochs) == len(self._epochs) and best_epoch == self._best and epochs == self._epochs:
            return
        self._epochs, self._best = list(epochs), best_epoch
        self.virtual_size = Size(sum(WIDTHS) + 6, len(epochs) + 1)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The header stays; the other lines scroll."""
        width = self.size.width
        if y == 0:
            cells = _row(EPOCH_COLUMNS)
            return Strip([Segment(cells, self.rich_style + Style(bold=True))]).adjust_cell_length(
                width, self.rich_style
            )
        number = len(self._epochs) - y - self.scroll_offset.y
        if not 0 <= number < len(self._epochs):
            return Strip.blank(width, self.rich_style)
        event = self._epochs[number]
        line = _row(epoch_cells(event))
        if event.get("epoch") == self._best:
            line += "  best"
        return Strip([Segment(line, self.rich_style)]).adjust_cell_length(width, self.rich_style)


def _row(cells: Sequence[str]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
