"""The command `runs save`: runs as files for other programs and for papers."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.completion import several_of
from cifar_tui.console.flags import RUN, RUNS, Filter, Json, RunsDir
from cifar_tui.console.help import examples
from cifar_tui.errors import UserError
from cifar_tui.query.fields import FIELDS, Line
from cifar_tui.query.filter import parse
from cifar_tui.runs.listing import Run, Runs


@examples(
    "runs save --all --output runs.csv",
    "runs save best last --columns name,lr,seed,val_acc --format md",
    "runs save best last --what figure --format svg",
)
def runs_save(
    run: Annotated[tuple[str, ...], RUN, Parameter(help="Ids, names, last or best.")] = (),
    /,
    *,
    all: Annotated[bool, Parameter(negative=(), help="Every run.")] = False,
    filter: Filter = None,
    what: Annotated[
        Literal["table", "curves", "figure"] | None,
        Parameter(help="A row per run, a row per epoch, or a picture. [default: the format's]"),
    ] = None,
    format: Annotated[
        Literal["csv", "json", "md", "png", "svg", "tensorboard"] | None,
        Parameter(help="Of the file. [default: the one that --output ends with, else csv or png]"),
    ] = None,
    columns: Annotated[
        str | None,
        Parameter(
            help="Fields separated by commas, like name,lr,seed,val_acc.",
            metavar="FIELD,FIELD,...",
            completer=several_of(FIELDS),
        ),
    ] = None,
    output: Annotated[
        Path | None, Parameter(help="File to write; for tensorboard a folder.", metavar="FILE")
    ] = None,
    overwrite: Annotated[bool, Parameter(negative=(), help="Replace what is there.")] = False,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Save runs as a table, their curves, a figure, or event files for TensorBoard."""
    from cifar_tui.features.save.core import choose, save_runs

    chosen_what, chosen_format = choose(what, format, output)
    saved = save_runs(
        _chosen(Runs(runs), run, all, filter),
        chosen_what,
        chosen_format,
        output,
        columns=[name.strip() for name in (columns or "").split(",") if name.strip()],
        overwrite=overwrite,
    )
    printing.say(saved.to_dict(), saved.sentence(), json)


def _chosen(known: Runs, wanted: tuple[str, ...], all: bool, filter: str | None) -> list[Run]:
    """The runs that are meant, each once, in the order given; raises UserError for none."""
    every = all or (filter is not None and not wanted)
    found = known.all() if every else known.find_each(wanted)
    if filter is not None:
        found = [line.run for line in parse(filter).found(map(Line, found))]
    if not found:
        missing = f"none in {known.folder} is meant" if every else "name some, or say --all"
        raise UserError(f"No run to save; {missing}.")
    return found


COMMANDS = {
    "runs save": runs_save,
}
