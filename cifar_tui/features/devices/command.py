"""The command `devices`: this machine, and the nodes of a cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.completion import one_of
from cifar_tui.console.flags import (
    RUNS,
    AnyRuns,
    Json,
    Options,
    RunsDir,
)
from cifar_tui.console.help import examples
from cifar_tui.console.printing import output_width, put
from cifar_tui.queue.choices import Wish, make_backend, parse_options
from cifar_tui.queue.nodes import Node
from cifar_tui.runs.control import in_training
from cifar_tui.runs.listing import Runs
from cifar_tui.text import (
    plain,
)

WIDTH = 160
"""Cells of a line about a node in a pipe."""
WITHIN = 20.0
"""Seconds to wait for a cluster's answer."""


@examples(
    "devices",
    "devices --backend slurm",
)
def devices(
    *,
    backend: Annotated[
        str,
        Parameter(
            help="Show the nodes of this one's cluster, too: slurm or ray.",
            metavar="NAME",
            completer=one_of(["ray", "slurm"]),
        ),
    ] = "",
    option: Options = (),
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show GPUs, their use and processes, the CPU, and which run is trained where."""
    from cifar_tui.features.devices.tables import (
        cpu_lines,
        gpu_lines,
        names_by_pid,
        node_lines,
        process_table,
        to_dicts,
        totals,
    )
    from cifar_tui.queue.machine import busiest, snapshot
    from cifar_tui.queue.turns import holders

    nodes = _nodes(runs, Wish(backend, options=parse_options(option)))
    found, training = snapshot(), in_training(Runs(runs).all())
    ours = holders(runs) | names_by_pid(training)
    on_gpus = [process.pid for gpu in found.gpus for process in gpu.processes]
    busy = busiest(always={*ours, *on_gpus})
    if json:
        where = [
            {"id": run.id, "name": run.name, "device": run.summary.device, "status": run.status}
            | {"host": run.progress.worker.host if run.progress else ""}
            for run in training
        ]
        processes = [asdict(process) | {"run": ours.get(process.pid)} for process in busy]
        more = {"runs": where, "nodes": to_dicts(nodes, training), "processes": processes}
        printing.print_json(asdict(found) | more)
        return
    printing.put(*gpu_lines(found), "", *cpu_lines(found), "", process_table(found, busy, ours), "")
    for run in training:
        host = f" of {run.progress.worker.host}" if run.progress else ""
        printing.put(plain(f"{run.name} is {run.status} on {run.summary.device}{host}"))
    if nodes:
        width = output_width() or WIDTH
        printing.put("", totals(nodes), *node_lines(nodes, training, width))
    elif backend:
        printing.put("", f"{backend} tells of no nodes.")


def _nodes(runs: Path, wish: Wish) -> Sequence[Node]:
    """The nodes of the cluster wished for, if one is; raises UserError without an answer."""
    if not (wish.backend or wish.options):
        return ()
    backend, _ = make_backend(runs, wish)
    try:
        return backend.find_nodes(WITHIN)
    finally:
        backend.close()
        backend.join()


@examples(
    "backends",
)
def backends(*, json: Json = False, runs: AnyRuns = RUNS) -> None:
    """Show what can train runs here, and what the others lack."""
    from cifar_tui.queue.choices import CHOICES

    found = [
        {"name": c.name, "help": c.help, "why_not": c.why_not(), "options": dict(c.options)}
        for c in CHOICES.values()
    ]
    if json:
        printing.print_json(found)
    else:
        print_backends(found)


def print_backends(found: Sequence[Mapping[str, Any]]) -> None:
    """A line per backend, then its options; what cannot be used says why."""
    for backend in found:
        put(f"{backend['name']:<10} {backend['why_not'] or backend['help']}")
        for name, help in backend["options"].items():
            put(f"           --option {name}=...  {help}")


COMMANDS = {
    "devices": devices,
    "backends": backends,
}
