"""The command `runs stats`: which settings mattered in a set of runs."""

from typing import Annotated

from cyclopts import App, Parameter

from cifar_tui.commands import printing
from cifar_tui.commands.finding import Filter
from cifar_tui.commands.flags import RUNS, Json, RunsDir
from cifar_tui.errors import UserError
from cifar_tui.runs.line import Line
from cifar_tui.runs.listing import Run, Runs, find_run
from cifar_tui.runs.query import parse


def register(app: App) -> None:
    """Add it to the commands about runs."""
    app.command(runs_stats, name="stats")


def runs_stats(
    run: Annotated[
        tuple[str, ...], Parameter(name="RUN", help="The runs asked about; without any, all.")
    ] = (),
    /,
    *,
    metric: Annotated[
        str, Parameter(help="The figure asked about, like last_val_acc or val_loss.")
    ] = "val_acc",
    filter: Filter = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Tell which settings mattered: the effect of each that varies, and how sure it is."""
    from cifar_tui.commands.printing_stats import print_studies
    from cifar_tui.effects.study import studies

    query = parse(filter or "")
    lines = query.found(map(Line, _selected(Runs(runs), run)))
    found = studies([line.run for line in lines], metric)
    if json:
        printing.print_json({"studies": [study.to_dict() for study in found]})
    else:
        print_studies(found)


def _selected(known: Runs, wanted: tuple[str, ...]) -> list[Run]:
    """The runs of these ids or names, each once; all without any; raises UserError for none."""
    every = known.all()
    if not every:
        raise UserError(f"There are no runs in {known.folder}; `cifar-tui train` makes one.")
    found = [find_run(every, one, known.folder) for one in wanted] if wanted else every
    return list({run.id: run for run in found}.values())
