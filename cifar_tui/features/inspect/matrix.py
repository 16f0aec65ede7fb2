"""The confusion matrix with a cursor, and the images that a net gets most wrong."""

from typing import ClassVar

from rich.segment import Segment
from textual.events import Click
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cifar_tui.drawing import Line
from cifar_tui.features.inspect.core import SIDE, Evaluation
from cifar_tui.features.inspect.tables import (
    CELL,
    NAME,
    captions,
    gallery,
    matrix_header,
    matrix_row,
    names_of,
    picture,
    shows_colours,
)
from cifar_tui.spec.settings import CLASSES


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
        if evaluation is not self._evaluation:
            self._evaluation = evaluation
            first = evaluation.confused[0] if evaluation.confused else None
            self.cursor = (first.true, first.predicted) if first else (0, 0)
            self.refresh()
        self.post_message(self.CursorMoved())

    def toggle_shares(self) -> None:
        self._shares = not self._shares
        self.refresh()

    def move(self, down: int, right: int) -> None:
        self._go(self.cursor[0] + down, self.cursor[1] + right)

    def _go(self, row: int, column: int) -> None:
        last = CLASSES - 1
        self.cursor = (max(0, min(row, last)), max(0, min(column, last)))
        self.refresh()
        self.post_message(self.CursorMoved())

    def on_click(self, event: Click) -> None:
        row, column = event.y - 1, (event.x - NAME) // CELL
        if 0 <= row < CLASSES and 0 <= column < CLASSES:
            self._go(row, column)

    def render_line(self, y: int) -> Strip:
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


GAP = 2
LINES = SIDE // 2 + 1
"""Of a picture with its caption."""


class WorstImages(Widget):
    """Pictures in rows and columns with their captions; small ones where none fits whole."""

    class Turned(Message):
        """Other pictures are shown."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._evaluation: Evaluation | None = None
        self._first = 0
        self._lines: list[Line] = []
        self._drawn: tuple[object, ...] = ()

    @property
    def count(self) -> int:
        """How many wrong images were kept with their pixels."""
        found = self._evaluation
        return 0 if found is None else min(len(found.pictures), len(found.worst))

    @property
    def places(self) -> range:
        """Which of the worst images are on the screen, counted from 0."""
        across, down, _ = self._grid()
        return range(self._first, min(self.count, self._first + across * down))

    def show(self, evaluation: Evaluation) -> None:
        if evaluation is not self._evaluation:
            self._evaluation, self._first = evaluation, 0
        self._draw()

    def turn(self, by: int) -> None:
        across, down, _ = self._grid()
        first = self._first + by * across * down
        if 0 <= first < self.count or (by < 0 < self._first):
            self._first = max(0, first)
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _grid(self) -> tuple[int, int, int]:
        """Pictures across and down, and by how much they are shrunk."""
        width, height = self.size
        shrink = 1 if height >= LINES and width >= SIDE else 2
        across = max(1, width // (SIDE // shrink + GAP))
        return across, max(1, height // (SIDE // shrink // 2 + 1)), shrink

    def _draw(self) -> None:
        """Make the lines anew where they would be others; they are sent whole."""
        found = self._evaluation
        if found is None or not self.size.width:
            return
        colours = not self.app.no_color and shows_colours(self.app.console)
        state = (found, self.places, self.size, colours)
        if state != self._drawn:
            self._drawn = state
            self._lines = self._pictures(found, colours)
            self.refresh()
        self.post_message(self.Turned())

    def _pictures(self, found: Evaluation, colours: bool) -> list[Line]:
        across, _, shrink = self._grid()
        each, names = self.size.width // across, names_of(found)
        told = captions(found.worst[: self.count], names, each - 1)
        lines: list[Line] = []
        for start in self.places[::across]:
            some = [place for place in range(start, start + across) if place in self.places]
            drawn = [picture(found.pixels(p), colours=colours, shrink=shrink) for p in some]
            lines += gallery(drawn, [told[place] for place in some], each)
        return lines

    def render_line(self, y: int) -> Strip:
        style = self.rich_style
        if y >= len(self._lines):
            return Strip.blank(self.size.width, style)
        segments = [Segment(text, style + (own or style)) for text, own, _ in self._lines[y]]
        return Strip(segments).adjust_cell_length(self.size.width, style)
