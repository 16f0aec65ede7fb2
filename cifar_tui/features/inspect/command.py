"""The command `inspect`: where a run's best net goes wrong."""

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.segment import Segment, Segments

from cifar_tui.console import printing
from cifar_tui.console.flags import RUNS, DataFolder, Json, RunsDir, Which
from cifar_tui.console.help import examples
from cifar_tui.console.printing import output_width, put
from cifar_tui.drawing import beside, gallery, picture, shows_colours
from cifar_tui.errors import UserError
from cifar_tui.features.inspect import tables as findings
from cifar_tui.features.inspect.core import SIDE, Evaluation, SplitName, kept_evaluation
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.runs.origin import origin_of
from cifar_tui.text import plain


@examples(
    "inspect best",
    "inspect best --worst 5 --pictures",
)
def inspect(
    run: Which,
    /,
    *,
    split: Annotated[
        SplitName, Parameter(help="Which images; the test split never picks a model.")
    ] = "val",
    worst: Annotated[int, Parameter(help="How many of the worst images to list.")] = 10,
    pictures: Annotated[
        bool, Parameter(negative=(), help="Draw them too, at most 48, in half blocks.")
    ] = False,
    redo: Annotated[
        bool, Parameter(negative=(), help="Compute it again though it is kept with the run.")
    ] = False,
    data: DataFolder = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show where a run's best net goes wrong: confusion, classes, calibration, worst images."""
    if worst < 0:
        raise UserError(f"--worst must be 0 or more; got {worst}.")
    found = Runs(runs).find(run)
    evaluation = None if redo or data else kept_evaluation(found, split)
    if evaluation is None:
        from cifar_tui.features.inspect.compute import evaluation_of

        with printing.progress(f"evaluating {split}", json) as tick:
            evaluation = evaluation_of(found, split, data=data, redo=redo, tick=tick)
    if json:
        told = {"id": found.id, "name": found.name} | evaluation.figures(worst)
        printing.print_json(told | {"remark": origin_of(found).remark(evaluation.data)})
        return

    print_evaluation(found, evaluation, worst, pictures=pictures)


ACROSS = 2
"""Pictures side by side."""


def print_evaluation(run: Run, found: Evaluation, worst: int, *, pictures: bool) -> None:
    """The whole evaluation, with the worst images; drawn if asked for."""
    tables = (findings.class_lines(found), findings.reliability_lines(found))
    lines = [
        f"{run.name}  {findings.headline(found)}",
        *filter(None, (origin_of(run).remark(found.data), found.remark())),
        findings.confused_line(found),
        "",
        *findings.matrix_lines(found),
        "",
        findings.calibration_line(found),
        *beside(tables, findings.CLASS_WIDTH),
        findings.LEGEND,
    ]
    print("\n".join(map(plain, lines)))
    if found.worst and worst:
        wrong = f"worst of {len(found.worst):,} wrong images"
        put("", wrong, findings.worst_table(found, worst))
    if pictures:
        _print_pictures(found, worst)


def _print_pictures(found: Evaluation, count: int) -> None:
    console = Console(highlight=False, width=output_width())
    colours, each = shows_colours(console), SIDE + 8
    names = findings.names_of(found)
    shown = range(min(count, len(found.pictures), len(found.worst)))
    told = findings.captions(found.worst[: len(shown)], names, each - 1)
    for start in shown[::ACROSS]:
        some = shown[start : start + ACROSS]
        drawn = [picture(found.pixels(place), colours=colours) for place in some]
        for line in gallery(drawn, [told[place] for place in some], each):
            console.print(Segments([*line, Segment.line()]), end="")


COMMANDS = {
    "inspect": inspect,
}
