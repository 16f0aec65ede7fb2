"""Tables of texts, each declared once: commands print it, screens show it, Markdown holds it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.text import Text

from cifar_tui.text import plain

GAP = 2
NOTHING = ("", "-")


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
    """The name of a column, its width, and how its texts are aligned and cut."""

    name: str
    width: int = 0
    """Cells on a screen, the gap to the next included; 0 for as many as its texts need."""
    right: bool = False
    """Whether its texts are figures, which stand on the right and are printed whole."""
    grows: bool = False
    """Whether a screen with room gives it the cells that its texts need beyond its width."""
    cut: Callable[[str, int], str] = cut_end
    least: int = 12
    """Cells to which its texts may be cut where a table is printed."""
    tone: Callable[[str], str] | None = None
    """Names the theme's colour of a text, or nothing for the usual one."""

    def cell(self, text: str, cells: int) -> str:
        """A text cut and aligned to exactly `cells` cells."""
        shown = self.cut(plain(text), cells)
        if self.right:
            shown = " " * (cells - cell_len(shown)) + shown
        return set_cell_size(shown, cells)


def figures(*names: str, width: int = 0) -> list[Column]:
    """Columns of figures."""
    return [Column(name, width, right=True) for name in names]


class Table:
    """Rows with a text for each column; texts are shown literally, escapes and markup too.

    Printed on a narrow terminal, texts are cut, then columns left out: first those with nothing in
    them, then those of `drop`, then the last ones; never the first, nor those to `keep`.
    """

    def __init__(
        self,
        columns: Iterable[Column | str],
        rows: Iterable[Sequence[str]],
        *,
        drop: Sequence[str] = (),
        keep: Collection[str] = (),
    ) -> None:
        made = (Column(column) if isinstance(column, str) else column for column in columns)
        self.columns = [replace(column, name=plain(column.name)) for column in made]
        self.names = [column.name for column in self.columns]
        self.rows = [tuple(map(plain, row)) for row in rows]
        self._drop, self._keep = drop, keep

    def only(self, *names: str) -> "Table":
        """The same with these columns only."""
        places = [self.names.index(name) for name in names]
        rows = [[row[place] for place in places] for row in self.rows]
        return Table([self.columns[place] for place in places], rows)

    def widths(self, room: int) -> list[int]:
        """Cells of each column on a screen of `room` cells, the gap to the next included."""
        needed = [cells + 1 for cells in self._needed()]
        found = [c.width or cells for c, cells in zip(self.columns, needed, strict=True)]
        for place, column in enumerate(self.columns):
            if column.grows:
                more = min(needed[place] - found[place], room - sum(found))
                found[place] += max(0, more)
        return found

    def screen_lines(self, room: int) -> list[str]:
        """Head and rows in lines for a screen of `room` cells."""
        widths = self.widths(room)
        return [
            "".join(
                f"{column.cell(text, width - 1)} "
                for column, text, width in zip(self.columns, row, widths, strict=True)
            ).rstrip()
            for row in (self.names, *self.rows)
        ]

    def printed_lines(self, width: int | None) -> Iterator[Text]:
        """Head and rows in lines of up to `width` cells, then which columns had no room.

        Without a width, as in a pipe, every text is whole.
        """
        whole = self._needed()
        widths = dict(enumerate(whole)) if width is None else self._fitted(whole, width)
        for row in (self.names, *self.rows):
            parts = {i: self.columns[i].cell(row[i], n) for i, n in widths.items()}
            style = "bold" if row is self.names else ""
            line = Text((" " * GAP).join(parts.values()).rstrip(), style, no_wrap=True)
            if row is not self.names:
                self._colour(line, row, parts)
            yield line
        left = [name for i, name in enumerate(self.names) if i not in widths]
        if any(left):
            yield Text(f"No room for {', '.join(filter(None, left))}.", "dim")

    def _colour(self, line: Text, row: Sequence[str], parts: Mapping[int, str]) -> None:
        """Mark the cells of a printed row that have a theme's colour by its name."""
        start = 0
        for i, part in parts.items():
            tone = self.columns[i].tone
            if tone is not None:
                line.stylize(tone(row[i]), start, start + len(part))
            start += len(part) + GAP

    def _needed(self) -> list[int]:
        """Cells of the longest text of each column, or of its name."""
        return [max(map(cell_len, texts)) for texts in zip(self.names, *self.rows, strict=True)]

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
            widths[max(wide, key=lambda i: (not self.columns[i].right, widths[i]))] -= 1
        return widths

    def _least(self, i: int) -> int:
        """The fewest cells of a column, of which a figure and a head need all."""
        texts = (cell_len(row[i]) for row in self.rows)
        least = max(texts, default=0) if self.columns[i].right else self.columns[i].least
        return max(least, cell_len(self.names[i]))

    def _dispensable(self) -> Iterator[int]:
        """The columns that may be left out, in the order in which they are."""
        places = [i for i in range(1, len(self.names)) if self.names[i] not in self._keep]
        empty = [i for i in places if all(row[i] in NOTHING for row in self.rows)]
        dropped = map(self.names.index, self._drop)
        yield from dict.fromkeys([*empty, *dropped, *reversed(places)])
