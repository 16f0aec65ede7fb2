"""Lines on a grid of characters: fine ones of braille dots, solid ones of box characters."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

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
