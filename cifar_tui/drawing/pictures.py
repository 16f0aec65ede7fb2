"""Images drawn in a terminal's cells, the same in commands and screens: rich's segments.

Half blocks show every one of 32x32 pixels in 32x16 cells, in any terminal with colours and through
tmux; an image protocol would show no more of them.
"""

from collections.abc import Sequence
from itertools import groupby

from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from cifar_tui.drawing.charts import SHADES

SIDE = 32
HALF = "▀"
Line = list[Segment]
Pixel = tuple[int, int, int]


def shows_colours(console: Console) -> bool:
    """Whether this terminal has enough colours for a picture, and they are wanted."""
    return not console.no_color and console.color_system in ("256", "truecolor", "windows")


def picture(pixels: bytes, *, colours: bool, shrink: int = 1) -> list[Line]:
    """Lines of 32 cells of an image uint8 (32,32,3), a cell for two pixels one above the other.

    Without colours a cell is a shade of the ten in `drawing`, a light one for much light.
    `shrink` 2 draws it half as wide and high.
    """
    rows = _shrunk(pixels, shrink)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return [_coloured(*pair) if colours else [Segment(_shaded(*pair))] for pair in pairs]


def _shrunk(pixels: bytes, by: int) -> list[list[Pixel]]:
    """Rows of pixels, each the mean of by x by."""
    width = 3 * SIDE
    steps = [row * width + 3 * column for row in range(by) for column in range(by)]
    side = range(0, SIDE, by)

    def mean(start: int) -> Pixel:
        r, g, b = (sum(pixels[start + step + c] for step in steps) // by**2 for c in range(3))
        return r, g, b

    return [[mean(row * width + 3 * column) for column in side] for row in side]


def _coloured(above: Sequence[Pixel], below: Sequence[Pixel]) -> Line:
    """Upper half blocks; equal cells in a row are one segment."""
    cells = groupby(zip(above, below, strict=True))
    return [
        Segment(HALF * len(list(same)), Style(color=_colour(top), bgcolor=_colour(bottom)))
        for (top, bottom), same in cells
    ]


def _colour(pixel: Pixel) -> Color:
    return Color.from_rgb(*pixel)


def _shaded(above: Sequence[Pixel], below: Sequence[Pixel]) -> str:
    levels = [_light(a) + _light(b) for a, b in zip(above, below, strict=True)]
    return "".join(SHADES[min(len(SHADES) - 1, int(light * len(SHADES) / 2))] for light in levels)


def _light(pixel: Pixel) -> float:
    """Luma from 0 to 1 (ITU-R BT.601)."""
    red, green, blue = pixel
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def gallery(pictures: Sequence[Sequence[Line]], captions: Sequence[str], each: int) -> list[Line]:
    """Pictures side by side, `each` cells apiece, with their captions under them."""
    lines: list[Line] = []
    for row in zip(*pictures, strict=True):
        cells: Line = []
        for line in row:
            used = sum(segment.cell_length for segment in line)
            cells += [*line, Segment(" " * max(0, each - used))]
        lines.append(cells)
    return [*lines, [Segment("".join(f"{text[: each - 1]:<{each}}" for text in captions))]]
