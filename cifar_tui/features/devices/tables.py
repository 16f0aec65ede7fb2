"""What both faces show of this machine, and of the machines of a cluster."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from rich.text import Text

from cifar_tui.drawing import columns, filled
from cifar_tui.queue.machine import (
    GIB,
    Gpu,
    Process,
    Snapshot,
    core_words,
    memory_words,
    percent_words,
    share_of,
    short_name,
)
from cifar_tui.queue.nodes import Node
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import this_host
from cifar_tui.table import Column, Table, figures
from cifar_tui.text import clock, plain, shortened

WIDE = 120
"""Columns from which on a node's name and state have more room."""
LEVELS = {"success": 0.5, "warning": 0.85, "error": 1.0}
"""The theme's colours of bars, each with the use up to which it stands."""
LONGEST_BAR = 30
CORE_BAR = 6
"""The fewest cells of a core's bar."""
OTHERS = 50
"""Percent of a core, taken by processes that are not listed, from which on that is said."""
Cells = tuple[str, str]
"""A piece of a line, and the theme's colour of it."""


def tone_of_use(share: float) -> str:
    """The theme's colour of how much of something is in use."""
    return next((tone for tone, most in LEVELS.items() if share < most), "error")


def _bar(share: float | None, width: int) -> Cells:
    return filled(share or 0.0, width), tone_of_use(share or 0.0)


def make_line(*pieces: str | Cells) -> Text:
    """A line of these pieces, which is not wrapped."""
    return Text.assemble(*pieces, no_wrap=True)


