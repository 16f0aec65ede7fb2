"""The devices screen: who uses which GPU, where a cluster has room, and where each run is."""

import shutil
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from cifar_tui.errors import UserError
from cifar_tui.features.devices.tables import cpu_lines, gpu_lines, node_lines, totals
from cifar_tui.queue.cluster.slurm import find_nodes
from cifar_tui.queue.machine import (
    GIB,
    Gpu,
    Snapshot,
    memory_of_process,
    resident_memory,
    snapshot,
)
from cifar_tui.queue.nodes import Node, Watch
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import this_host
from cifar_tui.text import at_epoch, clock, plain, rate
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.screen import KeyLine, TopLine, WatchingScreen

SINFO_WITHIN = 3.0
"""Seconds that Slurm may take to tell of its nodes where it trains no runs of this program."""
WIDE = 120
"""Columns from which on a run's row has its best epoch, speed and time left as well."""
AROUND = 7
"""Lines around the rows of runs and nodes: first and last, the answer, the heading, gaps."""
FEWEST_NODES = 6
"""Rows of nodes that are shown although the runs leave less room."""


class Shown(NamedTuple):
    """The lines of the screen, and whether a cluster trains the runs."""

    answer: str
    gpus: list[str]
    cpu: list[str]
    runs: list[str]
    nodes: list[str]
    cluster: bool


class DevicesScreen(WatchingScreen[Shown]):
    """GPUs with their processes, the CPU, and the runs in training with the memory they hold.

    On a cluster the runs come first, then its nodes, then this machine. Where Slurm is here but
    something else trains the runs, its nodes come last.
    """

    CSS_PATH = "devices.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("devices")

    LOOK_EVERY = 1.0

    def __init__(self, read: Callable[[], Snapshot] = snapshot) -> None:
        super().__init__()
        self._snapshot = read
        self._in_use = False
        """Whether a cluster trains the runs."""
        self._slurm = Watch(find_nodes) if shutil.which("sinfo") else None
        self._answer = Static("", id="answer", markup=False)
        self._gpus, self._cpu, self._runs, self._cluster = (
            Lines(id=name) for name in ("gpus", "cpu", "runs", "nodes")
        )

    def compose(self) -> ComposeResult:
        yield TopLine("devices")
        yield self._answer
        yield VerticalScroll(self._gpus, self._cpu, self._runs, self._cluster)
        yield KeyLine()

    def look(self) -> Shown:
        app = self.cifar
        machine = self._snapshot()
        try:
            runs = [run for run in app.runs.all() if run.status in ("running", "paused")]
        except UserError:
            runs = []
        nodes = used = app.worker.nodes
        if self._slurm is not None and not (used or app.worker.outlives):
            nodes = self._slurm.nodes
            self._slurm.look(SINFO_WITHIN)
        width, height = self.size
        held = [held_memory(run, machine) for run in runs]
        rows = run_lines(runs, held, width)
        most = max(FEWEST_NODES, height - len(rows) - AROUND)
        return Shown(
            cluster_answer(used, runs) if used else answer(machine, runs),
            gpu_lines(machine, width) if machine.gpus else [],
            cpu_lines(machine, width),
            rows,
            node_lines(nodes, runs, width, most) if nodes else [],
            bool(used),
        )

    def take(self, seen: Shown) -> None:
        if self._answer.content != seen.answer:
            self._answer.update(seen.answer)
        if seen.cluster != self._in_use:
            self._in_use = seen.cluster
            self._put_in_order(cluster=seen.cluster)
        self._gpus.show(seen.gpus)
        self._cpu.show(seen.cpu)
        self._runs.show(seen.runs)
        self._cluster.show(seen.nodes)

    def _put_in_order(self, *, cluster: bool) -> None:
        parts = self.query_one(VerticalScroll)
        if cluster:
            parts.move_child(self._runs, before=self._gpus)
        else:
            parts.move_child(self._runs, after=self._cpu)
        parts.move_child(self._cluster, after=self._runs)


