"""The command `import`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.flags import RUNS, DataDir, Json, RunsDir, Tags
from cifar_tui.console.help import examples
from cifar_tui.errors import UserError
from cifar_tui.features.archive.command import unarchive_file


@examples(
    "import simplenn.pth --data data",
    "import net.pth --name notebook --activation swish",
)
def import_file(
    file: Annotated[Path, Parameter(name="FILE", help="A notebook's .pth, or a best.pt.")],
    /,
    *,
    name: Annotated[
        str | None, Parameter(help="A name for it; by default the file's.", metavar="TEXT")
    ] = None,
    data: DataDir = "data",
    tags: Tags = None,
    activation: Annotated[
        Literal["relu", "swish"] | None,
        Parameter(help="Which one it was trained with: weights do not show it. [default relu]"),
    ] = None,
    shortcut: Annotated[
        Literal["A", "none"] | None,
        Parameter(help="What a ResNet without 1x1 shortcuts has: weights do not show it."),
    ] = None,
    normalisation: Annotated[
        Literal["course", "true", "imagenet", "custom"] | None,
        Parameter(help="How its images were normalised. [default course]"),
    ] = None,
    mean: Annotated[
        str | None, Parameter(help="Mean of its images' channels, instead.", metavar="R,G,B")
    ] = None,
    std: Annotated[
        str | None, Parameter(help="Std of its images' channels, with --mean.", metavar="R,G,B")
    ] = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """List a notebook's checkpoint as a finished run, evaluated on the validation split.

    Of what `runs archive` wrote, bring in all runs as they are.
    """
    from cifar_tui.features.archive.core import is_archive

    if is_archive(file):
        if any((name, tags, activation, shortcut, normalisation, mean, std)):
            raise UserError(f"{file} is an archive; its runs keep their names and settings.")
        unarchive_file(file, json=json, runs=runs)
        return
    from cifar_tui.features.import_.compute import import_checkpoint

    given = {"name": name, "data": data, "tags": tags, "activation": activation}
    given |= {"shortcut": shortcut, "normalisation": normalisation, "mean": mean, "std": std}
    if (mean or std) and normalisation is None:
        given["normalisation"] = "custom"
    with printing.progress("evaluating", json) as tick:
        found = import_checkpoint(file, runs, given, tick)
    printing.say(found.to_dict(), found.sentence(), json)


COMMANDS = {
    "import": import_file,
}
