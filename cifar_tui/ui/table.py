"""A table of rows with keys that is brought up to date in place: cursor and scroll stay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from cifar_tui.formats import plain

FEW = 20
"""So many rows are taken out one by one; beyond that, filling the table anew is faster."""


@dataclass(frozen=True)
class TableColumn:
    """A column of a fixed width in cells, the gap to the next included."""

    name: str
    width: int
    right: bool = False

    def cell(self, text: str, key: str = "") -> "_Cell":
        """Text cut and aligned to the width, shown literally."""
        room = self.width - 1
        shown = text if text.isprintable() else plain(text)
        if cell_len(shown) > room:
            shown = set_cell_size(shown, room - 1) + "…"
        cell = _Cell(shown.rjust(room) if self.right else shown, no_wrap=True)
        cell.key = key
        return cell


class _Cell(Text):
    """A cell that knows its row's key, so that rows can be put in any order."""

    key: str = ""


class RowTable(DataTable[Text], inherit_bindings=False):
    """Rows of plain text by key; only what changed is drawn, and Enter is the screen's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        b for b in DataTable.BINDINGS if isinstance(b, Binding) and b.key != "enter"
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", cell_padding=0)
        self._columns_shown: tuple[TableColumn, ...] = ()
        self._rows_shown: dict[str, tuple[str, ...]] = {}
        self._order: list[str] = []
        self._here: str | None = None

    @property
    def cursor_key(self) -> str | None:
        """Key of the cursor's row; None in an empty table."""
        return self._order[self.cursor_row] if self._order else None

    def action_scroll_home(self) -> None:
        """Home goes to the first row, as there is no cursor in a row."""
        self.action_scroll_top()

    def action_scroll_end(self) -> None:
        """End goes to the last row."""
        self.action_scroll_bottom()

    def set_columns(self, columns: Sequence[TableColumn]) -> None:
        """Have these columns; when that changes anything, the rows must be shown again."""
        if tuple(columns) == self._columns_shown:
            return
        self._here = self.cursor_key or self._here
        self._columns_shown = tuple(columns)
        self._forget_rows(columns=True)
        for column in columns:
            self.add_column(column.cell(column.name), width=column.width, key=column.name)

    def show(self, rows: Mapping[str, tuple[str, ...]]) -> None:
        """Have these rows in this order: key -> one text per column."""
        here, place, top = self.cursor_key or self._here, self.cursor_row, self.scroll_y
        gone = [key for key in self._rows_shown if key not in rows]
        if len(gone) > FEW:
            self._forget_rows()
        else:
            for key in gone:
                self.remove_row(key)
                del self._rows_shown[key]
        for key, texts in rows.items():
            self._show_row(key, texts)
        order = list(rows)
        if order != self._order:
            self._put_in_order(order)
            self._return_to(here, place, top)

    def _forget_rows(self, *, columns: bool = False) -> None:
        self.clear(columns=columns)
        self._rows_shown, self._order = {}, []

    def _show_row(self, key: str, texts: tuple[str, ...]) -> None:
        before = self._rows_shown.get(key)
        if before == texts:
            return
        self._rows_shown[key] = texts
        columns = self._columns_shown
        if before is None:
            self.add_row(*(c.cell(t, key) for c, t in zip(columns, texts, strict=True)), key=key)
            return
        for column, text, old in zip(columns, texts, before, strict=True):
            if text != old:
                self.update_cell(key, column.name, column.cell(text, key))

    def _put_in_order(self, order: list[str]) -> None:
        self._order = order
        rank = {key: place for place, key in enumerate(order)}
        self.sort(self._columns_shown[0].name, key=lambda cell: rank[cell.key])

    def _return_to(self, here: str | None, place: int, top: float) -> None:
        """Put the cursor back on its row, on the same line of the screen unless at the top."""
        if here in self._rows_shown:
            now = self._order.index(here)
        else:
            now = max(0, min(place, len(self._order) - 1))
        self.move_cursor(row=now, scroll=False)
        if top:
            self.scroll_to(y=max(0, top + now - place), animate=False)
