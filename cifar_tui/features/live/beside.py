"""What a wide window shows beside a run's curves: its settings, its device, and the queue."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifar_tui.features.queue.plan import Plan
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import this_host
from cifar_tui.spec.checks import format_value
from cifar_tui.spec.naming import model_name
from cifar_tui.text import plain

if TYPE_CHECKING:
    from cifar_tui.queue.machine import Snapshot

BAR = 12
"""Cells of a bar of use."""


@dataclass(frozen=True)
class Around:
    """What is beside a run: the queue, and the machine that it may train on."""

    plan: Plan
    machine: "Snapshot | None" = None
    place: str = ""
    """Where the run is in the queue, in a sentence."""


NOTHING = Around(Plan())


def settings_lines(run: Run) -> list[str]:
    """The model, and each setting that differs from its default."""
    if run.spec is None:
        return []
    values = {**run.changed, "model": model_name(vars(run.spec))}
    values = {"model": values.pop("model"), **values}
    values.pop("depth", None)
    names = max(map(len, values))
    return [f"{name:<{names}}  {format_value(value)}" for name, value in values.items()]


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
