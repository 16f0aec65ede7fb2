"""Pictures made of characters: braille lines, bars, shades, and images in half blocks."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    from cifar_tui.features.surface.core import Surface


Corner = tuple[int, int]
"""Column and line, counted from the upper left."""
BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Of a braille character's dots: four lines of two."""
BRAILLE = 0x2800


class Dots:
    """A canvas of `width` x `height` cells, each 2 dots wide and 4 high; lines may be many."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = 2 * width, 4 * height
        self._lines: Counter[tuple[Corner, Corner]] = Counter()

    def path(self, corners: Sequence[Corner]) -> None:
        """Draw a line through these dots; what lies outside is left out."""
        self._lines.update(pairwise(corners))

    def cells(self, share: float = 1.0) -> Iterator[tuple[int, int, str]]:
        """Column, line and character of each cell with a dot.

        Where lines would cover more than `share` of the canvas, only the dots with most of them
        are left: the bundles.
        """
        inside: dict[Corner, int] = defaultdict(int)
        for (one, other), count in self._lines.items():
            for x, y in _between(one, other):
                if 0 <= x < self._width and 0 <= y < self._height:
                    inside[x, y] += count
        most = int(share * self._width * self._height)
        least = sorted(inside.values(), reverse=True)[most] + 1 if len(inside) > most else 1
        bits: dict[Corner, int] = defaultdict(int)
        for (x, y), count in inside.items():
            if count >= least:
                bits[x // 2, y // 4] |= BITS[y % 4][x % 2]
        for (x, y), here in bits.items():
            yield x, y, chr(BRAILLE + here)


def solid(corners: Sequence[Corner]) -> Iterator[tuple[int, int, str]]:
    """The cells of a line through these cells, with characters that join."""
    for (x, y), (x_end, y_end) in pairwise(corners):
        before = y
        for column in range(x + 1, x_end):
            here = y + round((y_end - y) * (column - x) / (x_end - x))
            step = (here > before) - (here < before)
            for row in range(before + step, here, step or 1):
                yield column, row, "┃"
            yield column, here, "━╲╱"[step]
            before = here


def _between(one: Corner, other: Corner) -> Iterator[Corner]:
    """The dots from one to the other, without gaps."""
    (x, y), (x_end, y_end) = one, other
    steps = max(abs(x_end - x), abs(y_end - y), 1)
    for i in range(steps + 1):
        yield x + round((x_end - x) * i / steps), y + round((y_end - y) * i / steps)


BARS = " ▁▂▃▄▅▆▇█"
AXIS = 6
"""Cells left of a histogram's bars: counts, and the axis."""
FEWEST_BINS = 9


