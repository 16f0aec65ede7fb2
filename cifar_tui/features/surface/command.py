"""The commands `surface`: slices of loss surfaces, computed once and kept with the run."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from cifar_tui.console import printing
from cifar_tui.console.flags import RUN, RUNS, DataFolder, Json, RunsDir, few_runs
from cifar_tui.console.help import examples
from cifar_tui.console.printing import output_width, put
from cifar_tui.drawing import shows_colours
from cifar_tui.features.surface.core import (
    Slice,
    Surface,
    make_slice,
    shade_legend,
    slice_pictures,
    surface_table,
)
from cifar_tui.runs.listing import labelled
from cifar_tui.runs.origin import origin_of

SURFACE_CELLS = 40
"""Width of a slice of a loss surface; half as many lines make it square."""
DEFAULT = Slice()


@examples(
    "surface best",
    "surface best last --size 31",
)
def surface(
    run: Annotated[tuple[str, ...], RUN, Parameter(help="One to four runs.")],
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
    data: DataFolder = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Draw a slice of the loss surface around a run's best weights; it is kept with the run."""
    found = few_runs(run, runs, "surface")
    wanted = make_slice(size=size, radius=radius, images=images, seed=seed)
    from cifar_tui.features.surface.compute import surface_of

    surfaces = []
    for one in found:
        with printing.progress(one.name, json) as tick:
            surfaces.append(surface_of(one, wanted, data=data, redo=redo, tick=tick))
    remarks = [origin_of(one).remark(each.data) for one, each in zip(found, surfaces, strict=True)]
    if not json:
        print_surfaces(labelled(found), surfaces)
        printing.put(*dict.fromkeys(filter(None, remarks)))
        return
    told = [
        {"id": one.id, "name": one.name, "remark": remark}
        | slice_.model_dump(mode="json")
        | slice_.figures()
        for one, slice_, remark in zip(found, surfaces, remarks, strict=True)
    ]
    printing.print_json({"runs": told})


def print_surfaces(names: Sequence[str], surfaces: Sequence[Surface]) -> None:
    """Slices side by side on one scale, what the shades stand for, and each one's figures."""
    each = min(SURFACE_CELLS, SURFACE_CELLS * 2 // len(surfaces))
    colours = shows_colours(Console(width=output_width()))
    put(
        *slice_pictures(names, surfaces, each * len(surfaces), each // 2, colours=colours),
        "",
        shade_legend(surfaces, colours=colours),
        "",
        surface_table(names, surfaces),
        "",
        surfaces[0].words(),
    )


COMMANDS = {
    "surface": surface,
}
