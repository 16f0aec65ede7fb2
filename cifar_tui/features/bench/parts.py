"""`python -m cifar_tui.features.bench.parts`: one measurement in a process, JSON in and out.

A process each, so that the engine's memory settings and threads never help or hinder the others.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.loading import open_dataset
from cifar_tui.features.bench import plain
from cifar_tui.models.layer_table import summarise_spec
from cifar_tui.runs.events import EpochDone, Remark
from cifar_tui.spec.checks import make_spec
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import TrainBatches
from cifar_tui.training.device import choose_device, device_name, set_precision, synchronize
from cifar_tui.training.graphed import make_step
from cifar_tui.training.process import keep_freed_memory
from cifar_tui.training.step import Step, make_optimiser
from cifar_tui.training.trainer import seeded_model, train

SIDE = 2048
"""Rows and columns of the matrices multiplied to see the peak."""
COPIED = 256 << 20
"""Bytes copied to see the bandwidth."""
BACKWARD = 3
"""Times each multiply-add is done: forwards, for the input's and for the weights' gradient."""


WARM_UP = 5
"""Batches that are not timed."""


def measure_plain(spec: RunSpec, dataset: Dataset, device: torch.device) -> dict[str, Any]:
    """(a) The usual script's loop."""
    rate, seconds = plain.measure(dataset.train, dataset.val, spec, device, WARM_UP)
    return {"images_per_second": rate, "val_seconds": seconds}


def measure_engine(spec: RunSpec, dataset: Dataset, device: torch.device) -> dict[str, Any]:
    """(b) The second of two epochs of the trainer, as every run uses it."""
    spec = spec.model_copy(update={"epochs": 2})
    events = train(spec, dataset, device, lambda *_: 0.0, lambda *_: None)
    found = list(events)
    last = [event for event in found if isinstance(event, EpochDone)][-1]
    remarks = [event.text for event in found if isinstance(event, Remark)]
    speed, seconds = last.images_per_second, last.val_seconds
    return {"images_per_second": speed, "val_seconds": seconds, "remarks": remarks}


class Resident:
    """One batch that is already cut, instead of a data set."""

    def __init__(self, images: Tensor) -> None:
        self._images = images

    def cut(self, windows: Tensor) -> Tensor:
        """The same images whatever is asked for."""
        return self._images


def measure_limit(spec: RunSpec, dataset: Dataset, device: torch.device) -> dict[str, Any]:
    """(c) The same model's steps on one resident batch, and nothing else."""
    model = seeded_model(spec).to(device).to(memory_format=torch.channels_last).train()
    batches = TrainBatches(plain.limited(dataset.train, spec.batch_size), spec, device)
    windows, labels = next(batches.epoch(1))
    images = batches.cut(windows)
    plain_step = Step(model, make_optimiser(model, spec, device), Resident(images), spec)
    step, _ = make_step(plain_step, [(windows, labels)])

    def once() -> None:
        if step is plain_step:
            plain_step.update(images, labels)
        else:
            step(windows, labels)

    steps = max(1, len(dataset.train) // len(labels))
    _repeat(once, max(WARM_UP, steps // 10), device)
    return {"images_per_second": steps * len(labels) / _repeat(once, steps, device)}


def _repeat(work: Callable[[], None], times: int, device: torch.device) -> float:
    synchronize(device)
    began = time.perf_counter()
    for _ in range(times):
        work()
    synchronize(device)
    return time.perf_counter() - began


def measure_floor(spec: RunSpec, dataset: Dataset, device: torch.device) -> dict[str, Any]:
    """What arithmetic says no program can beat on this device."""
    return floor(spec, peaks(spec, device)) | {"device": device_name(device)}


PARTS = {
    "plain": measure_plain,
    "engine": measure_engine,
    "limit": measure_limit,
    "floor": measure_floor,
}


def main() -> None:
    """Measure what the JSON on the command line asks for, and print the figures."""
    asked = json.loads(sys.argv[1])
    spec = make_spec(asked["spec"])
    device = choose_device(spec)
    dataset = open_dataset(spec.data)
    if asked["images"]:
        dataset = replace(dataset, train=plain.limited(dataset.train, asked["images"]))
    least = 2 * WARM_UP * spec.batch_size
    if len(dataset.train) < least:
        sys.exit(f"{len(dataset.train):,} training images are too few; bench needs {least:,}.")
    if asked["part"] != "plain":
        set_precision(spec, device)
        keep_freed_memory()
    found = PARTS[asked["part"]](spec, dataset, device)
    print(json.dumps(found | {"source": dataset.source, "threads": torch.get_num_threads()}))


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


if __name__ == "__main__":
    main()
