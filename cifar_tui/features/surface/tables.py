"""A slice of a loss surface as a picture of shades."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cifar_tui.drawing import SHADES, beside

if TYPE_CHECKING:
    from cifar_tui.features.surface.core import Surface


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
