"""The commands that look into a net: `import`, and what can be seen in weights and losses."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from cifar_tui import printing
from cifar_tui.flags import RUNS, DataDir, Json, RunsDir


def register(app: App) -> None:
    """Add these commands to the program's."""
    app.command(import_file, name="import")


def import_file(
    file: Annotated[Path, Parameter(name="FILE", help="A notebook's .pth, or a best.pt.")],
    /,
    *,
    name: Annotated[str | None, Parameter(help="A name for it; by default the file's.")] = None,
    data: DataDir = "data",
    tags: Annotated[str | None, Parameter(help="Words separated by commas.")] = None,
    activation: Annotated[
        Literal["relu", "swish"] | None,
        Parameter(help="Which one it was trained with: weights do not show it. [default relu]"),
    ] = None,
    shortcut: Annotated[
        Literal["A", "none"] | None,
        Parameter(help="What a ResNet without 1x1 shortcuts has: weights do not show it."),
    ] = None,
    normalisation: Annotated[
        Literal["course", "true"] | None,
        Parameter(help="How its images were normalised. [default course]"),
    ] = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """List a course notebook's checkpoint as a finished run, evaluated on the validation split."""
    from cifar_tui.training.foreign import import_checkpoint

    given = {"name": name, "data": data, "tags": tags, "activation": activation}
    given |= {"shortcut": shortcut, "normalisation": normalisation}
    with printing.progress("evaluating", json) as tick:
        found = import_checkpoint(file, runs, given, tick)
    printing.say(found.to_dict(), found.sentence(), json)
