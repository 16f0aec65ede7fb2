"""The stretch of an axis that is in sight, as it is zoomed and moved; None shows the whole."""

from collections.abc import Sequence

Window = tuple[float, float]


def zoomed(
    window: Window | None, whole: Window, factor: float, about: float | None, least: float
) -> Window | None:
    """The window with its width multiplied by `factor`, from `least` up to the whole.

    `about` keeps its place in the window; without it the middle does.
    """
    low, high = window or whole
    place = about if about is not None and low <= about <= high else (low + high) / 2
    width = max((high - low) * factor, least)
    if width >= whole[1] - whole[0]:
        return None
    share = (place - low) / (high - low)
    start = place - share * width
    return _inside((start, start + width), whole)


def panned(window: Window | None, whole: Window, share: float) -> Window | None:
    """The window moved by a share of its width, within the whole."""
    if window is None:
        return None
    step = (window[1] - window[0]) * share
    return _inside((window[0] + step, window[1] + step), whole)


def showing(window: Window | None, whole: Window, x: float) -> Window | None:
    """The window moved as little as needed to have x in sight."""
    if window is None or window[0] <= x <= window[1]:
        return window
    step = x - window[0] if x < window[0] else x - window[1]
    return _inside((window[0] + step, window[1] + step), whole)


def next_stop(stops: Sequence[float], x: float, step: int, least: float) -> float:
    """The next of the sorted stops towards `step`, at least so far off; else the one at the end."""
    if step > 0:
        return next((stop for stop in stops if stop > x and stop >= x + least), stops[-1])
    return next((stop for stop in reversed(stops) if stop < x and stop <= x - least), stops[0])


def _inside(window: Window, whole: Window) -> Window:
    low, high = window
    width = high - low
    low = max(whole[0], min(low, whole[1] - width))
    return low, low + width
