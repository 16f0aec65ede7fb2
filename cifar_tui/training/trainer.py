"""The trainer: turns a spec and images into a stream of events."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from cifar_tui.data.dataset import Dataset
from cifar_tui.models.build import build_model
from cifar_tui.runs.events import (
    CheckpointSaved,
    Ended,
    EpochDone,
    Remark,
    Resumed,
    RunEvent,
    Started,
)
from cifar_tui.runs.record import Point
from cifar_tui.spec.settings import CLASSES, RunSpec
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
from cifar_tui.training.schedule import lr_at
from cifar_tui.training.step import (
    AnyStep,
    Means,
    Step,
    evaluate,
    load_state,
    make_optimiser,
    set_lr,
    state_of,
)

Keep = Callable[[Checkpoint, bool], None]
"""Called before the first epoch (as epoch 0) and after each with its checkpoint and whether it is
the best so far."""
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
    best: Point | None = None
    begun = steps = 0
    if resume is None:
        parameters = sum(p.numel() for p in model.parameters())
        loss = initial_loss(model, validation, spec, device)
        yield Started(spec.epochs, parameters, loss, math.log(CLASSES))
        untrained = state_of(optimiser)
        keep(Checkpoint(model.state_dict(), 0, lr_at(spec, 1), untrained, 0, spec, None), False)
    else:
        model.load_state_dict(resume.state_dict)
        load_state(optimiser, resume.optimiser)
        best, begun, steps = resume.best, resume.epoch, resume.step
        yield Resumed(begun, best)
    step, remark = make_step(Step(model, optimiser, batches, spec), batches.epoch(begun + 1))
    if remark:
        yield Remark(remark)

    for epoch in range(begun + 1, spec.epochs + 1):
        lr = lr_at(spec, epoch)
        set_precision(spec, device)
        set_lr(optimiser, lr)
        torch.manual_seed(epoch_seed(spec.seed, epoch))
        seconds = run_epoch(step, batches.epoch(epoch), len(batches), epoch, tick)
        loss, accuracy = step.means.read(len(batches))
        val_loss, val_acc, val_seconds = _validate(model, validation, epoch, spec, device, tick)
        steps += batches.steps
        done = EpochDone(
            epoch=epoch,
            lr=lr,
            train_loss=loss,
            train_acc=accuracy,
            val_loss=val_loss,
            val_acc=val_acc,
            train_seconds=seconds,
            val_seconds=val_seconds,
            images_per_second=len(batches) / seconds,
        )
        yield done
        if not (math.isfinite(loss) and math.isfinite(val_loss)):
            yield Ended("diverged", f"diverged at epoch {epoch}: the loss is not finite")
            return
        is_best = done.point.beats(best)
        best = done.point if is_best else best
        state = state_of(optimiser)
        keep(Checkpoint(model.state_dict(), epoch, lr, state, steps, spec, best), is_best)
        yield CheckpointSaved(epoch, is_best)
        if spec.early_stop and best and epoch - best.epoch >= spec.early_stop:
            reason = f"no better val_acc for {spec.early_stop} epochs"
            yield Ended("finished", f"stopped early at epoch {epoch}: {reason}")
            return
    yield Ended("finished", "")


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
    """Train one epoch; returns its seconds without those that `tick` held it.

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
        given += len(labels)
        held += tick("train", epoch, backlog.add(given), images, backlog.settle)
    while backlog:
        held += tick("train", epoch, backlog.wait(), images, backlog.settle)
    synchronize(device)
    return time.perf_counter() - began - held


def _validate(
    model: nn.Module,
    validation: PlainBatches,
    epoch: int,
    spec: RunSpec,
    device: torch.device,
    tick: BatchTick,
) -> tuple[float, float, float]:
    """Mean loss, accuracy, and the seconds without those that `tick` held it."""
    held = 0.0

    def count(done: int) -> None:
        nonlocal held
        held += tick("val", epoch, done, len(validation), lambda: synchronize(device))

    began = time.perf_counter()
    loss, accuracy = evaluate(model, validation, spec, device, count)
    seconds = time.perf_counter() - began - held
    return loss, accuracy, seconds
