"""Where a part runs, and the pieces of the program it puts together: specs, images, steps."""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.loading import open_dataset
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import TrainBatches, epoch_seed
from cifar_tui.training.device import set_precision, synchronize
from cifar_tui.training.schedule import lr_at
from cifar_tui.training.step import AnyStep, Cut, Step, make_optimiser, set_lr
from cifar_tui.training.trainer import run_epoch, seeded_model

T = TypeVar("T")
BATCH = 128
MIXED = 3 * BATCH + 72
"""Images whose last batch is smaller, as that of a whole epoch."""
SIX = 6
"""Runs at once: as many as the assignment's learning rates."""
MODELS: dict[str, dict[str, Any]] = {
    "simplenn": {"lr": 0.01},
    "simplenn-bn": {"lr": 0.05, "batch_norm": True},
    "simplenn-bn-swish": {"lr": 0.05, "batch_norm": True, "activation": "swish"},
    "resnet20": {"model": "resnet", "lr": 0.1},
    "resnet20-B-swish": {"model": "resnet", "lr": 0.05, "shortcut": "B", "activation": "swish"},
}


@dataclass(frozen=True)
class Setup:
    """A part's folder, its images, and whether it only has to show that it works."""

    work: Path
    data: Path
    smoke: bool

    @property
    def device(self) -> torch.device:
        """The first GPU; the CPU in a smoke run."""
        return torch.device("cpu") if self.smoke else torch.device("cuda", 0)

    @property
    def precisions(self) -> tuple[str, ...]:
        """All that the device has."""
        return ("fp32", "bf16") if self.smoke else ("fp32", "tf32", "bf16")

    def pick(self, whole: T, small: T) -> T:
        """`whole`, or `small` in a smoke run."""
        return small if self.smoke else whole

    def spec(self, model: str = "simplenn", **settings: Any) -> RunSpec:
        """The spec of one of MODELS on these images, augmented, with other settings on top."""
        chosen = {"data": str(self.data), "augment": True, **MODELS[model], **settings}
        if self.smoke and chosen.get("model") == "resnet":
            chosen["depth"] = 8
        return RunSpec.model_validate(chosen)

    def dataset(self, images: int = 0) -> Dataset:
        """The images, or the first so many of those to train on; few in a smoke run."""
        found = open_dataset(str(self.data))
        images = images or self.pick(0, MIXED)
        return replace(found, train=found.train.first(images)) if images else found

    def plain_step(self, spec: RunSpec, batches: Cut, *, channels_last: bool = True) -> Step:
        """The engine's plain step over freshly seeded weights, set up as the trainer does it."""
        set_precision(spec, self.device)
        model = seeded_model(spec).to(self.device)
        if channels_last:
            model = model.to(memory_format=torch.channels_last)
        return Step(model.train(), make_optimiser(model, spec, self.device), batches, spec)

    def sync(self) -> None:
        """Wait until the device has done all it was given."""
        synchronize(self.device)

    def seconds(self, work: Callable[[], object], least: float = 0.4, most: int = 4000) -> float:
        """Seconds of one call of `work`, over enough calls, waited for at the end."""
        for _ in range(3):
            work()
        self.sync()
        began = time.perf_counter()
        work()
        self.sync()
        once = max(time.perf_counter() - began, 1e-6)
        times = max(3, min(most, int(self.pick(least, 0.02) / once)))
        began = time.perf_counter()
        for _ in range(times):
            work()
        self.sync()
        return (time.perf_counter() - began) / times

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a `cifar-tui` that takes turns with nobody else."""
        locks = self.work / more.pop("locks", "locks")
        locks.mkdir(exist_ok=True)
        return {**os.environ, "CIFAR_TUI_LOCKS": str(locks)}


def drive(
    step: AnyStep, plain: Step, batches: TrainBatches, spec: RunSpec, epochs: int, first: int = 1
) -> list[tuple[float, float]]:
    """Train as the trainer does, without its events: (loss, accuracy) of each epoch."""
    found = []
    for epoch in range(first, first + epochs):
        set_lr(plain.optimiser, lr_at(spec, epoch))
        torch.manual_seed(epoch_seed(spec.seed, epoch))
        run_epoch(step, batches.epoch(epoch), len(batches), epoch, lambda *_: 0.0)
        found.append(step.means.read(len(batches)))
    return found


def apart(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> tuple[bool, float]:
    """Whether all tensors are equal bit by bit, and the largest difference between two numbers."""
    equal, most = True, 0.0
    for name, tensor in a.items():
        x, y = tensor.double().cpu(), b[name].double().cpu()
        equal = equal and torch.equal(x, y)
        gap = float((x - y).abs().max()) if x.numel() else 0.0
        most = max(most, gap if math.isfinite(gap) else math.inf)
    return equal, most
