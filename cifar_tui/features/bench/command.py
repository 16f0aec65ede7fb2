"""The command `bench`: how fast the engine is here."""

import sys
from typing import Annotated

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.completion import several_of
from cifar_tui.console.flags import DataDir, Device, Json
from cifar_tui.console.help import examples
from cifar_tui.console.printing import put
from cifar_tui.errors import UserError
from cifar_tui.features.bench.rounds import MODELS, BenchRow, Result, bench
from cifar_tui.spec.checks import SETTINGS
from cifar_tui.table import Table, figures
from cifar_tui.text import rate

PRECISIONS = SETTINGS["precision"].choices


@examples(
    "bench --data demo",
    "bench --model resnet --precision fp32,bf16 --rounds 5",
)
def bench_command(
    *,
    model: Annotated[
        str,
        Parameter(help="Which to measure.", metavar="MODEL,...", completer=several_of(MODELS)),
    ] = "simplenn,resnet",
    precision: Annotated[
        str | None,
        Parameter(
            help="Which to measure; by default all that the device has.",
            metavar="PRECISION,...",
            completer=several_of(PRECISIONS),
        ),
    ] = None,
    rounds: Annotated[int, Parameter(help="How often each is measured, in turns.")] = 3,
    images: Annotated[
        int | None,
        Parameter(help="Training images in a turn; all for SimpleNN, 5,120 for ResNet-20."),
    ] = None,
    data: DataDir = "data",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure the engine beside the usual script and the limit of this machine, in turns."""
    if rounds < 1 or (images is not None and images < 1):
        raise UserError("bench needs --rounds and --images of at least 1.")
    models = _words("model", model, tuple(MODELS))
    precisions = _words("precision", precision or _usual(device), PRECISIONS)
    result = bench(
        models,
        precisions,
        data=data,
        device=device,
        rounds=rounds,
        images=images,
        tell=lambda text: print(text, file=sys.stderr, flush=True),
    )
    if json:
        printing.print_json(result.to_dict())
    else:
        print_bench(result)


def _words(name: str, text: str, known: tuple[str, ...]) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise UserError(f"--{name} takes {', '.join(known)}; got '{word}'.")
    return words


def _usual(device: str) -> str:
    """The precisions that the device is made for."""
    import torch

    from cifar_tui.spec.checks import make_spec
    from cifar_tui.training.device import choose_device

    kind = choose_device(make_spec({"device": device})).type
    if kind == "cuda":
        return "fp32,tf32,bf16"
    has_bf16 = kind == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "fp32,bf16" if has_bf16 else "fp32"


def print_bench(result: Result) -> None:
    """Rates and ratios of each model and precision, and what the columns mean."""
    measured = ("a script", "b ours", "c limit", "floor", "b/a", "b/c", "s/epoch")
    put(
        f"{result.device}, {result.threads} threads, {result.source} images, "
        f"median of {result.rounds} rounds; images/s in training",
        Table(["model", "", *figures(*measured)], map(_texts, result.rows)),
        "a: the usual script (PIL, DataLoader, .item() each step; always fp32)  b: this engine",
        "c: the same steps on one resident batch  floor: operations or bytes over measured peaks",
        "The ratios are what counts: images/s belong to this machine at this hour.",
        *(f"{row.model} {row.precision}: {text}" for row in result.rows for text in row.remarks),
    )


def _texts(row: BenchRow) -> tuple[str, ...]:
    return (
        row.model,
        row.precision,
        *map(rate, (row.plain, row.engine, row.limit, row.floor)),
        f"{row.engine_over_plain:.2f}",
        f"{row.engine_over_limit:.3f}",
        f"{row.to_dict()['seconds_per_epoch']['engine']:.2f}",
    )


COMMANDS = {
    "bench": bench_command,
}