def bins_for(width: int) -> int:
    """How many bins a histogram of this width has: an odd number, so that 0 is in a middle one."""
    return max(FEWEST_BINS, (width - AXIS - 1) // 2 * 2 - 1)


def histogram(counts: Sequence[int], limit: float, height: int, most: int) -> list[str]:
    """Bars of `height` lines on a log count axis up to `most`, over a line from -limit to limit.

    A bin with a single value stands visibly above an empty one.
    """
    decades = max(1, math.ceil(math.log10(max(most, 2))))
    steps = len(BARS) - 1
    tall = [_eighths(count, decades, height * steps) for count in counts]
    labels = {
        round((i + 1) * height / (decades + 1)) - 1: _count(10**i) for i in range(decades + 1)
    }
    lines = []
    for row in range(height - 1, -1, -1):
        bars = "".join(BARS[min(steps, max(0, value - row * steps))] for value in tall)
        lines.append(f"{labels.get(row, ''):>{AXIS - 1}}│{bars}")
    return [*lines, _range_line(limit, len(counts))]


def _eighths(count: int, decades: int, most: int) -> int:
    """Height of a bar in eighths of a line; each decade takes as many, and so does the first 1."""
    if count <= 0:
        return 0
    share = (math.log10(count) + 1) / (decades + 1)
    return max(1, min(most, round(share * most)))


def _count(number: int) -> str:
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number // size}{unit}"
    return str(number)


def _range_line(limit: float, width: int) -> str:
    """-limit, 0 and limit under a histogram's `width` bins."""
    left, right = f"{-limit:.3g}", f"{limit:.3g}"
    middle = width // 2 - len(left)
    return " " * AXIS + left + "0".rjust(middle + 1) + right.rjust(width // 2)


def beside(blocks: Sequence[Sequence[str]], width: int) -> list[str]:
    """Blocks of equally many lines next to each other, each cut and filled to `width` cells."""
    rows = zip(*blocks, strict=True)
    return ["".join(f"{line[:width]:<{width}}" for line in row).rstrip() for row in rows]


DOTS = " .:⁝"
"""No figure in a cell, one, two, more."""


def strip(
    figures: Sequence[float],
    mean: float | None,
    margin: float | None,
    low: float,
    high: float,
    width: int,
) -> str:
    """Figures as dots on a line from low to high, `|` at their mean, `(` and `)` at its interval.

    What lies beyond the ends stands at them.
    """
    counts = [0] * width
    for figure in figures:
        counts[_cell(figure, low, high, width)] += 1
    cells = [DOTS[min(count, len(DOTS) - 1)] for count in counts]
    if mean is not None:
        if margin is not None:
            cells[_cell(mean - margin, low, high, width)] = "("
            cells[_cell(mean + margin, low, high, width)] = ")"
        cells[_cell(mean, low, high, width)] = "|"
    return "".join(cells)


def strip_scale(low: str, high: str, width: int) -> str:
    """The two ends of strips above or below them, and a line between."""
    between = width - len(low) - len(high) - 2
    return f"{low} {'─' * between} {high}" if between > 0 else f"{low} {high}"[:width]


def _cell(figure: float, low: float, high: float, width: int) -> int:
    """The cell of a figure on a line of `width` cells from low to high."""
    share = (figure - low) / (high - low) if high > low else 0.5
    return max(0, min(width - 1, round(share * (width - 1))))


SHADES = " .:-=+*#%@"
"""From the least loss to the largest, a contour for each."""
CENTRE = "o"
LEAST = 1e-4
"""Losses below are drawn as this one: a log scale has no 0."""


def shaded(
    losses: Sequence[Sequence[float | None]], low: float, high: float, width: int, height: int
) -> list[str]:
    """A slice of a loss surface in `height` lines of `width` cells, on a log scale.

    Between its points the log loss is interpolated; a loss that is no number counts as the
    largest. The centre is marked.
    """
    levels = [[_level(loss, low, high) for loss in row] for row in losses]
    last = len(levels) - 1
    lines = []
    for row in range(height):
        y = last * (1 - (row + 0.5) / height)
        cells = [_interpolated(levels, last * (i + 0.5) / width, y) for i in range(width)]
        lines.append("".join(SHADES[min(len(SHADES) - 1, int(c * len(SHADES)))] for c in cells))
    middle, centre = height // 2, width // 2
    lines[middle] = f"{lines[middle][:centre]}{CENTRE}{lines[middle][centre + 1 :]}"
    return lines


def slice_pictures(
    titles: Sequence[str], surfaces: Sequence["Surface"], width: int, height: int
) -> list[str]:
    """Slices of loss surfaces side by side under their titles, on one scale."""
    each = width // len(surfaces)
    low = min(surface.lowest for surface in surfaces)
    high = max(surface.highest for surface in surfaces)
    blocks = [
        [title[: each - 1], *shaded(surface.losses, low, high, each - 1, height)]
        for title, surface in zip(titles, surfaces, strict=True)
    ]
    return beside(blocks, each)


def shade_legend(low: float, high: float) -> str:
    """Each shade with the least loss it stands for."""
    first, last = math.log(max(low, LEAST)), math.log(max(high, LEAST))
    steps = [math.exp(first + (last - first) * i / len(SHADES)) for i in range(len(SHADES))]
    return "  ".join(
        f"{shade} {step:.2g}" for shade, step in zip(SHADES[1:], steps[1:], strict=True)
    )


def _level(loss: float | None, low: float, high: float) -> float:
    """0 at the least loss, 1 at the largest, in the logarithm."""
    if loss is None:
        return 1.0
    first, last = math.log(max(low, LEAST)), math.log(max(high, LEAST))
    return (math.log(max(loss, LEAST)) - first) / (last - first) if last > first else 0.0


def _interpolated(grid: Sequence[Sequence[float]], x: float, y: float) -> float:
    """Bilinear interpolation at column x and row y."""
    column, row = min(int(x), len(grid[0]) - 2), min(int(y), len(grid) - 2)
    right, down = x - column, y - row
    above, below = (
        line[column] * (1 - right) + line[column + 1] * right for line in grid[row : row + 2]
    )
    return above * (1 - down) + below * down


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
