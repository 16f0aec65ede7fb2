"""The trainer: turns a spec and images into a stream of events, and measures its pace."""

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from cifar_tui.data.dataset import Dataset
from cifar_tui.models.build import build_model
from cifar_tui.runs.events import Remark, RunEvent
from cifar_tui.spec.spec import RunSpec
from cifar_tui.training.batches import PlainBatches, TrainBatches, epoch_seed
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.device import (
    Backlog,
    Mark,
    forward,
    make_current,
    marker,
    set_precision,
    synchronize,
)
from cifar_tui.training.graphed import make_step
from cifar_tui.training.optimiser import load_state, make_optimiser, set_lr, state_of
from cifar_tui.training.run_state import Course, Keep
from cifar_tui.training.step import AnyStep, Means, Step, evaluate

Phase = Literal["train", "val"]
BatchTick = Callable[[Phase, int, int, int, Callable[[], None]], float]
"""Called between batches with (phase, epoch, images done, images in all, settle); returns the
seconds it held the trainer up, and may raise to end the run. `settle` waits until the device has
done all it was given, to be called before time is taken that is not the trainer's."""
INITIAL_IMAGES = 1000


def train(
    spec: RunSpec,
    dataset: Dataset,
    device: torch.device,
    tick: BatchTick,
    keep: Keep,
    resume: Checkpoint | None = None,
) -> Iterator[RunEvent]:
    """Train as the spec says; yields what happens, from the start or resume to the end."""
    make_current(device)
    set_precision(spec, device)
    model = seeded_model(spec).to(device).to(memory_format=torch.channels_last)
    optimiser = make_optimiser(model, spec, device)
    batches = TrainBatches(dataset.train, spec, device)
    validation = PlainBatches(dataset.val, spec, device)
    course = Course(spec, keep)
    if resume is None:
        yield course.start(model, initial_loss(model, validation, spec, device))
        course.keep_initial(model.state_dict(), state_of(optimiser))
    else:
        model.load_state_dict(resume.state_dict)
        load_state(optimiser, resume.optimiser)
        yield from course.resume(resume)
    step, remark = make_step(Step(model, optimiser, batches, spec), batches.epoch(course.epoch))
    if remark:
        yield Remark(remark)

    while not course.over:
        set_precision(spec, device)
        set_lr(optimiser, course.lr)
        epoch = course.epoch
        torch.manual_seed(epoch_seed(spec.seed, epoch))
        seconds = run_epoch(step, batches.epoch(epoch), len(batches), epoch, tick)
        metrics = train_metrics(step.means.read(len(batches)), len(batches), seconds)
        metrics |= _validate(model, validation, epoch, spec, device, tick)
        yield from course.close_epoch(
            metrics, batches.steps, model.state_dict, lambda: state_of(optimiser)
        )


def seeded_model(spec: RunSpec) -> nn.Module:
    """The spec's model with initial weights drawn from its seed, the same for every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        return build_model(spec)


def initial_loss(
    model: nn.Module, validation: PlainBatches, spec: RunSpec, device: torch.device
) -> float:
    """Mean loss before any step, on up to 1,000 validation images.

    Batch norm uses the batch's own statistics, as in training: its running ones are still empty.
    The model itself is left as it was.
    """
    twin = copy.deepcopy(model).train()
    for layer in twin.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()
    means = Means(device)
    done = 0
    with torch.no_grad():
        for images, labels in validation:
            logits = forward(twin, images, spec)
            means.add(nn.functional.cross_entropy(logits, labels), logits, labels)
            done += len(labels)
            if done >= INITIAL_IMAGES:
                break
    return means.read(done)[0]


def run_epoch(
    step: AnyStep,
    batches: Iterable[tuple[Tensor, Tensor]],
    images: int,
    epoch: int,
    tick: BatchTick,
    mark: Callable[[], Mark] | None = None,
) -> float:
    """Train one epoch of so many images; returns its seconds without those that `tick` held it.

    `mark` marks what the step's device was given, by default in that device's own way.
    """
    step.model.train()
    step.means.clear()
    device = step.means.loss.device
    backlog = Backlog(mark or marker(device))
    given, held = 0, 0.0
    began = time.perf_counter()
    for windows, labels in batches:
        step(windows, labels)
        given += labels.shape[-1]
        held += tick("train", epoch, backlog.add(given), images, backlog.settle)
    while backlog:
        held += tick("train", epoch, backlog.wait(), images, backlog.settle)
    synchronize(device)
    return time.perf_counter() - began - held


def train_metrics(means: tuple[float, float], images: int, seconds: float) -> dict[str, float]:
    """An epoch's metrics of training."""
    return {
        "train_loss": means[0],
        "train_acc": means[1],
        "train_seconds": seconds,
        "images_per_second": images / seconds,
    }


def _validate(
    model: nn.Module,
    validation: PlainBatches,
    epoch: int,
    spec: RunSpec,
    device: torch.device,
    tick: BatchTick,
) -> dict[str, float]:
    held = 0.0

    def count(done: int) -> None:
        nonlocal held
        held += tick("val", epoch, done, len(validation), lambda: synchronize(device))

    began = time.perf_counter()
    loss, accuracy = evaluate(model, validation, spec, device, count)
    seconds = time.perf_counter() - began - held
    return {"val_loss": loss, "val_acc": accuracy, "val_seconds": seconds}


class Rate:
    """Training speed over the last seconds, and the length of a whole epoch."""

    def __init__(self) -> None:
        self.value: float | None = None
        """Images per second, smoothed; None before it is known."""
        self._epoch_seconds: float | None = None
        self._epoch = 0
        self._epoch_began = 0.0
        self._images = 0
        self._left = 0
        self._mark: tuple[float, int] | None = None

    def count(self, training: bool, epoch: int, done: int, images: int, now: float) -> None:
        """Take note of one look between two batches, `done` of the phase's `images` into it."""
        if epoch != self._epoch:
            if epoch == self._epoch + 1 and self._epoch_began:
                self._epoch_seconds = now - self._epoch_began
            self._epoch, self._epoch_began, self._mark = epoch, now, None
        if not training:
            self._left = 0
            return
        self._images, self._left = images, images - done
        if self._mark and now > self._mark[0] and done > self._mark[1]:
            fresh = (done - self._mark[1]) / (now - self._mark[0])
            self.value = fresh if self.value is None else 0.7 * self.value + 0.3 * fresh
        self._mark = (now, done)

    def forget(self) -> None:
        """Begin anew after a pause."""
        self._mark = None
        self._epoch_began = 0.0

    def seconds_left(self, epochs: int) -> float | None:
        """Time for the rest of this epoch and `epochs` more; None before the speed is known."""
        if not self.value:
            return None
        per_epoch = self._epoch_seconds or self._images / self.value
        return epochs * per_epoch + self._left / self.value
