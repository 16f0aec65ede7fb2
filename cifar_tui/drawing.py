"""Pictures made of characters: braille lines, bars, shades, and images in half blocks."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from statistics import fmean

from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

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
LEAST_SPAN = 0.1
"""Of a sparkline's values from bottom to top, so that noise looks flat."""


def sparkline(values: Sequence[float | None], cells: int) -> str:
    """Up to `cells` bars for equal stretches of the values, between the least and the largest.

    A stretch without a finite value is blank.
    """
    count = min(cells, len(values))
    if not count:
        return ""
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    parts = [[v for v in values[a:b] if v is not None] for a, b in pairwise(edges)]
    means = [fmean(part) if part else None for part in parts]
    known = [mean for mean in means if mean is not None]
    low, span = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    steps = len(BARS) - 2
    return "".join(
        " " if mean is None else BARS[1 + round(steps * (mean - low) / max(span, LEAST_SPAN))]
        for mean in means
    )


EIGHTHS = " ▏▎▍▌▋▊▉█"


def filled(share: float, width: int) -> str:
    """A bar of `width` cells, filled from the left in steps of an eighth; shares are 0 to 1."""
    whole, part = divmod(round(min(max(share, 0.0), 1.0) * width * 8), 8)
    return f"{'█' * whole}{EIGHTHS[part] if part else ''}".ljust(width)


def columns(shares: Sequence[float | None], height: int = 1) -> list[str]:
    """Bars beside each other in `height` lines, the top one first; shares are 0 to 1.

    A share of 0 is a thin line, None is blank.
    """
    steps = len(BARS) - 1
    tall = [0 if share is None else max(1, round(share * height * steps)) for share in shares]
    return [
        "".join(BARS[min(steps, max(0, value - row * steps))] for value in tall)
        for row in reversed(range(height))
    ]


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


Line = list[Segment]
Pixel = tuple[int, int, int]
HALF = "▀"
SIDE = 32
"""Pixels of an image's side."""


def shows_colours(console: Console) -> bool:
    """Whether this terminal has enough colours for a picture, and they are wanted."""
    return not console.no_color and console.color_system in ("256", "truecolor", "windows")


def half_blocks(above: Sequence[Pixel], below: Sequence[Pixel]) -> Line:
    """A line of cells with a pixel in each half; equal cells in a row are one segment."""
    cells = groupby(zip(above, below, strict=True))
    return [
        Segment(HALF * len(list(same)), Style(color=_colour(top), bgcolor=_colour(bottom)))
        for (top, bottom), same in cells
    ]


def _colour(pixel: Pixel) -> Color:
    return Color.from_rgb(*pixel)


def picture(pixels: bytes, *, colours: bool, shrink: int = 1) -> list[Line]:
    """Lines of 32 cells of an image uint8 (32,32,3), a cell for two pixels one above the other.

    Without colours a cell is one of ten shades, a light one for much light.
    `shrink` 2 draws it half as wide and high.
    """
    rows = _shrunk(pixels, shrink)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return [half_blocks(*pair) if colours else [Segment(_shaded(*pair))] for pair in pairs]


def _shrunk(pixels: bytes, by: int) -> list[list[Pixel]]:
    """Rows of pixels, each the mean of by x by."""
    width = 3 * SIDE
    steps = [row * width + 3 * column for row in range(by) for column in range(by)]
    side = range(0, SIDE, by)

    def mean(start: int) -> Pixel:
        r, g, b = (sum(pixels[start + step + c] for step in steps) // by**2 for c in range(3))
        return r, g, b

    return [[mean(row * width + 3 * column) for column in side] for row in side]


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
