"""The machines of a cluster: what is taken on them, and which runs of ours are there."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain, shortened


@dataclass(frozen=True)
class Node:
    """One machine: how much of it is taken, by anybody; None where the cluster has no figure.

    Memory is in bytes; a GPU may be taken in parts. `state` is the cluster's own word, and `usable`
    whether new work may begin there by it.
    """

    name: str
    state: str
    cpus: int
    cpus_used: float | None = None
    gpus: float = 0
    gpus_used: float | None = None
    memory: int | None = None
    memory_used: int | None = None
    usable: bool = True

    @property
    def has_room(self) -> bool:
        """Whether a run finds a core there, and a GPU or a part of one where it has any."""
        core = (self.cpus_used or 0) < self.cpus
        return self.usable and core and (not self.gpus or (self.gpus_used or 0) < self.gpus)


GIB = 2**30
LOOK_EVERY, LOOK_UNTIL = 15.0, 30.0
"""Seconds between two looks at nodes, and after which nobody wants to know any more."""
LOOK_WITHIN = 20.0
"""Seconds that the answer may take, as runs wait behind it."""
WIDE = 120
"""Columns from which on a node's name and state have more room."""


class Watch:
    """The nodes that `find(seconds)` tells of; looked at again while somebody wants to know."""

    def __init__(self, find: Callable[[float], tuple[Node, ...]]) -> None:
        self._find = find
        self._nodes: tuple[Node, ...] = ()
        self._wanted = self._asked = -math.inf

    @property
    def nodes(self) -> tuple[Node, ...]:
        """As last seen; none without an answer."""
        self._wanted = time.monotonic()
        return self._nodes

    def ask(self, seconds: float) -> tuple[Node, ...]:
        """As they are now; raises UserError without an answer in time."""
        self._nodes = ()
        try:
            self._nodes = self._find(seconds)
        finally:
            self._asked = time.monotonic()
        return self._nodes

    def look(self, seconds: float = LOOK_WITHIN) -> None:
        """Ask now and then, while somebody wants to know, and wait up to so long."""
        now = time.monotonic()
        if now - self._wanted < LOOK_UNTIL and now - self._asked >= LOOK_EVERY:
            with contextlib.suppress(UserError):
                self.ask(seconds)


def runs_there(nodes: Sequence[Node], runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs on each node, by its name; a host may have its domain in one's eyes only."""
    names = {_short(node.name): node.name for node in nodes}
    found: dict[str, list[Run]] = {node.name: [] for node in nodes}
    for run in runs:
        name = names.get(_short(run.progress.worker.host)) if run.progress else None
        if name is not None:
            found[name].append(run)
    return found


def _short(host: str) -> str:
    """A host's name without its domain; an address stays whole."""
    first = host.partition(".")[0].lower()
    return host if first.isdecimal() else first


def totals(nodes: Sequence[Node]) -> str:
    """Where room is: `4 nodes, 3 with room, 12 of 64 cores and 5 of 8 GPUs taken`.

    The cores and GPUs of nodes that take no work are left out.
    """
    working = [node for node in nodes if node.usable]
    taken = (
        _taken([(node.cpus_used, node.cpus) for node in working], "core"),
        _taken([(node.gpus_used, node.gpus) for node in working], "GPU"),
    )
    many = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    room = f"{sum(node.has_room for node in nodes)} with room"
    figures = " and ".join(filter(None, taken))
    return ", ".join([many, room, *([f"{figures} taken"] if figures else [])])


def _taken(pairs: Sequence[tuple[float | None, float]], what: str) -> str:
    """`12 of 64 cores`; nothing where there are none, or no figures."""
    known = [(used, total) for used, total in pairs if used is not None]
    total = sum(total for _, total in known)
    used = sum(used for used, _ in known)
    many = what if total == 1 else f"{what}s"
    return f"{_figure(used)} of {_figure(total)} {many}" if total else ""


def node_lines(
    nodes: Sequence[Node], runs: Sequence[Run], width: int = 80, most: int | None = None
) -> list[str]:
    """A heading and a row per node, its figures as taken/all.

    Nodes with runs of ours come first, then those with room; those beyond `most` rows are counted
    in the last one.
    """
    there = runs_there(nodes, runs)
    ranked = sorted(nodes, key=lambda n: (not there[n.name], not n.has_room, not n.usable))
    fit = len(nodes) if most is None or len(nodes) <= most else max(most - 1, 0)
    shown, rest = ranked[:fit], ranked[fit:]
    lines = ["  ".join(cells) for cells in zip(*_columns(shown, width), strict=True)]
    ours = ["runs of ours", *(_names(there[node.name]) for node in shown)]
    left = max(1, width - len(lines[0]) - 2)
    both = zip(lines, ours, strict=True)
    rows = [f"{line}  {shortened(text, left)}".rstrip() for line, text in both]
    return [*rows, _counted(rest)] if rest else rows


def _columns(nodes: Sequence[Node], width: int) -> Iterator[list[str]]:
    """A node's name, state, cores, GPUs and memory, each under its heading, at fixed widths.

    GPUs and memory take no room where no node has any to tell of.
    """
    longest, states = (40, 14) if width >= WIDE else (20, 10)
    names = min(longest, max([4, *(len(plain(node.name)) for node in nodes)]))
    yield [f"{'node':<{names}}", *(f"{shortened(n.name, names):<{names}}" for n in nodes)]
    yield [f"{'state':<{states}}", *(f"{shortened(n.state, states):<{states}}" for n in nodes)]
    yield [" cores  ", *(_share(n.cpus_used, n.cpus, 3, 4) for n in nodes)]
    if any(node.gpus for node in nodes):
        yield ["  GPUs  ", *(_share(n.gpus_used, n.gpus, 4, 3) for n in nodes)]
    if any(node.memory for node in nodes):
        yield ["memory GB", *(_share(_gib(n.memory_used), _gib(n.memory), 4, 4) for n in nodes)]


def _share(used: float | None, total: float | None, before: int, after: int) -> str:
    """`12/64`, the bar always at the same place; nothing of what a node has not."""
    if not total:
        return f"{'-':>{before}} {'':<{after}}"
    taken = "-" if used is None else _figure(used)
    return f"{taken:>{before}}/{_figure(total):<{after}}"


def _figure(value: float) -> str:
    """A whole number as such, a part of a GPU with up to two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _gib(size: int | None) -> float | None:
    return None if size is None else round(size / GIB)


def _names(runs: Sequence[Run]) -> str:
    """`lab2-bn`, or how many and which: `2: lab2-bn, lab2-lr`."""
    names = ", ".join(run.name for run in runs)
    return f"{len(runs)}: {names}" if len(runs) > 1 else names


def _counted(nodes: Sequence[Node]) -> str:
    """How many nodes are not shown, and why one need not look for them."""
    room = sum(node.has_room for node in nodes)
    away = sum(not node.usable for node in nodes)
    parts = ((room, "with room"), (len(nodes) - room - away, "full"), (away, "out of use"))
    words = ", ".join(f"{count} {what}" for count, what in parts if count)
    return f"{len(nodes)} more: {words}"


def to_dicts(nodes: Sequence[Node], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Every figure of each node, with the ids of our runs there, ready for JSON."""
    there = runs_there(nodes, runs)
    return [
        asdict(node) | {"has_room": node.has_room, "runs": [run.id for run in there[node.name]]}
        for node in nodes
    ]
