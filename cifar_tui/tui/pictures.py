"""Images drawn in half blocks, in rows and columns with a caption under each."""

from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cifar_tui.drawing import SIDE, Line, gallery, picture, shows_colours

GAP = 2
LINES = SIDE // 2 + 1
"""Of a picture with its caption."""


class Pictures(Widget):
    """A page of pictures; small ones where none fits whole. Subclasses say of what."""

    class Turned(Message):
        """Other pictures are shown."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.first = 0
        """The place of the first one on the page."""
        self._shown: object = None
        self._lines: list[Line] = []
        self._drawn: tuple[object, ...] = ()

    @property
    def count(self) -> int:
        """How many images can be shown."""
        raise NotImplementedError

    def pixels(self, place: int) -> bytes:
        """The image at this place, uint8 (32,32,3)."""
        raise NotImplementedError

    def captions(self, room: int) -> list[str]:
        """What stands under each image, in up to `room` cells."""
        raise NotImplementedError

    @property
    def places(self) -> range:
        """Which images are on the page, counted from 0."""
        across, down, _ = self._grid()
        return range(self.first, min(self.count, self.first + across * down))

    def turn(self, by: int) -> None:
        """Turn pages, as long as there are any."""
        across, down, _ = self._grid()
        first = self.first + by * across * down
        if 0 <= first < self.count or (by < 0 < self.first):
            self.first = max(0, first)
            self.draw(self._shown)

    def on_resize(self) -> None:
        self.draw(self._shown)

    def _grid(self) -> tuple[int, int, int]:
        """Pictures across and down, and by how much they are shrunk."""
        width, height = self.size
        shrink = 1 if height >= LINES and width >= SIDE else 2
        across = max(1, width // (SIDE // shrink + GAP))
        return across, max(1, height // (SIDE // shrink // 2 + 1)), shrink

    def draw(self, shown: object) -> None:
        """Make the lines anew where `shown`, the page or its size changed; they are sent whole."""
        self._shown = shown
        if shown is None or not self.size.width:
            return
        colours = not self.app.no_color and shows_colours(self.app.console)
        state = (shown, self.places, self.size, colours)
        if state != self._drawn:
            self._drawn = state
            self._lines = self._made(colours)
            self.refresh()
        self.post_message(self.Turned())

    def _made(self, colours: bool) -> list[Line]:
        across, _, shrink = self._grid()
        each = self.size.width // across
        told = self.captions(each - 1)
        lines: list[Line] = []
        for start in self.places[::across]:
            some = [i for i in range(start, start + across) if i in self.places]
            drawn = [picture(self.pixels(i), colours=colours, shrink=shrink) for i in some]
            lines += gallery(drawn, [told[i] for i in some], each)
        return lines

    def render_line(self, y: int) -> Strip:
        style = self.rich_style
        if y >= len(self._lines):
            return Strip.blank(self.size.width, style)
        segments = [Segment(text, style + (own or style)) for text, own, _ in self._lines[y]]
        return Strip(segments).adjust_cell_length(self.size.width, style)
