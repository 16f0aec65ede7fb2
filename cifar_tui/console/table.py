"""Tables on standard output: a line per row, whole in a pipe, fitted to the width of a terminal."""

import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.text import Text

from cifar_tui.text import plain

GAP = 2
NOTHING = ("", "-")


def output_width() -> int | None:
    """Cells of a line on standard output; None in a pipe or file, unless COLUMNS is set."""
    columns = os.environ.get("COLUMNS", "")
    if sys.stdout.isatty() or (columns.isdecimal() and int(columns)):
        return shutil.get_terminal_size().columns
    return None


def cut_end(text: str, cells: int) -> str:
    """Text with its end left out where it is longer."""
    return text if cell_len(text) <= cells else f"{prefix(text, cells - 1)}…"


def cut_middle(text: str, cells: int) -> str:
    """Text with its middle left out where it is longer: names of a grid differ at their ends."""
    if cell_len(text) <= cells:
        return text
    end = prefix(text[::-1], cells // 2)[::-1]
    return f"{prefix(text, cells - 1 - cell_len(end))}…{end}"


def prefix(text: str, cells: int) -> str:
    """As much of the beginning of a text as has room."""
    return chop_cells(text, cells)[0] if text and cells > 0 else ""


@dataclass(frozen=True)
class Column:
    """A column of texts, and to how many cells each may be cut at most."""

    name: str
    least: int = 12
    cut: Callable[[str, int], str] = cut_end


class Table:
    """Texts in rows. Where a line has no room for all, texts are cut, then columns left out.

    Columns with nothing in them go first, then those of `drop`, then the last ones; never the
    first, nor what is to `keep`. Figures, which stand `right`, are never cut, only their heads.
    """

    def __init__(
        self,
        *columns: str | Column,
        right: Collection[str] = (),
        drop: Sequence[str] = (),
        keep: Collection[str] = (),
    ) -> None:
        self._columns = [c if isinstance(c, Column) else Column(c) for c in columns]
        self._names = [plain(column.name) for column in self._columns]
        self._right = [column.name in right for column in self._columns]
        self._drop = [[c.name for c in self._columns].index(name) for name in drop]
        self._keep = [column.name in keep for column in self._columns]
        self._rows: list[list[str]] = []

    def add(self, *cells: str) -> None:
        """Add a row, whose texts are shown as they are: no markup, no escapes."""
        self._rows.append([plain(cell) for cell in cells])

    def lines(self, width: int | None) -> Iterator[Text]:
        """Head and rows in lines of up to `width` cells; then which columns had no room."""
        whole = [max(map(cell_len, cells)) for cells in zip(self._names, *self._rows, strict=True)]
        widths = dict(enumerate(whole)) if width is None else self._fitted(whole, width)
        yield Text(self._line(self._names, widths), "bold", no_wrap=True)
        for row in self._rows:
            yield Text(self._line(row, widths), no_wrap=True)
        left = [self._names[i] for i in range(len(whole)) if i not in widths]
        if any(left):
            yield Text(f"No room for {', '.join(filter(None, left))}.", "dim")

    def _line(self, texts: Sequence[str], widths: dict[int, int]) -> str:
        cells = []
        for i, width in widths.items():
            cut = cut_end if texts is self._names else self._columns[i].cut
            text = cut(texts[i], width)
            if self._right[i]:
                text = " " * (width - cell_len(text)) + text
            cells.append(set_cell_size(text, width))
        return (" " * GAP).join(cells).rstrip()

    def _fitted(self, whole: Sequence[int], width: int) -> dict[int, int]:
        """The columns that have room, and their widths."""
        least = [min(n, self._least(i)) for i, n in enumerate(whole)]
        shown = list(range(len(whole)))
        for i in self._dispensable():
            if sum(least[j] + GAP for j in shown) - GAP <= width:
                break
            shown.remove(i)
        widths = {i: whole[i] for i in shown}
        while sum(n + GAP for n in widths.values()) - GAP > width:
            wide = [i for i in shown if widths[i] > least[i]]
            if not wide:
                break
            widths[max(wide, key=lambda i: (not self._right[i], widths[i]))] -= 1
        return widths

    def _least(self, i: int) -> int:
        """The fewest cells of a column: of a figure all, and as many of its head."""
        if self._right[i]:
            return max((cell_len(row[i]) for row in self._rows), default=0)
        return self._columns[i].least

    def _dispensable(self) -> Iterator[int]:
        """The columns that may be left out, in the order in which they are."""
        places = [i for i in range(1, len(self._columns)) if not self._keep[i]]
        empty = [i for i in places if all(row[i] in NOTHING for row in self._rows)]
        yield from dict.fromkeys([*empty, *self._drop, *reversed(places)])
