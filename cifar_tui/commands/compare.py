"""The command `runs compare`: runs beside each other, with their curves."""

from typing import Annotated

from cyclopts import App, Parameter

from cifar_tui.commands import printing
from cifar_tui.commands.flags import RUNS, Json, RunsDir
from cifar_tui.errors import UserError
from cifar_tui.formats import plain
from cifar_tui.runs.curves import METRICS, MOST_SMOOTHING, Axis
from cifar_tui.runs.listing import Run, Runs, find_run


def register(runs_app: App) -> None:
    """Add this command to those about saved runs."""
    runs_app.command(runs_compare, name="compare")


def runs_compare(
    run: Annotated[tuple[str, ...], Parameter(name="RUN", help="Two or more runs.")],
    /,
    *,
    metric: Annotated[
        str | None, Parameter(help="Also the curves of val_acc, val_loss, gap, lr and so on.")
    ] = None,
    over: Annotated[Axis, Parameter(help="The curves' x axis; time is in seconds.")] = "epoch",
    smooth: Annotated[
        float, Parameter(help="Smooth the curves: the share of the past, from 0 to below 1.")
    ] = 0.0,
    baseline: Annotated[
        str | None, Parameter(name="--baseline", help="The run among these to subtract.")
    ] = None,
    group: Annotated[
        bool, Parameter(negative=(), help="Take runs together that are equal but for the seed.")
    ] = False,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show runs beside each other: the settings that differ, the figures, and curves if asked."""
    from cifar_tui.commands.printing_compare import print_comparison
    from cifar_tui.runs.compare import Asked, compare

    _check(metric, smooth)
    found = _runs(run, Runs(runs))
    base = None if baseline is None else find_run(found, baseline, runs)
    asked = Asked(base, group, metric, over, smooth)
    if json:
        printing.print_json(compare(found, asked))
    else:
        print_comparison(found, asked)


def _runs(wanted: tuple[str, ...], known: Runs) -> list[Run]:
    """The runs meant, each once."""
    if len(wanted) < 2:
        raise UserError("compare needs two or more runs, like `cifar-tui runs compare best last`.")
    every = known.all()
    found = {run.id: run for run in (find_run(every, word, known.folder) for word in wanted)}
    return list(found.values())


def _check(metric: str | None, smooth: float) -> None:
    if metric is not None and metric not in METRICS:
        raise UserError(f"There is no metric '{plain(metric)}'; there are {', '.join(METRICS)}.")
    if not 0 <= smooth <= MOST_SMOOTHING:
        raise UserError(f"--smooth must be from 0 to {MOST_SMOOTHING}; got {smooth:g}.")