def gpu_lines(machine: Snapshot, width: int = 80) -> list[Text]:
    """A heading and a row per GPU with bars of its use and memory; else why there are none."""
    if machine.reason:
        return [make_line(plain(line)) for line in wrap(machine.reason, width)]
    held = [memory_words(gpu.memory_used, gpu.memory_total) for gpu in machine.gpus]
    memory = max([len("memory"), *map(len, held)])
    room = width - memory - 35
    names = min(max(len(plain(_name(gpu))) for gpu in machine.gpus), max(5, room * 2 // 5))
    bars = max(1, min(LONGEST_BAR, (room - names) // 2))
    first = f"gpu  {'name':<{names}}  {'busy':<{bars + 5}}  {'memory':<{bars + memory + 1}}"
    lines = [make_line(f"{first}  temp C  power W")]
    for gpu, words in zip(machine.gpus, held, strict=True):
        busy = None if gpu.utilisation is None else gpu.utilisation / 100
        name = _name(gpu) if len(_name(gpu)) <= names else short_name(gpu.name)
        power = f"{_figure(gpu.power)}/{_figure(gpu.power_limit)}"
        lines.append(
            make_line(
                f"{gpu.index:>3}  {shortened(name, names):<{names}}  ",
                _bar(busy, bars),
                f"{percent_words(gpu.utilisation):>5}  ",
                _bar(share_of(gpu.memory_used, gpu.memory_total), bars),
                f" {words:>{memory}}  {_figure(gpu.temperature):>6}  {power:>7}",
            )
        )
    return lines


def _name(gpu: Gpu) -> str:
    return gpu.name.removeprefix("NVIDIA ")


def cpu_lines(machine: Snapshot, width: int = 80, most: int = 2) -> list[Text]:
    """The processor and its load over 1, 5 and 15 minutes, bars of its use and of the memory, and
    the use of each core, as bars where up to `most` lines hold them; none of it where that is 0."""
    facts = f", {core_words(machine)}, load " + " ".join(f"{load:.2f}" for load in machine.load)
    facts += f", driver {plain(machine.driver)}" if machine.driver else ""
    memory = memory_words(machine.memory_used, machine.memory_total)
    bars = max(1, min(LONGEST_BAR, (width - 26 - len(memory)) // 2))
    return [
        make_line(f"cpu  {shortened(machine.cpu_name, max(5, width - 5 - len(facts)))}{facts}"),
        make_line(
            "     busy ",
            _bar(machine.cpu_percent / 100, bars),
            f"{percent_words(machine.cpu_percent):>5}   memory ",
            _bar(share_of(machine.memory_used, machine.memory_total), bars),
            f" {memory}",
        ),
        *(_core_lines(machine.cores, width - 5, most) if most else ()),
    ]


def _core_lines(cores: Sequence[float], width: int, most: int) -> Iterator[Text]:
    digits = len(str(len(cores) - 1))
    around = digits + 8
    across = min(len(cores), max(1, (width + 2) // (around + CORE_BAR)))
    bar = min(LONGEST_BAR, (width + 2) // across - around) if across else 0
    if across and len(cores) <= across * most and bar >= CORE_BAR:
        for start in range(0, len(cores), across):
            pieces: list[str | Cells] = ["   "]
            for number, percent in list(enumerate(cores))[start : start + across]:
                shown = f"{percent_words(percent):>5}"
                pieces += [f"  {number:>{digits}} ", _bar(percent / 100, bar), shown]
            yield make_line(*pieces)
    elif across:
        each = max(8, width // 9 * 8)
        for start in range(0, len(cores), each):
            (line,) = columns([percent / 100 for percent in cores[start : start + each]])
            yield make_line("     " + " ".join(line[i : i + 8] for i in range(0, len(line), 8)))


def is_here(run: Run) -> bool:
    """Whether a process of this machine trains the run."""
    return run.progress is not None and run.progress.worker.host == this_host()


def names_by_pid(runs: Sequence[Run]) -> dict[int, str]:
    """The runs that processes of this machine train: `lab2-bn, epoch 12/30, 0:00:42 left`."""
    return {
        run.progress.worker.pid: f"{run.name}, epoch {run.progress.epoch}/{run.summary.epochs}, "
        + ("paused" if run.status == "paused" else f"{clock(run.progress.seconds_left)} left")
        for run in runs
        if run.progress is not None and is_here(run)
    }


def process_table(machine: Snapshot, busy: Sequence[Process], ours: Mapping[int, str]) -> Table:
    """Who uses the GPUs, then the processors: pid, owner, memory and command, or the run that a
    process trains. `ours` names runs by pid."""
    cpu = {process.pid: process for process in busy}
    on_gpus = [(str(gpu.index), one) for gpu in machine.gpus for one in gpu.processes]
    listed = {process.pid for _, process in on_gpus}
    rows = [(gpu, one, cpu.get(one.pid, one)) for gpu, one in on_gpus]
    rows += [("-", one, one) for one in busy if one.pid not in listed]
    texts = [
        (
            str(one.pid),
            one.user,
            *((gpu, _gib(one.memory_bytes) if gpu != "-" else "-") if machine.gpus else ()),
            _figure(load.cpu_percent) if load.cpu_percent is not None else "-",
            _gib(load.resident_bytes),
            ours.get(one.pid) or one.command or one.name,
        )
        for gpu, one, load in rows
    ]
    gpu_columns = [Column("gpu", 5), *figures("GPU GB", width=8)] if machine.gpus else []
    total = machine.cpu_percent * machine.cpu_count
    others = total - sum(process.cpu_percent or 0.0 for process in busy)
    if others >= max(OTHERS, total / 3):
        blank = ("", "") if machine.gpus else ()
        why = "others, small or not seen here"
        texts.append(("", "", *blank, f"{others:.0f}", "", why))
    return Table(
        (
            *figures("pid", width=8),
            Column("user", 12),
            *gpu_columns,
            *figures("cpu %", width=6),
            *figures("RAM GB", width=7),
            Column("command or run", 20, grows=True),
        ),
        texts,
    )


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0f}"


def _gib(size: int | None) -> str:
    return "n/a" if size is None else f"{size / GIB:.1f}"


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
