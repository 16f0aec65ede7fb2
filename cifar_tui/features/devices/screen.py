"""The devices screen: who uses which GPU, where a cluster has room, and where each run is."""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll

from cifar_tui.errors import UserError
from cifar_tui.features.devices.changing_lines import ChangingLine, Lined, Lines, themed
from cifar_tui.features.devices.graphs import Past, history_lines
from cifar_tui.features.devices.tables import (
    cpu_lines,
    gpu_lines,
    is_here,
    names_by_pid,
    node_lines,
    process_table,
    totals,
)
from cifar_tui.queue.cluster.slurm import find_nodes
from cifar_tui.queue.machine import (
    GIB,
    Gpu,
    Process,
    Snapshot,
    busiest,
    core_words,
    history,
    memory_of_process,
    percent_words,
    resident_memory,
    snapshot,
)
from cifar_tui.queue.nodes import Node, Watch
from cifar_tui.queue.turns import holders
from cifar_tui.runs.control import in_training
from cifar_tui.runs.listing import Run
from cifar_tui.text import at_epoch, clock, plain, rate, shortened
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.screen import KeyLine, TopLine, WatchingScreen

SINFO_WITHIN = 3.0
"""Seconds that Slurm may take to tell of its nodes where it trains no runs of this program."""
WIDE = 120
"""Columns from which on the history stands beside the bars, and a run's row has its best epoch,
speed and time left as well."""
AROUND = 4
"""Lines around the parts: first and last, the answer, and a gap."""
SCROLLBAR = 1
NARROW = 72
"""Columns from which on a run's row has the memory that it holds."""
ROOMY = 24
"""Lines of a window from which on each core is shown."""
FEWEST_NODES = 6
"""Rows of nodes that are shown although the runs leave less room."""
FEWEST_PROCESSES = 4
"""The same for processes that use the CPU alone."""
MORE = 6
"""The most lines that the history may have beyond those of the bars beside it."""


class Shown(NamedTuple):
    """The lines of each part by its id, under the answer, and whether a cluster trains the runs."""

    answer: str
    parts: Mapping[str, Lined]
    cluster: bool


class DevicesScreen(WatchingScreen[Shown]):
    """GPUs and CPU with bars and a history of their use, the runs in training, and all processes.

    On a cluster the runs come first, then its nodes, then this machine. Where Slurm is here but
    something else trains the runs, its nodes come last.
    """

    CSS_PATH = "devices.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("devices")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - as Textual has it
    ALSO_OFFERED = ("app.backend",)
    LOOK_EVERY = 3.0

    def __init__(
        self,
        read: Callable[[], Snapshot] = snapshot,
        past: Callable[[], Past] = history,
        busy: Callable[[float, Collection[int]], Sequence[Process]] = busiest,
    ) -> None:
        super().__init__()
        self._snapshot, self._past, self._busiest = read, past, busy
        self._in_use = False
        """Whether a cluster trains the runs."""
        self._slurm = Watch(find_nodes) if shutil.which("sinfo") else None
        self._answer = ChangingLine("", id="answer", classes="line")
        names = ("gpus", "cpu", "history", "runs", "processes", "nodes")
        self._parts = {name: Lines(id=name) for name in names}

    def compose(self) -> ComposeResult:
        parts = self._parts
        yield TopLine("devices")
        yield self._answer
        with VerticalScroll():
            with Container(id="machine"):
                yield Vertical(parts["gpus"], parts["cpu"], id="bars")
                yield parts["history"]
            yield from (parts["runs"], parts["processes"], parts["nodes"])
        yield KeyLine()

    def on_resize(self) -> None:
        if self._answer.content:
            self.look_again()

    def look(self) -> Shown:
        app = self.cifar
        machine = self._snapshot()
        try:
            runs = in_training(app.runs.all())
        except UserError:
            runs = []
        nodes = used = app.worker.nodes
        if self._slurm is not None and not (used or app.worker.outlives):
            nodes = self._slurm.nodes
            self._slurm.look(SINFO_WITHIN)
        ours, holding = names_by_pid(runs), holders(app.runs.folder)
        on_gpus = {process.pid for gpu in machine.gpus for process in gpu.processes}
        busy = self._busiest(1.0, {*ours, *holding, *on_gpus})
        width, height = self.size.width - SCROLLBAR, self.size.height
        held = [held_memory(run, machine) for run in runs]
        elsewhere = [words for pid, words in holding.items() if pid not in ours]
        rows = run_lines(runs, held, width, elsewhere)
        most = max(FEWEST_NODES, height - len(rows) - AROUND - 3)
        parts: dict[str, Lined] = {
            "runs": rows,
            "nodes": node_lines(nodes, runs, width, most) if nodes else [],
            "processes": process_lines(machine, busy, holding | ours, width),
        }
        first = cluster_answer(used, runs) if used else answer(machine, runs, busy, ours)
        fitted = fit(machine, self._past(), parts, width, height)
        return Shown(first, fitted, bool(used))

    def take(self, seen: Shown) -> None:
        self._answer.show(themed(seen.answer))
        if seen.cluster != self._in_use:
            self._in_use = seen.cluster
            self._put_in_order(cluster=seen.cluster)
        for name, lines in seen.parts.items():
            self._parts[name].show(lines)

    def _put_in_order(self, *, cluster: bool) -> None:
        scroll, machine = self.query_one(VerticalScroll), self.query_one("#machine")
        runs, nodes, processes = (self._parts[name] for name in ("runs", "nodes", "processes"))
        order = (runs, nodes, machine, processes) if cluster else (machine, runs, processes, nodes)
        for before, part in pairwise(order):
            scroll.move_child(part, after=before)


