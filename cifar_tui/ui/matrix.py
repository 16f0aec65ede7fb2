"""The confusion matrix with a cursor: a row for each true class, a column for each predicted."""

from typing import ClassVar

from rich.segment import Segment
from textual.events import Click
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cifar_tui.findings import CELL, NAME, matrix_header, matrix_row
from cifar_tui.runs.evaluation import Evaluation
from cifar_tui.spec import CLASSES


class ConfusionMatrix(Widget):
    """Counts, or percent of each true class; the cursor begins on the most confused pair."""

    DEFAULT_CSS = """
    ConfusionMatrix {
        height: 11;
    }
    ConfusionMatrix .matrix--header {
        background: $panel;
        color: $foreground;
        text-style: bold;
    }
    ConfusionMatrix .matrix--right {
        text-style: bold;
    }
    ConfusionMatrix .matrix--cursor {
        background: $block-cursor-background;
        color: $block-cursor-foreground;
        text-style: $block-cursor-text-style;
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"matrix--header", "matrix--right", "matrix--cursor"}

    class CursorMoved(Message):
        """The cursor is on another cell."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.cursor = (0, 0)
        """(true, predicted) of the cursor's cell."""
        self._evaluation: Evaluation | None = None
        self._shares = False

    def show(self, evaluation: Evaluation) -> None:
        """Draw another evaluation."""
        if evaluation is not self._evaluation:
            self._evaluation = evaluation
            first = evaluation.confused[0] if evaluation.confused else None
            self.cursor = (first.true, first.predicted) if first else (0, 0)
            self.refresh()
        self.post_message(self.CursorMoved())

    def toggle_shares(self) -> None:
        """Show percent instead of counts, or counts again."""
        self._shares = not self._shares
        self.refresh()

    def move(self, down: int, right: int) -> None:
        """Move the cursor by so many cells, not beyond the edge."""
        self._go(self.cursor[0] + down, self.cursor[1] + right)

    def _go(self, row: int, column: int) -> None:
        last = CLASSES - 1
        self.cursor = (max(0, min(row, last)), max(0, min(column, last)))
        self.refresh()
        self.post_message(self.CursorMoved())

    def on_click(self, event: Click) -> None:
        """Take the cursor to a cell."""
        row, column = event.y - 1, (event.x - NAME) // CELL
        if 0 <= row < CLASSES and 0 <= column < CLASSES:
            self._go(row, column)

    def render_line(self, y: int) -> Strip:
        """The header or one true class."""
        width, style = self.size.width, self.rich_style
        if self._evaluation is None or y > CLASSES:
            return Strip.blank(width, style)
        if y == 0:
            header = self.get_component_rich_style("matrix--header")
            text = matrix_header(self._evaluation)
            return Strip([Segment(text, header)]).adjust_cell_length(width, header)
        return Strip(self._row(y - 1)).adjust_cell_length(width, style)

    def _row(self, row: int) -> list[Segment]:
        assert self._evaluation is not None
        name, cells, recall = matrix_row(self._evaluation, row, shares=self._shares)
        style = self.rich_style
        bold = style + self.get_component_rich_style("matrix--right", partial=True)
        chosen = self.get_component_rich_style("matrix--cursor")
        styles = [bold if column == row else style for column in range(CLASSES)]
        if row == self.cursor[0]:
            styles[self.cursor[1]] = chosen
        middle = [Segment(text, one) for text, one in zip(cells, styles, strict=True)]
        return [Segment(name, style), *middle, Segment(recall, style)]
