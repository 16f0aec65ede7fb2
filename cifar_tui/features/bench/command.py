"""The command `bench`: how fast the engine is here."""

import sys
from typing import Annotated

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.flags import Json
from cifar_tui.errors import UserError
from cifar_tui.features.bench.rounds import MODELS, bench
from cifar_tui.spec.settings import SETTINGS

PRECISIONS = SETTINGS["precision"].choices


def bench_command(
    *,
    model: Annotated[str, Parameter(help="Models, separated by commas.")] = "simplenn,resnet",
    precision: Annotated[
        str | None,
        Parameter(help="Precisions, separated by commas; without it, all that the device has."),
    ] = None,
    rounds: Annotated[int, Parameter(help="How often each is measured, in turns.")] = 3,
    images: Annotated[
        int | None,
        Parameter(help="Training images in a turn; all for SimpleNN, 5,120 for ResNet-20."),
    ] = None,
    data: Annotated[str, Parameter(help="Folder with the images, or `demo`.")] = "data",
    device: Annotated[str, Parameter(help="As of `train`.")] = "auto",
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
        printing.print_bench(result)


def _words(name: str, text: str, known: tuple[str, ...]) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise UserError(f"--{name} takes {', '.join(known)}; got '{word}'.")
    return words


def _usual(device: str) -> str:
    """The precisions that the device is made for."""
    import torch

    from cifar_tui.spec.settings import make_spec
    from cifar_tui.training.device import choose_device

    kind = choose_device(make_spec({"device": device})).type
    if kind == "cuda":
        return "fp32,tf32,bf16"
    has_bf16 = kind == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "fp32,bf16" if has_bf16 else "fp32"
