"""TODO"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.flags import (
    NO_FLAGS,
    RUNS,
    AnyRuns,
    DataDir,
    Json,
    SpecFlags,
)
from cifar_tui.console.help import examples
from cifar_tui.console.printing import put
from cifar_tui.console.table import Table
from cifar_tui.spec.checks import make_spec
from cifar_tui.spec.naming import model_name
from cifar_tui.spec.settings import RunSpec

if TYPE_CHECKING:
    from cifar_tui.models.layer_table import Answer, ModelSummary


def print_summary(spec: RunSpec, summary: "ModelSummary", answers: Sequence["Answer"]) -> None:
    """The layer table with totals, and the computation answers if asked for."""
    from cifar_tui.models.layer_table import ROW, rows

    table = Table(*ROW, right=ROW[4:])
    for row in rows(summary):
        table.add(*row)
    put(model_name(spec.model_dump()), table)
    for answer in answers:
        put(f"{answer.question}  {answer.answer}")


def print_data(described: Mapping[str, Any]) -> None:
    """Splits, class counts, channel statistics and fingerprint."""
    kind = "synthetic demo set" if described["synthetic"] else f"{described['source']} CIFAR-10"
    put(f"{kind}  {described['folder'] or ''}".strip())
    if described["note"]:
        put(described["note"])
    names = described["classes"] or [str(i) for i in range(10)]
    table = Table("split", "images", *names, right=["images", *names])
    for name, split in described["splits"].items():
        counts = split["counts"] or ["-"] * 10
        table.add(name, f"{split['images']:,}", *(str(c) for c in counts))
    put(table)
    for key in ("mean", "std"):
        put(f"{key:4}  " + "  ".join(f"{v:.4f}" for v in described[key]))
    put(f"fingerprint  {described['fingerprint']}")


@examples(
    "summary --model resnet --depth 20",
    "summary --batch-norm --answers",
)
def summary(
    *,
    settings: Annotated[SpecFlags, Parameter(name="*")] = NO_FLAGS,
    answers: Annotated[
        bool, Parameter(negative=(), help="Also answer the assignment's computation questions.")
    ] = False,
    json: Json = False,
    runs: AnyRuns = RUNS,
) -> None:
    """Show a model layer by layer: shapes, parameters, multiply-adds."""
    from cifar_tui.models.layer_table import computation_answers, summarise_spec

    flags = dataclasses.asdict(settings)
    spec = make_spec({k: v for k, v in flags.items() if v is not None})
    found = summarise_spec(spec)
    asked = computation_answers() if answers else []
    if json:
        printing.print_json(
            found.to_dict() | ({"answers": [dataclasses.asdict(a) for a in asked]} if asked else {})
        )
    else:
        print_summary(spec, found, asked)


@examples(
    "data",
    "data --data demo",
)
def data_show(*, data: DataDir = "data", json: Json = False, runs: AnyRuns = RUNS) -> None:
    """Show splits, class counts, channel statistics and fingerprint of the images."""
    from cifar_tui.data.dataset import describe
    from cifar_tui.data.find import find
    from cifar_tui.data.loading import open_dataset

    note = find(data).note
    described = describe(open_dataset(data)) | {"note": note}
    if json:
        printing.print_json(described)
    else:
        print_data(described)


@examples(
    "data download",
)
def data_download(*, data: DataDir = "data", json: Json = False, runs: AnyRuns = RUNS) -> None:
    """Get the official CIFAR-10 archive (170 MB); run it again to resume."""
    from cifar_tui.data.official import download

    folder = Path(data)
    with printing.download_progress(json) as tick:
        download(folder, tick)
    printing.say({"folder": str(folder)}, f"CIFAR-10 is in {folder}.", json)


COMMANDS = {
    "summary": summary,
    "data": data_show,
    "data download": data_download,
}
