"""Where an axis has its ticks, and what they are called."""

import math
from collections.abc import Sequence

from cifar_tui.text import clock

ROUND_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


def y_ticks(low: float, high: float, count: int, log: bool) -> tuple[list[float], list[str]]:
    """Up to `count` round numbers between the limits, and their texts of equal precision."""
    if log:
        steps = (1,) if high - low > 2 else (1, 2, 5)
        powers = range(math.floor(low), math.ceil(high) + 1)
        round_ones = [math.log10(step) + power for power in powers for step in steps]
        inside = [tick for tick in round_ones if low <= tick <= high]
        ticks = inside[:: math.ceil(len(inside) / count)] if len(inside) > 1 else [low, high]
        return ticks, [f"{10**tick:.3g}" for tick in ticks]
    step = _round_step((high - low) / count, (1, 2, 5, 10))
    ticks = _multiples(low, high, step)
    largest = max(abs(low), abs(high))
    if largest >= 1e7 or step < 1e-5:
        return ticks, [f"{tick:.1e}" for tick in ticks]
    if largest >= 1e3:
        digits = max(0, 3 - math.floor(math.log10(step) + 1e-9))
        return ticks, [f"{tick / 1e3:.{digits}f}k" for tick in ticks]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return ticks, [f"{tick:.{digits}f}" for tick in ticks]


def x_ticks(first: float, last: float, width: int, seconds: bool) -> tuple[list[float], list[str]]:
    """Round whole numbers, or round times, between the ends; the ends where none lie there."""
    count = max(2, min(10, width // (14 if seconds else 8)))
    least = max(1.0, (last - first) / count)
    if seconds and least > 1:
        step = next((step for step in ROUND_SECONDS if step >= least), 0.0)
        step = step or 3600 * _round_step(least / 3600, (1, 2, 5, 10))
    else:
        step = _round_step(least, (1, 2, 5, 10))
    ticks = _multiples(first, last, step)
    ticks = ticks if len(ticks) > 1 else [first, last]
    names = {(clock(x) if seconds else f"{x:.0f}"): x for x in ticks}
    return list(names.values()), list(names)


def _round_step(least: float, mantissas: Sequence[int]) -> float:
    """The least of these mantissas times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in mantissas if m * power >= least * (1 - 1e-9))


def _multiples(low: float, high: float, step: float) -> list[float]:
    """The multiples of a step between two limits."""
    begin, end = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(begin, end + 1)]
