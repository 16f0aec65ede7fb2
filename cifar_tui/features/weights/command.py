"""The commands `import`, `weights` and `surface`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from cifar_tui.console import printing
from cifar_tui.console.flags import RUNS, DataDir, Json, RunsDir
from cifar_tui.errors import UserError
from cifar_tui.features.storage.command import unarchive_file
from cifar_tui.features.surface.core import Slice, make_slice
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs, labelled
from cifar_tui.runs.origin import origin_of

MOST_RUNS = 4
DEFAULT = Slice()
BINS = 51
"""Of the histograms for programs."""


def register(app: App) -> None:
    """Add these commands to the program's."""
    app.command(import_file, name="import")
    app.command(weights)
    app.command(surface)


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
    """List a notebook's checkpoint as a finished run, evaluated on the validation split.

    Of what `runs archive` wrote, bring in all runs as they are.
    """
    from cifar_tui.features.storage.unpack import is_archive

    if is_archive(file):
        if any((name, tags, activation, shortcut, normalisation)):
            raise UserError(f"{file} is an archive; its runs keep their names and settings.")
        unarchive_file(file, json=json, runs=runs)
        return
    from cifar_tui.features.import_.compute import import_checkpoint

    given = {"name": name, "data": data, "tags": tags, "activation": activation}
    given |= {"shortcut": shortcut, "normalisation": normalisation}
    with printing.progress("evaluating", json) as tick:
        found = import_checkpoint(file, runs, given, tick)
    printing.say(found.to_dict(), found.sentence(), json)


def weights(
    run: Annotated[tuple[str, ...], Parameter(name="RUN", help="One to four runs.")],
    /,
    *,
    layer: Annotated[
        str | None, Parameter(help="Draw this layer's histogram instead of the whole net's.")
    ] = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show the weights of a run's best epoch: histograms, and shares below 1e-3 and exactly 0."""
    found = _some(run, runs, "weights")
    from cifar_tui.features.weights.compute import WHOLE, common_limit, layer_names, read_weights

    known = [read_weights(RunFolder(one.path).best) for one in found]
    names = layer_names(known)
    if layer is not None and layer not in names:
        raise UserError(f"There is no layer '{layer}' in these runs; they have {', '.join(names)}.")
    if not json:
        printing.print_weights(labelled(found), known, layer or WHOLE)
        return
    limits = {name: common_limit(known, name) for name in names}
    told = [
        {"id": one.id, "name": one.name, "layers": weights.to_dicts(limits, BINS)}
        for one, weights in zip(found, known, strict=True)
    ]
    printing.print_json({"runs": told})


def surface(
    run: Annotated[tuple[str, ...], Parameter(name="RUN", help="One to four runs.")],
    /,
    *,
    size: Annotated[int, Parameter(help="Points along each side.")] = DEFAULT.size,
    radius: Annotated[
        float, Parameter(help="Half the width; 1 moves each filter by its own norm.")
    ] = DEFAULT.radius,
    images: Annotated[int, Parameter(help="Validation images per point.")] = DEFAULT.images,
    seed: Annotated[int, Parameter(help="Decides the two directions.")] = DEFAULT.seed,
    redo: Annotated[
        bool, Parameter(negative=(), help="Compute it again though it is kept with the run.")
    ] = False,
    data: Annotated[str | None, Parameter(help="Folder with the images.")] = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Draw a slice of the loss surface around a run's best weights; it is kept with the run."""
    found = _some(run, runs, "surface")
    wanted = make_slice(size=size, radius=radius, images=images, seed=seed)
    from cifar_tui.features.surface.compute import surface_of

    surfaces = []
    for one in found:
        with printing.progress(one.name, json) as tick:
            surfaces.append(surface_of(one, wanted, data=data, redo=redo, tick=tick))
    remarks = [origin_of(one).remark(each.data) for one, each in zip(found, surfaces, strict=True)]
    if not json:
        printing.print_surfaces(labelled(found), surfaces)
        printing.put(*dict.fromkeys(filter(None, remarks)))
        return
    told = [
        {"id": one.id, "name": one.name, "remark": remark}
        | slice_.model_dump(mode="json")
        | slice_.figures()
        for one, slice_, remark in zip(found, surfaces, remarks, strict=True)
    ]
    printing.print_json({"runs": told})


def _some(wanted: tuple[str, ...], runs: Path, command: str) -> list[Run]:
    """One to four runs."""
    if not 1 <= len(wanted) <= MOST_RUNS:
        raise UserError(
            f"{command} takes one to {MOST_RUNS} runs, like `cifar-tui {command} best`."
        )
    known = Runs(runs)
    return [known.find(one) for one in wanted]
