"""The commands `data` and `data download`: the images that are there, and how to get others."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.segment import Segment, Segments

from cifar_tui.console import printing
from cifar_tui.console.flags import RUNS, AnyRuns, DataDir, Json
from cifar_tui.console.help import examples
from cifar_tui.console.printing import output_width, put
from cifar_tui.data.find import find
from cifar_tui.drawing import SIDE, gallery, picture, shows_colours
from cifar_tui.table import Table, figures
from cifar_tui.text import plain

if TYPE_CHECKING:
    from cifar_tui.data.dataset import Dataset


@examples(
    "data",
    "data --data demo --pictures 2",
)
def data_show(
    *,
    pictures: Annotated[
        int, Parameter(help="Draw the first N training images of each class.", metavar="N")
    ] = 0,
    data: DataDir = "data",
    json: Json = False,
    runs: AnyRuns = RUNS,
) -> None:
    """Show splits, class counts, channel statistics and fingerprint of the images."""
    from cifar_tui.data.dataset import describe
    from cifar_tui.data.loading import open_dataset

    note, dataset = find(data).note, open_dataset(data)
    described = describe(dataset) | {"note": note}
    if json:
        printing.print_json(described)
        return
    print_data(described)
    if pictures > 0:
        print_pictures(dataset, pictures)


def print_pictures(dataset: "Dataset", count: int) -> None:
    """The first images of each class of the training split, as many side by side as fit."""
    from cifar_tui.features.images.core import class_names, of_class

    console = Console(highlight=False, width=output_width())
    colours, each = shows_colours(console), SIDE + 2
    across, labels = max(1, (console.width + 2) // each), dataset.train.labels
    assert labels is not None  # checked when they were read
    for label, name in enumerate(class_names(dataset)):
        places = of_class(labels, label)[:count]
        for start in range(0, len(places), across):
            some = places[start : start + across]
            drawn = [picture(dataset.train.images[i].tobytes(), colours=colours) for i in some]
            for line in gallery(drawn, [f"#{i} {plain(name)}" for i in some], each):
                console.print(Segments([*line, Segment.line()]), end="")


@examples(
    "data download",
)
def data_download(*, data: DataDir = "data", json: Json = False, runs: AnyRuns = RUNS) -> None:
    """Get the official CIFAR-10 archive (170 MB); run it again to resume."""
    from cifar_tui.data.official import download

    folder = Path(data)
    with printing.progress("downloading", json) as tick:
        download(folder, tick)
    printing.say({"folder": str(folder)}, f"CIFAR-10 is in {folder}.", json)


def print_data(described: Mapping[str, Any]) -> None:
    """Splits, class counts, channel statistics and fingerprint."""
    kind = "synthetic demo set" if described["synthetic"] else f"{described['source']} CIFAR-10"
    put(f"{kind}  {described['folder'] or ''}".strip())
    if described["note"]:
        put(described["note"])
    names = described["classes"] or [str(i) for i in range(10)]
    rows = [
        (name, f"{split['images']:,}", *map(str, split["counts"] or "-" * 10))
        for name, split in described["splits"].items()
    ]
    put(Table(["split", *figures("images", *names)], rows))
    for key in ("mean", "std"):
        put(f"{key:4}  " + "  ".join(f"{v:.4f}" for v in described[key]))
    put(f"fingerprint  {described['fingerprint']}")


COMMANDS = {
    "data": data_show,
    "data download": data_download,
}