def fit(
    machine: Snapshot, past: Past, parts: Mapping[str, Lined], width: int, height: int
) -> dict[str, Lined]:
    """The machine's bars and history, and these parts; what is left of a window goes to the
    history, then to processes of the CPU."""
    wide = width + SCROLLBAR >= WIDE
    bars = width * 3 // 5 - 2 if wide else width
    gpus, cpu = (
        gpu_lines(machine, bars),
        cpu_lines(machine, bars, most=6 if wide else 2 * (height >= ROOMY)),
    )
    beside = len(gpus) + len(cpu) + 1
    processes = parts["processes"]
    others = sum(len(lines) + 1 for name, lines in parts.items() if lines and name != "processes")
    room = height - AROUND - others - beside - 1
    if wide:
        tall = beside + max(0, min(MORE, room - len(processes) - 1))
        history = history_lines(past, width * 2 // 5, tall)
        room -= max(0, len(history) - beside)
    else:
        few = min(len(processes), FEWEST_PROCESSES + 1)
        history = history_lines(past, width, max(1, room - few - 2))
        room -= len(history) + 1
    on_gpus = sum(len(gpu.processes) for gpu in machine.gpus)
    most = max(1 + on_gpus, FEWEST_PROCESSES + 1, room - 1)
    made = {"gpus": gpus, "cpu": cpu, "history": history}
    return made | dict(parts) | {"processes": processes[:most]}


def process_lines(
    machine: Snapshot, busy: Sequence[Process], ours: Mapping[int, str], width: int
) -> list[Text]:
    """The table of processes, those that train runs of this user in a colour."""
    table = process_table(machine, busy, ours)
    pids = {str(pid) for pid in ours}
    lines = [Text(line) for line in table.screen_lines(width)]
    for line, row in zip(lines[1:], table.rows, strict=True):
        if row[0] in pids:
            line.stylize("primary")
    return lines if table.rows else [Text("No process uses more than 1 % of a core.")]


def answer(
    machine: Snapshot, runs: Sequence[Run], busy: Sequence[Process], ours: Mapping[int, str]
) -> str:
    """Who is using what: `1 GPU, 87% busy, 2.1 of 80 GB; training lab2-bn on cuda:0`, or of a CPU
    `2 cores, 100% busy: lab2-bn 92%, anna's python (pid 77) 8%`."""
    if not machine.gpus:
        users = ", ".join(_users(machine, busy, ours))
        use = f"{core_words(machine)}, {percent_words(machine.cpu_percent)} busy"
        return use + (f": {users}" if users else _training(runs))
    gpus = machine.gpus
    used = sum(gpu.memory_used or 0 for gpu in gpus) / GIB
    total = sum(gpu.memory_total or 0 for gpu in gpus) / GIB
    use = f"{percent_words(gpus[0].utilisation)} busy" if len(gpus) == 1 else _free(gpus)
    number = "1 GPU" if len(gpus) == 1 else f"{len(gpus)} GPUs"
    return f"{number}, {use}, {used:.1f} of {total:.0f} GB{_training(runs)}"


def _users(machine: Snapshot, busy: Sequence[Process], ours: Mapping[int, str]) -> Iterator[str]:
    """The few who take a twentieth of the processors or more, with what they take of all."""
    for process in busy[:2]:
        share = (process.cpu_percent or 0.0) / machine.cpu_count
        if share >= 5:
            run = ours.get(process.pid, "").partition(", epoch ")[0]
            who = run or f"{process.user}'s {process.name} (pid {process.pid})"
            yield f"{plain(who)} {share:.0f}%"


def cluster_answer(nodes: Sequence[Node], runs: Sequence[Run]) -> str:
    """Where room is, and what of ours trains there: `4 nodes, 3 with room, ...; 4 runs of ours`."""
    return totals(nodes) + _doing(runs, lambda run: _place(run) or plain(run.summary.device))


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
    return _doing(list(filter(is_here, runs)), lambda run: plain(run.summary.device))


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


def held_memory(run: Run, machine: Snapshot) -> str:
    """The memory that the run's process holds: on GPUs by NVML, else its resident memory."""
    if run.progress is None:
        return "-"
    if not is_here(run):
        return f"on {_place(run) or 'another host'}"
    pid = run.progress.worker.pid
    if run.summary.device.startswith("cuda"):
        held = memory_of_process(pid, machine)
        on = ", ".join(f"{size / GIB:5.1f} GB on GPU {index}" for index, size in held.items())
        return on or "NVML: not listed"
    resident = resident_memory(pid)
    return "  n/a" if resident is None else f"{resident / GIB:5.1f} GB resident"


def run_lines(
    runs: Sequence[Run], held: Sequence[str], width: int, elsewhere: Sequence[str] = ()
) -> list[str]:
    """A row per run in training: where it computes, how far it is, and the memory it holds; then
    this user's runs `elsewhere`, in other folders."""
    if not runs:
        where = " of this folder" if elsewhere else ""
        return [f"No run{where} is in training.", *elsewhere]
    names = max(12, min(24, width - 56))
    head = f"{'run':<{names}}  {'status':<7}  {'device':<7}  {'pid':>7}  {'epoch':>7}"
    more = f"  {'best val_acc':<12}  {'img/s':>6}  {'left':>7}"
    lines = [f"{head}{more if width >= WIDE else ''}{'  memory held' * (width >= NARROW)}"]
    for run, memory in zip(runs, held, strict=True):
        more = _more(run) if width >= WIDE else ""
        lines.append(f"{_where(run, names)}{more}{f'  {memory}' * (width >= NARROW)}")
    return [*lines, *elsewhere]


def _where(run: Run, names: int) -> str:
    progress = run.progress
    pid = progress.worker.pid if progress else "-"
    epoch = f"{progress.epoch if progress else '-'}/{run.summary.epochs}"
    device = plain(run.summary.device) or "-"
    name = f"{shortened(run.name, names):<{names}}"
    return f"{name}  {run.status:<7}  {device:<7}  {pid:>7}  {epoch:>7}"


def _more(run: Run) -> str:
    progress = run.progress
    speed = rate(progress.images_per_second if progress else None)
    left = clock(progress.seconds_left if progress else None)
    return f"  {at_epoch(run.summary.best):<12}  {speed:>6}  {left:>7}"
