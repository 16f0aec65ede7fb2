"""The command `inspect`: where a run's best net goes wrong."""

from typing import Annotated

from cyclopts import App, Parameter

from cifar_tui.commands import printing
from cifar_tui.commands.flags import RUNS, Json, RunsDir, Which
from cifar_tui.errors import UserError
from cifar_tui.runs.evaluation import SplitName, kept_evaluation
from cifar_tui.runs.listing import Runs
from cifar_tui.runs.origin import origin_of


def register(app: App) -> None:
    """Add this command to the program's."""
    app.command(inspect)


def inspect(
    run: Which,
    /,
    *,
    split: Annotated[
        SplitName, Parameter(help="Which images; the test split never picks a model.")
    ] = "val",
    worst: Annotated[int, Parameter(help="List so many of the worst images.")] = 10,
    pictures: Annotated[
        bool, Parameter(negative=(), help="Draw them too, at most 48, in half blocks.")
    ] = False,
    redo: Annotated[
        bool, Parameter(negative=(), help="Compute it again though it is kept with the run.")
    ] = False,
    data: Annotated[str | None, Parameter(help="Folder with the images.")] = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show where a run's best net goes wrong: confusion, classes, calibration, worst images."""
    if worst < 0:
        raise UserError(f"--worst must be 0 or more; got {worst}.")
    found = Runs(runs).find(run)
    evaluation = None if redo or data else kept_evaluation(found, split)
    if evaluation is None:
        from cifar_tui.training.evaluation import evaluation_of

        with printing.progress(f"evaluating {split}", json) as tick:
            evaluation = evaluation_of(found, split, data=data, redo=redo, tick=tick)
    if json:
        told = {"id": found.id, "name": found.name} | evaluation.figures(worst)
        printing.print_json(told | {"remark": origin_of(found).remark(evaluation.data)})
        return
    from cifar_tui.commands.printing_evaluation import print_evaluation

    print_evaluation(found, evaluation, worst, pictures=pictures)
