"""Lines of text that are drawn again only as far as they changed."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len
from rich.text import Text
from textual.containers import Vertical
from textual.content import Content, Span
from textual.geometry import Region
from textual.widgets import Static

from cifar_tui.features.devices.tables import LEVELS

STYLES = {"primary": "$text-primary", **{tone: f"$text-{tone} on $panel" for tone in LEVELS}}
"""What the colours of the lines are in a theme; bars have the panel's colour behind them."""
Lined = Sequence[str | Text]


def themed(line: str | Text) -> Content:
    """A line in the theme's colours."""
    text = Text(line) if isinstance(line, str) else line
    return Content(text.plain, [Span(a, b, STYLES[str(style)]) for a, b, style in text.spans])


class ChangingLine(Static):
    """A line that is sent again only up to its last cell that changed.

    Textual sends a line from its beginning up to the end of what is to be drawn.
    """

    _regions: Sequence[Region] = ()

    def show(self, line: Content) -> None:
        """Have this text, in the same place and height."""
        before, after = _cells(self.content), _cells(line)
        changed = [i for i, pair in enumerate(zip_longest(before, after)) if pair[0] != pair[1]]
        if changed:
            if len(before) == len(after):
                end = cell_len(line.plain[: changed[-1] + 1])
                self._regions = [Region(0, 0, max(end, 1), 1)]
            self.update(line, layout=False)
            self._regions = ()

    def refresh(self, *regions: Region, **options: Any) -> "ChangingLine":
        """Draw these parts, or the one that changes."""
        super().refresh(*(regions or self._regions), **options)
        return self


def _cells(line: object) -> list[tuple[str, str]]:
    """Each character with its colour."""
    text, tones = str(line), [""] * len(str(line))
    for start, end, style in line.spans if isinstance(line, Content) else ():
        tones[start:end] = [str(style)] * (end - start)
    return list(zip(text, tones, strict=True))


class Lines(Vertical):
    """Lines of text, each a widget of its own."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._rows: list[ChangingLine] = []
        self.display = False

    def show(self, lines: Lined) -> None:
        """Have these lines; takes no room when there are none, does nothing when it is closed."""
        if not self.is_attached:
            return
        for row, line in zip(self._rows, lines, strict=False):
            row.show(themed(line))
        for row in self._rows[len(lines) :]:
            row.remove()
        more = [ChangingLine(themed(line), classes="line") for line in lines[len(self._rows) :]]
        if more:
            self.mount(*more)
        self._rows = [*self._rows[: len(lines)], *more]
        self.display = bool(lines)
