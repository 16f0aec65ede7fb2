"""How busy the devices were over the last minutes, as graphs made of blocks."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean

from rich.text import Text

from cifar_tui.drawing import columns
from cifar_tui.features.devices.tables import Cells, make_line, tone_of_use
from cifar_tui.queue.machine import Shares
from cifar_tui.text import shortened

GRAPHS_OF = 40
"""Cells from which on a graph stands beside another."""
STEP = 5.0
"""Seconds that a column of the history stands for."""
HELD = 12.0
"""The longest time in seconds before it for which a reading stands."""
GRAPH = 3
"""The fewest lines of a graph of use; where these have no room, each is a line."""
TALLEST = 8
SCALE = 5
"""Cells left of a graph."""
Past = Sequence[tuple[float, Shares]]
"""When the use was read, in seconds, and what it was."""


def history_lines(past: Past, width: int, height: int) -> list[Text]:
    """The use of each device over the last minutes: graphs in up to `height` lines, or a line each.

    The memories are left out where the graphs have no room, and all where the lines have none.
    """
    labels = list(past[-1][1]) if past else []
    busy = [label for label in labels if "memory" not in label]
    across = max(1, min(len(busy), width // GRAPHS_OF))
    for names in (labels, busy):
        down = -(-len(names) // across)
        tall = min(TALLEST, height // max(1, down) - 1)
        if names and tall >= GRAPH:
            break
    else:
        return list(_sparks(past, busy, width)) if len(busy) <= height else []
    cells = width // across - 1
    lines: list[Text] = []
    for start in range(0, len(names), across):
        graphs = [_graph(past, name, cells, tall) for name in names[start : start + across]]
        lines += [
            make_line(*(piece for row in rows for piece in row))
            for rows in zip(*graphs, strict=True)
        ]
    return lines


def _sparks(past: Past, names: Sequence[str], width: int) -> Iterator[Text]:
    longest = max(map(len, names), default=0)
    for name in names:
        (line,) = columns(_steps(past, name, width - longest - 2))
        yield make_line(f"{name:<{longest}}  {line}")


def _graph(past: Past, name: str, width: int, height: int) -> list[list[str | Cells]]:
    """A title and `height` lines of `width` cells and a gap, in the colours of their levels."""
    steps = _steps(past, name, width - SCALE)
    title = f"{name}, last {STEP * len(steps) / 60:.0f} min"
    rows: list[list[str | Cells]] = [[f"{shortened(title, width):<{width + 1}}"]]
    for row, line in enumerate(columns(steps, height)):
        scale = "100%" if row == 0 else "0%" if row == height - 1 else ""
        tone = tone_of_use((height - row - 0.5) / height)
        rows.append([f"{scale:>4}▕", (line, tone), " "])
    return rows


def _steps(past: Past, name: str, count: int) -> list[float | None]:
    """The mean use in each of the last whole steps, the oldest first; None where nothing is known.

    A reading stands for the step it was made in, and for those since the reading before.
    """
    found: dict[int, list[float]] = defaultdict(list)
    for (before, _), (now, shares) in pairwise(past):
        share = shares.get(name)
        if share is not None:
            last = int(now // STEP)
            first = min(last, int(max(before, now - HELD) // STEP) + 1)
            for step in range(first, last + 1):
                found[step].append(share)
    end = int(past[-1][0] // STEP) if past else 0
    return [fmean(found[i]) if i in found else None for i in range(end - count, end)]
