"""The confusion matrix with a cursor, and the images that a net gets most wrong."""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cifar_tui.drawing import shows_colours
from cifar_tui.features.inspect.core import Evaluation
from cifar_tui.features.inspect.tables import (
    NAME,
    captions,
    cell_width,
    matrix_header,
    matrix_row,
    names_of,
)
from cifar_tui.spec.settings import CLASSES
from cifar_tui.tui.pictures import Pictures
from cifar_tui.tui.plot import COLOURS

LEVELS = " ░▒▓█"
"""What stands before a count for its share of the row, where there are no colours to blend."""
TALLEST = 3
AROUND = 15
"""Lines of the screen around the rows."""
SWATCH = 2
"""Cells of each of the legend's colours."""


class ConfusionMatrix(Widget):
    """Counts, or percent of each true class, as a heat map over a legend.

    What is right and what is wrong have a colour each, which grows with the share of the true
    class. The cursor begins on the most confused pair.
    """

    DEFAULT_CSS = """
    ConfusionMatrix {
        height: auto;
    }
    ConfusionMatrix .matrix--header {
        background: $panel;
        color: $foreground;
        text-style: bold;
    }
    ConfusionMatrix .matrix--muted {
        color: $text-muted;
    }
    ConfusionMatrix .matrix--cursor {
        background: $block-cursor-background;
        color: $block-cursor-foreground;
        text-style: $block-cursor-text-style;
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"matrix--header", "matrix--muted", "matrix--cursor"}

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

    @property
    def _cell(self) -> int:
        assert self._evaluation is not None
        return cell_width(self._evaluation, self.size.width)

    def on_click(self, event: Click) -> None:
        if self._evaluation is not None:
            row, column = (event.y - 1) // self._tall, (event.x - NAME) // self._cell
            if 0 <= row < CLASSES and 0 <= column < CLASSES:
                self._go(row, column)

    @property
    def _tall(self) -> int:
        """Lines of each row: cells are up to as high as wide."""
        return max(1, min(TALLEST, (self.screen.size.height - AROUND) // CLASSES))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A header, the rows, and a legend."""
        return CLASSES * self._tall + 2

    def render_line(self, y: int) -> Strip:
        width, style, last = self.size.width, self.rich_style, CLASSES * self._tall + 1
        if self._evaluation is None or y > last:
            return Strip.blank(width, style)
        if y == 0:
            header = self.get_component_rich_style("matrix--header")
            text = matrix_header(self._evaluation, self._cell)
            return Strip([Segment(text, header)]).adjust_cell_length(width, header)
        line = self._legend() if y == last else self._row(*divmod(y - 1, self._tall))
        return Strip(line).adjust_cell_length(width, style)

    def _row(self, row: int, line: int) -> list[Segment]:
        """A line of a row; the middle one has its texts."""
        found, style = self._evaluation, self.rich_style
        assert found is not None
        name, cells, recall = matrix_row(found, row, shares=self._shares, cell=self._cell)
        if line != (self._tall - 1) // 2:
            name, recall = " " * len(name), " " * len(recall)
            cells = [" " * len(cell) for cell in cells]
        images = max(1, sum(found.confusion[row]))
        middle = [
            self._shaded(
                text, count / images / (1 if column == row else self._worst), column == row
            )
            for column, (text, count) in enumerate(zip(cells, found.confusion[row], strict=True))
        ]
        if row == self.cursor[0]:
            chosen = self.get_component_rich_style("matrix--cursor")
            middle[self.cursor[1]] = Segment(cells[self.cursor[1]], chosen)
        return [Segment(name, style), *middle, Segment(recall, style)]

    @property
    def _worst(self) -> float:
        """The largest share of a true class that is taken for another one."""
        found = self._evaluation
        assert found is not None
        shares = (pair.images / found.per_class[pair.true].images for pair in found.confused)
        return max(shares, default=1.0)

    def _shaded(self, text: str, share: float, right: bool) -> Segment:
        """A text over the colour of a share from 0 to 1, or behind a shade where there is none."""
        style, ground = self.rich_style, self.background_colors[1]
        if ground.ansi is not None or not shows_colours(self.app.console):
            level = LEVELS[round(share * (len(LEVELS) - 1))]
            return Segment(text.replace(" ", level, 1), style + Style(bold=right))
        if not share:
            return Segment(text, self.get_component_rich_style("matrix--muted"))
        blue, orange, *_ = COLOURS[self.app.current_theme.dark]
        shade = ground.blend(Color.parse(blue if right else orange), 0.1 + 0.9 * share)
        ink = shade.get_contrast_text(1)
        return Segment(text, Style.from_color(ink.rich_color, shade.rich_color) + Style(bold=right))

    def _legend(self) -> list[Segment]:
        """The colours of what is right and wrong, from little to the largest share."""
        segments: list[Segment] = []
        for words, most, right in (("right", 1.0, True), ("   wrong", self._worst, False)):
            steps = [(i + 1) / (len(LEVELS) - 1) for i in range(len(LEVELS) - 1)]
            segments.append(Segment(f"{words} 0% ", self.rich_style))
            segments += [self._shaded(" " * SWATCH, step, right) for step in steps]
            segments.append(Segment(f" {100 * most:.0f}%", self.rich_style))
        return [*segments, Segment(" of the true class", self.rich_style)]


Cell = tuple[int, int]
"""A true class and the predicted one."""


class WorstImages(Pictures):
    """The wrong images that were kept with their pixels, or those of one cell."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._evaluation: Evaluation | None = None
        self._cell: Cell | None = None
        self._chosen: list[int] = []
        """The places among the worst images of those to be shown."""

    def show(self, evaluation: Evaluation, cell: Cell | None = None) -> None:
        """Show all of them, or those of one cell."""
        if evaluation is not self._evaluation or cell != self._cell:
            self._evaluation, self._cell = evaluation, cell
            kept = evaluation.worst[: len(evaluation.pictures)]
            cells = [(one.true, one.predicted) for one in kept]
            self._chosen = [place for place, one in enumerate(cells) if cell in (None, one)]
            self.first = 0
        self.draw((evaluation, cell))

    @property
    def count(self) -> int:
        return len(self._chosen)

    def pixels(self, place: int) -> bytes:
        assert self._evaluation is not None
        return self._evaluation.pixels(self._chosen[place])

    def captions(self, room: int) -> list[str]:
        assert self._evaluation is not None
        worst = [self._evaluation.worst[place] for place in self._chosen]
        return captions(worst, names_of(self._evaluation), room)
