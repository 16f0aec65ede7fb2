"""What both faces show of this machine, and of the machines of a cluster."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from cifar_tui.queue.machine import GIB, Gpu, Process, Snapshot, core_words, memory_words
from cifar_tui.queue.nodes import Node
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain, shortened

WIDE = 120
"""Columns from which on a node's name and state have more room."""


def text_lines(snapshot: Snapshot) -> list[str]:
    """The whole snapshot as lines of up to 80 columns."""
    return [*gpu_lines(snapshot), "", *cpu_lines(snapshot)]


def gpu_lines(snapshot: Snapshot, width: int = 80) -> list[str]:
    """A row per GPU, each with its processes below, `*` marking this one; else why there are none.

    Room beyond 80 columns goes to the names.
    """
    if snapshot.reason:
        return [snapshot.reason]
    names = 24 + min(max(width - 80, 0), 24)
    lines = [f"gpu  {'name':<{names}}  {'driver':<10}  busy %  memory GB  temp C  power W"]
    for gpu in snapshot.gpus:
        lines.append(_gpu_line(gpu, names))
        lines += [_process_line(process, names) for process in gpu.processes]
    if any(process.pid == os.getpid() for gpu in snapshot.gpus for process in gpu.processes):
        lines.append("     * this program")
    return lines


def cpu_lines(snapshot: Snapshot, width: int = 80) -> list[str]:
    """The processor's name; its cores, use and load over 1, 5 and 15 minutes, and the memory."""
    figures = (
        core_words(snapshot),
        f"{snapshot.cpu_percent:3.0f}% busy",
        "load " + " ".join(f"{value:.2f}" for value in snapshot.load),
        f"memory {memory_words(snapshot.memory_used, snapshot.memory_total)}",
    )
    return [f"cpu  {shortened(snapshot.cpu_name, width - 5)}", f"     {'   '.join(figures)}"]


def _gpu_line(gpu: Gpu, names: int) -> str:
    memory = f"{_gib(gpu.memory_used):>5}/{_gib(gpu.memory_total, 0):<3}"
    power = f"{_figure(gpu.power)}/{_figure(gpu.power_limit)}"
    return (
        f"{gpu.index:>3}  {shortened(gpu.name.removeprefix('NVIDIA '), names):<{names}}  "
        f"{gpu.driver:<10}  {_figure(gpu.utilisation):>6}  {memory}  "
        f"{_figure(gpu.temperature):>6}  {power:>7}"
    )


def _process_line(process: Process, names: int) -> str:
    """Pid and user under the GPU's name, the program under driver and use, memory under memory."""
    mark = "*" if process.pid == os.getpid() else " "
    users = names - 11
    return (
        f"     {mark}{process.pid:>8}  {shortened(process.user, users):<{users}}  "
        f"{shortened(process.name, 18):<18}  {_gib(process.memory_bytes):>5}"
    )


def _figure(value: float | None, digits: int = 0) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def _gib(size: int | None, digits: int = 1) -> str:
    return _figure(None if size is None else size / GIB, digits)


def runs_there(nodes: Sequence[Node], runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs on each node, by its name; either may lack its domain."""
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
    return f"{_count(used)} of {_count(total)} {many}" if total else ""


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
        sizes = [(_whole_gib(node.memory_used), _whole_gib(node.memory)) for node in nodes]
        yield ["memory GB", *(_share(used, total, 4, 4) for used, total in sizes)]


def _share(used: float | None, total: float | None, before: int, after: int) -> str:
    """`12/64`, the bar always at the same place; nothing of what a node has not."""
    if not total:
        return f"{'-':>{before}} {'':<{after}}"
    taken = "-" if used is None else _count(used)
    return f"{taken:>{before}}/{_count(total):<{after}}"


def _count(value: float) -> str:
    """A whole number as such, a part of a GPU with up to two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _whole_gib(size: int | None) -> int | None:
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
