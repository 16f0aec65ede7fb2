"""The least time an epoch can take: operations and bytes over what the device was seen to do."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from cifar_tui.models.layer_table import summarise_spec
from cifar_tui.spec.spec import RunSpec
from cifar_tui.training.device import synchronize

SIDE = 2048
"""Rows and columns of the matrices multiplied to see the peak."""
COPIED = 256 << 20
"""Bytes copied to see the bandwidth."""
BACKWARD = 3
"""Times each multiply-add is done: forwards, for the input's and for the weights' gradient."""


@dataclass(frozen=True)
class Peaks:
    """The most a device was seen to do: operations a second in a precision, bytes a second."""

    operations: float
    bytes: float


def peaks(spec: RunSpec, device: torch.device) -> Peaks:
    """Measure the device with one large matrix product and one large copy, best of ten."""
    kind = torch.bfloat16 if spec.precision == "bf16" else torch.float32
    a = torch.randn(SIDE, SIDE, device=device, dtype=kind)
    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = torch.empty_like(a)
    seconds = _best(lambda: torch.mm(a, a, out=product), device)
    return Peaks(2 * SIDE**3 / seconds, 2 * COPIED / _best(lambda: target.copy_(source), device))


def _best(work: Callable[[], object], device: torch.device) -> float:
    found = []
    for _ in range(10):
        synchronize(device)
        began = time.perf_counter()
        work()
        synchronize(device)
        found.append(time.perf_counter() - began)
    return min(found)


def floor(spec: RunSpec, seen: Peaks) -> dict[str, Any]:
    """Operations and bytes of one image in a training step, and the images a second they allow.

    Bytes count what convolutions, batch norms and dense layers cannot avoid: forwards each reads
    its input and writes its output, backwards it reads both again (the output's gradient) and
    writes the input's gradient. Everything between them is taken to cost nothing.
    """
    layers = summarise_spec(spec).layers
    weighty = [layer for layer in layers if layer.weight_shape is not None]
    operations = 2 * BACKWARD * sum(layer.multiply_adds for layer in weighty)
    size = 2 if spec.precision == "bf16" else 4
    numbers = sum(
        3 * _count(layer.input_shape) + 2 * _count(layer.output_shape) for layer in weighty
    )
    per_image = max(operations / seen.operations, size * numbers / seen.bytes)
    return {
        "operations_per_image": operations,
        "bytes_per_image": size * numbers,
        "peak_operations_per_second": seen.operations,
        "peak_bytes_per_second": seen.bytes,
        "images_per_second": 1 / per_image,
    }


def _count(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())
