"""A table of rows with keys that is brought up to date in place: cursor and scroll stay.

Only the lines on the screen are ever made, so that ten thousand rows cost as much as ten.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Blur, Click, Focus, MouseScrollDown, MouseScrollUp
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cifar_tui.runs.events import EpochDone
from cifar_tui.runs.record import Point
from cifar_tui.table import Column, Table
from cifar_tui.text import EPOCH_COLUMNS, EPOCH_WIDTHS, epoch_cells, epoch_row
from cifar_tui.tui.keys import LISTS, bindings

Texts = tuple[str, ...]


WHEEL = 3
"""Rows for each step of the mouse's wheel."""
TONES = ("primary", "success", "warning", "error")
"""The theme's colours that a column may give its texts."""


class RowTable(ScrollView, can_focus=True):
    """Rows of plain text by key under a header; only what changed is drawn."""

    DEFAULT_CSS = """
    RowTable .table--header {
        background: $panel;
        color: $foreground;
        text-style: bold;
    }
    RowTable .table--primary { color: $text-primary; }
    RowTable .table--success { color: $text-success; }
    RowTable .table--warning { color: $text-warning; }
    RowTable .table--error { color: $text-error; }
    RowTable .table--cursor {
        background: $block-cursor-blurred-background;
        color: $block-cursor-blurred-foreground;
        text-style: $block-cursor-blurred-text-style;
    }
    RowTable:focus .table--cursor {
        background: $block-cursor-background;
        color: $block-cursor-foreground;
        text-style: $block-cursor-text-style;
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--cursor",
        *(f"table--{tone}" for tone in TONES),
    }
    BINDINGS: ClassVar[list[BindingType]] = bindings(LISTS)

    class HeaderSelected(Message):
        """A click on the header of a column."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class RowSelected(Message):
        """A click on the row under the cursor."""

    class CursorMoved(Message):
        """The cursor is on another row."""

    def __init__(self, *, id: str | None = None, fixed_columns: int = 0) -> None:
        super().__init__(id=id)
        self.columns: tuple[Column, ...] = ()
        self.keys: list[str] = []
        """The rows' keys in order."""
        self.cursor_row = 0
        self.fixed_columns = fixed_columns
        """How many columns stay when the others scroll to the left."""
        self._table: Table | None = None
        self._texts: Callable[[str], Texts] = lambda key: ()
        self._drawn: dict[int, Texts] = {}
        """What stands on which line of the screen."""

    @property
    def row_count(self) -> int:
        """How many rows there are, on the screen or not."""
        return len(self.keys)

    @property
    def cursor_key(self) -> str | None:
        """Key of the cursor's row; None in an empty table."""
        return self.keys[self.cursor_row] if self.keys else None

    def get_row_at(self, row: int) -> Texts:
        """The cells of a row as they are shown."""
        return tuple(map(_cell, self.columns, self._texts(self.keys[row])))

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Have these columns; the rows must be shown again when that changes anything."""
        if tuple(columns) != self.columns:
            self.columns = tuple(columns)
            width = sum(column.width for column in columns)
            self.virtual_size = Size(width, self.virtual_size.height)
            self._refresh_line(0)

    def show_table(self, table: Table, keys: Sequence[str] | None = None) -> None:
        """Have a table's columns and rows; a row's key is its first text unless keys are given."""
        self._table = table
        self._fit_columns()
        rows = dict(zip(keys or [row[0] for row in table.rows], table.rows, strict=True))
        self.show(list(rows), rows.__getitem__)

    def _fit_columns(self) -> None:
        """Let those of a table grow into the width that there is."""
        if self._table is not None:
            pairs = zip(self._table.columns, self._table.widths(self.size.width), strict=True)
            self.set_columns([replace(column, width=width) for column, width in pairs])

    def on_resize(self) -> None:
        """Fit a table's columns to the new width."""
        self._fit_columns()
        self.show(self.keys, self._texts)

    def show(self, keys: Sequence[str], texts: Callable[[str], Texts]) -> None:
        """Have these rows in this order; `texts` gives one text per column, asked when drawn."""
        here, place, top = self.cursor_key, self.cursor_row, self.scroll_offset.y
        self._texts = texts
        if keys != self.keys:
            self.keys = list(keys)
            now = self.keys.index(here) if here in self.keys else place
            self.cursor_row = max(0, min(now, len(keys) - 1))
            size = Size(sum(column.width for column in self.columns), len(keys) + 1)
            if size != self.virtual_size:
                self.virtual_size = size
                self.refresh(layout=True)
            if top:
                self.scroll_to(y=top + self.cursor_row - place, animate=False, immediate=True)
        for y, drawn in list(self._drawn.items()):
            if self._line(y) != drawn:
                self._refresh_line(y)

    def _row(self, y: int) -> int | None:
        """The row on a line of the screen, if any."""
        row = y - 1 + self.scroll_offset.y
        return row if y > 0 and row < len(self.keys) else None

    def _line(self, y: int) -> Texts:
        row = self._row(y)
        if row is None:
            return ()
        return (*self.get_row_at(row), "cursor" if row == self.cursor_row else "")

    def _refresh_line(self, y: int) -> None:
        self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """The header stays; the other lines scroll."""
        line = self._drawn[y] = self._line(y)
        style, toned = self.rich_style, bool(line and not line[-1])
        cells: Sequence[str] = line[:-1]
        if y == 0:
            style = self.get_component_rich_style("table--header")
            cells = [_cell(column, column.name) for column in self.columns]
        elif line and line[-1]:
            style = self.get_component_rich_style("table--cursor")
        segments = list(self._segments(cells, style, toned))
        stay, move = Strip(segments[: self.fixed_columns]), Strip(segments[self.fixed_columns :])
        left = self.scroll_offset.x
        strip = Strip.join([stay, move.crop(left, move.cell_length)]).simplify()
        return strip.adjust_cell_length(self.size.width, style)

    def _segments(self, cells: Sequence[str], style: Style, toned: bool) -> Iterator[Segment]:
        """The cells in their colours; `toned` is whether columns may have their own."""
        for column, cell in zip(self.columns, cells, strict=False):
            tone = column.tone(cell.strip()) if toned and column.tone else ""
            own = self.get_component_rich_style(f"table--{tone}", partial=True) if tone else None
            yield Segment(cell, style + own)

    def on_focus(self, event: Focus) -> None:
        self.refresh()

    def on_blur(self, event: Blur) -> None:
        self.refresh()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Scroll, and take the cursor along where it would leave the sight."""
        self._wheel(event, WHEEL)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        self._wheel(event, -WHEEL)

    def _wheel(self, event: MouseScrollDown | MouseScrollUp, rows: int) -> None:
        if event.ctrl or event.shift:
            return
        event.prevent_default().stop()
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False, immediate=True)
        top, lines = self.scroll_offset.y, self.scrollable_content_region.height - 1
        self.move_cursor(max(top, min(self.cursor_row, top + lines - 1)))

    def move_cursor(self, row: int) -> None:
        """Put the cursor on a row, within sight."""
        before, self.cursor_row = self.cursor_row, max(0, min(row, len(self.keys) - 1))
        top, lines = self.scroll_offset.y, self.scrollable_content_region.height - 1
        if self.cursor_row < top:
            self.scroll_to(y=self.cursor_row, animate=False, immediate=True)
        elif self.cursor_row >= top + lines:
            self.scroll_to(y=self.cursor_row - lines + 1, animate=False, immediate=True)
        if before != self.cursor_row:
            self.post_message(self.CursorMoved())
        for changed in (before, self.cursor_row):
            self._refresh_line(changed - self.scroll_offset.y + 1)

    def action_move(self, rows: int) -> None:
        self.move_cursor(self.cursor_row + rows)

    def action_page(self, pages: int) -> None:
        lines = max(1, self.scrollable_content_region.height - 2)
        self.move_cursor(self.cursor_row + pages * lines)

    def action_first(self) -> None:
        self.move_cursor(0)

    def action_last(self) -> None:
        self.move_cursor(len(self.keys) - 1)

    def on_click(self, event: Click) -> None:
        """Take the cursor to a row, open the one it is on, or tell which header was meant."""
        row = self._row(event.y)
        if event.y == 0:
            self._click_header(event.x)
        elif row == self.cursor_row:
            self.post_message(self.RowSelected())
        elif row is not None:
            self.move_cursor(row)

    def _click_header(self, x: int) -> None:
        end = 0
        for number, column in enumerate(self.columns):
            end += column.width
            if x + (self.scroll_offset.x if number >= self.fixed_columns else 0) < end:
                self.post_message(self.HeaderSelected(column.name))
                return


def _cell(column: Column, text: str) -> str:
    """A text in a column of a fixed width, with the gap to the next."""
    return f"{column.cell(text, column.width - 1)} "


class EpochTable(ScrollView):
    """All epochs of a run; only the visible lines are ever rendered."""

    DEFAULT_CSS = "EpochTable { height: 1fr; scrollbar-size-vertical: 1; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._epochs: Sequence[EpochDone] = ()
        self._best: int | None = None

    def show(self, epochs: Sequence[EpochDone], best: Point | None) -> None:
        """Show these epochs; does nothing when they are on the screen already."""
        best_epoch = best.epoch if best else None
        if len(epochs) == len(self._epochs) and best_epoch == self._best and epochs == self._epochs:
            return
        self._epochs, self._best = list(epochs), best_epoch
        self.virtual_size = Size(sum(EPOCH_WIDTHS) + 6, len(epochs) + 1)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The header stays; the other lines scroll."""
        width = self.size.width
        if y == 0:
            cells = epoch_row(EPOCH_COLUMNS)
            return Strip([Segment(cells, self.rich_style + Style(bold=True))]).adjust_cell_length(
                width, self.rich_style
            )
        number = len(self._epochs) - y - self.scroll_offset.y
        if not 0 <= number < len(self._epochs):
            return Strip.blank(width, self.rich_style)
        epoch = self._epochs[number]
        line = epoch_row(epoch_cells(epoch))
        if epoch.epoch == self._best:
            line += "  best"
        return Strip([Segment(line, self.rich_style)]).adjust_cell_length(width, self.rich_style)
