"""What a wide window shows beside a run's curves: its settings, its device, and the queue."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cifar_tui.queue.queue import Pace
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import this_host
from cifar_tui.spec.checks import format_value
from cifar_tui.spec.naming import model_name
from cifar_tui.table import cut_end
from cifar_tui.text import plain

if TYPE_CHECKING:
    from cifar_tui.queue.machine import Snapshot

KNOWN = 500
"""The number of latest runs by whose pace others are judged."""
BAR = 12
"""Cells of a bar of use."""


@dataclass(frozen=True)
class Plan:
    """When the runs of a queue are expected to begin, in seconds from now, and to be done."""

    names: tuple[str, ...] = ()
    begins: tuple[float | None, ...] = ()
    """None from the first run on of which nothing is known."""
    done: float | None = None


@dataclass(frozen=True)
class Around:
    """What is beside a run: the queue, and the machine that it may train on."""

    plan: Plan
    machine: "Snapshot | None" = None


NOTHING = Around(Plan())


def plan_of(
    training: Sequence[Run], queued: Sequence[Run], known: Sequence[Run], slots: int = 1
) -> Plan:
    """The queue as it goes on where every run keeps the pace of the newest like it."""
    lefts = [run.progress.seconds_left if run.progress else None for run in training]
    lefts += [0.0] * (slots - len(lefts))
    free = [left for left in lefts if left is not None]
    is_known = len(free) == len(lefts)
    heapq.heapify(free)
    pace = Pace(known[-KNOWN:])
    begins: list[float | None] = []
    for run in queued:
        begins.append(free[0] if is_known else None)
        left = pace.seconds_left(run.spec, run.summary.epochs_done) if run.spec else None
        is_known = is_known and left is not None
        if left is not None and free:
            heapq.heapreplace(free, free[0] + left)
    done = max(free) if is_known and (training or queued) else None
    return Plan(tuple(plain(run.name) for run in queued), tuple(begins), done)


def settings_lines(run: Run) -> list[str]:
    """The model, and each setting that differs from its default."""
    if run.spec is None:
        return []
    values = {**run.changed, "model": model_name(run.spec.model_dump())}
    values = {"model": values.pop("model"), **values}
    values.pop("depth", None)
    names = max(map(len, values))
    return [f"{name:<{names}}  {format_value(value)}" for name, value in values.items()]


def queue_lines(plan: Plan, now: datetime, width: int, height: int) -> list[str]:
    """A line per queued run in order, with the time at which it is expected to begin."""
    most = len(plan.names) if len(plan.names) <= height else max(0, height - 1)
    lines = []
    for number, (name, begins) in enumerate(zip(plan.names, plan.begins, strict=True), 1):
        if number > most:
            lines.append(f"... and {len(plan.names) - most} more")
            break
        when = "" if begins is None else time_of_day(begins, now)
        room = width - len(when) - 5
        lines.append(f"{number:>3} {cut_end(name, room):<{room}} {when}".rstrip())
    return lines


def time_of_day(seconds: float, now: datetime) -> str:
    """The time that is so many seconds away: `05:41`, or `Sat 05:41` from tomorrow on."""
    then = now + timedelta(seconds=seconds)
    return then.strftime("%H:%M" if then.date() == now.date() else "%a %H:%M")


def device_lines(run: Run, machine: "Snapshot") -> list[str]:
    """The device of a run and how busy it is; its place alone where that is another machine."""
    from cifar_tui.queue.machine import core_words, gpu_for, memory_words, short_name

    device = plain(run.summary.device) or "cpu"
    host = run.progress.worker.host if run.progress else ""
    if host != this_host():
        return [f"{device} of {plain(host) or 'another machine'}"]
    gpu = gpu_for(device, machine)
    if gpu is None:
        busy: float | None = machine.cpu_percent
        used, total = machine.memory_used, machine.memory_total
        name = f"{device}  {core_words(machine)}, {plain(machine.cpu_name)}"
        last = "load    " + " ".join(f"{value:.2f}" for value in machine.load)
    else:
        busy, used, total = gpu.utilisation, gpu.memory_used or 0, gpu.memory_total or 0
        name = f"{device}  {short_name(plain(gpu.name))}"
        heat = "" if gpu.temperature is None else f"{gpu.temperature} C  "
        last = "power   " + heat + ("" if gpu.power is None else f"{gpu.power:.0f} W")
    share = used / total if total else None
    percent = "n/a" if busy is None else f"{busy:.0f}%"
    return [
        name,
        f"busy    {_bar(None if busy is None else busy / 100)} {percent:>4}",
        f"memory  {_bar(share)} {memory_words(used, total)}",
        last,
    ]


def _bar(share: float | None) -> str:
    filled = 0 if share is None else int(BAR * min(1.0, share) + 0.5)
    return f"[{'#' * filled}{'.' * (BAR - filled)}]"
