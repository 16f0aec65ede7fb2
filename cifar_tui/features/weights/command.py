"""The command `weights`: histograms of a net's layers, and their shares near and at 0."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.flags import RUN, RUNS, Json, RunsDir, few_runs
from cifar_tui.console.help import examples
from cifar_tui.console.printing import put
from cifar_tui.errors import UserError
from cifar_tui.files import check_output, write_output
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, labelled

if TYPE_CHECKING:
    from cifar_tui.features.weights.compute import Weights


BINS = 51
"""Of the histograms for programs."""


@examples(
    "weights best",
    "weights best last --layer conv1",
    "weights best last --output weights.png",
)
def weights(
    run: Annotated[tuple[str, ...], RUN, Parameter(help="One to four runs.")],
    /,
    *,
    layer: Annotated[
        str | None,
        Parameter(help="Draw this layer's histogram instead of the whole net's.", metavar="LAYER"),
    ] = None,
    output: Annotated[
        Path | None, Parameter(help="Draw them into this .png or .svg file.", metavar="FILE")
    ] = None,
    overwrite: Annotated[bool, Parameter(negative=(), help="Replace the file.")] = False,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show the weights of a run's best epoch: histograms, and shares below 1e-3 and exactly 0."""
    found = few_runs(run, runs, "weights")
    from cifar_tui.features.weights.compute import WHOLE, common_limit, layer_names, read_weights

    known = [read_weights(RunFolder(one.path).best) for one in found]
    names = layer_names(known)
    if layer is not None and layer not in names:
        raise UserError(f"There is no layer '{layer}' in these runs; they have {', '.join(names)}.")
    if output is not None:
        _save_figure(found, known, layer or WHOLE, output, overwrite=overwrite)
        printing.say({"output": str(output)}, f"The histograms are in {output}.", json)
        return
    if not json:
        print_weights(labelled(found), known, layer or WHOLE)
        return
    limits = {name: common_limit(known, name) for name in names}
    told = [
        {"id": one.id, "name": one.name, "layers": weights.to_dicts(limits, BINS)}
        for one, weights in zip(found, known, strict=True)
    ]
    printing.print_json({"runs": told})


def _save_figure(
    runs: Sequence[Run], known: Sequence["Weights"], layer: str, output: Path, *, overwrite: bool
) -> None:
    from cifar_tui.features.save.core import PICTURE_FORMATS, require_matplotlib
    from cifar_tui.features.weights.figure import draw_histograms

    kind = output.suffix[1:].lower()
    if kind not in PICTURE_FORMATS:
        raise UserError(f"{output} must end in .png or .svg.")
    check_output(output, overwrite, "weights.png")
    require_matplotlib()
    picture, synthetic = io.BytesIO(), any(run.synthetic for run in runs)
    titles = labelled(runs)
    draw_histograms(titles, known, [(picture, kind)], synthetic=synthetic, layer=layer)
    write_output(output, picture.getvalue(), overwrite=overwrite)


def print_weights(titles: Sequence[str], found: Sequence["Weights"], layer: str) -> None:
    """Each layer's spread and shares, a group of columns per run, and histograms of one layer."""
    from cifar_tui.features.weights.compute import layer_table, pictures

    table = layer_table(titles, found, slice(1, None) if len(found) > 1 else slice(None))
    drawn = pictures(titles, found, layer, 80, 8)
    put(table, "", f"{layer}: how many weights (log axis) have which value", *drawn)


COMMANDS = {
    "weights": weights,
}