class Lines(Vertical):
    """Lines of text, each a widget of its own, so that only those that changed are drawn."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._rows: list[Static] = []
        self.display = False

    def show(self, lines: Sequence[str]) -> None:
        """Have these lines; takes no room when there are none, does nothing when it is closed."""
        if not self.is_attached:
            return
        for row, line in zip(self._rows, lines, strict=False):
            if row.content != line:
                row.update(line, layout=False)
        for row in self._rows[len(lines) :]:
            row.remove()
        more = [Static(line, classes="line", markup=False) for line in lines[len(self._rows) :]]
        if more:
            self.mount(*more)
        self._rows = [*self._rows[: len(lines)], *more]
        self.display = bool(lines)


def answer(machine: Snapshot, runs: Sequence[Run]) -> str:
    """Who is using what: `1 GPU, 87% busy, 2.1 of 80 GB; training lab2-bn on cuda:0`."""
    if machine.reason:
        return machine.reason
    gpus = machine.gpus
    used = sum(gpu.memory_used or 0 for gpu in gpus) / GIB
    total = sum(gpu.memory_total or 0 for gpu in gpus) / GIB
    use = f"{_busy(gpus[0])} busy" if len(gpus) == 1 else _free(gpus)
    number = "1 GPU" if len(gpus) == 1 else f"{len(gpus)} GPUs"
    return f"{number}, {use}, {used:.1f} of {total:.0f} GB{_training(runs)}"


def cluster_answer(nodes: Sequence[Node], runs: Sequence[Run]) -> str:
    """Where room is, and what of ours trains there: `4 nodes, 3 with room, ...; 4 runs of ours`."""
    return totals(nodes) + _doing(runs, lambda run: _place(run) or plain(run.summary.device))


def _busy(gpu: Gpu) -> str:
    return "n/a" if gpu.utilisation is None else f"{gpu.utilisation}%"


def _free(gpus: Sequence[Gpu]) -> str:
    """Which GPUs nobody uses: idle, without processes, and less than 1 GB in use."""
    free = [
        str(gpu.index)
        for gpu in gpus
        if gpu.utilisation == 0 and not gpu.processes and (gpu.memory_used or 0) < GIB
    ]
    return f"{len(free)} free ({', '.join(free)})" if free else "none free"


def _training(runs: Sequence[Run]) -> str:
    """What this machine's runs do, to end the first line with."""
    return _doing(list(filter(_is_here, runs)), lambda run: plain(run.summary.device))


def _doing(runs: Sequence[Run], place: Callable[[Run], str]) -> str:
    """`; 4 runs of ours`, of a single one its name and place."""
    if len(runs) != 1:
        return f"; {len(runs)} runs of ours" if runs else ""
    (run,) = runs
    name = plain(run.name)
    if run.status == "paused":
        return f"; {name} is paused on {place(run)}"
    return f"; training {name} on {place(run)}"


def _place(run: Run) -> str:
    return plain(run.progress.worker.host) if run.progress else ""


def _is_here(run: Run) -> bool:
    return run.progress is not None and run.progress.worker.host == this_host()


def held_memory(run: Run, machine: Snapshot) -> str:
    """The memory that the run's process holds: on GPUs by NVML, else its resident memory."""
    if run.progress is None:
        return "-"
    if not _is_here(run):
        return f"on {_place(run) or 'another host'}"
    pid = run.progress.worker.pid
    if run.summary.device.startswith("cuda"):
        held = memory_of_process(pid, machine)
        on = ", ".join(f"{size / GIB:5.1f} GB on GPU {index}" for index, size in held.items())
        return on or "NVML: not listed"
    resident = resident_memory(pid)
    return "  n/a" if resident is None else f"{resident / GIB:5.1f} GB resident"


def run_lines(runs: Sequence[Run], held: Sequence[str], width: int) -> list[str]:
    """A row per run in training: where it computes, how far it is, and the memory it holds."""
    if not runs:
        return ["No run is in training."]
    head = f"{'run':<24}  {'status':<7}  {'device':<7}  {'pid':>7}  {'epoch':>7}"
    more = f"  {'best val_acc':<12}  {'img/s':>6}  {'left':>7}"
    lines = [f"{head}{more if width >= WIDE else ''}  memory held"]
    for run, memory in zip(runs, held, strict=True):
        more = _more(run) if width >= WIDE else ""
        lines.append(f"{_where(run)}{more}  {memory}")
    return lines


def _where(run: Run) -> str:
    name = plain(run.name)
    name = name if len(name) <= 24 else name[:23] + "…"
    progress = run.progress
    pid = progress.worker.pid if progress else "-"
    epoch = f"{progress.epoch if progress else '-'}/{run.summary.epochs}"
    device = plain(run.summary.device) or "-"
    return f"{name:<24}  {run.status:<7}  {device:<7}  {pid:>7}  {epoch:>7}"


def _more(run: Run) -> str:
    progress = run.progress
    speed = rate(progress.images_per_second if progress else None)
    left = clock(progress.seconds_left if progress else None)
    return f"  {at_epoch(run.summary.best):<12}  {speed:>6}  {left:>7}"
