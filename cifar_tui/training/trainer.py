"""The trainer: turns a spec and images into a stream of events."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import nn

from cifar_tui.data.batches import PlainBatches, TrainBatches, epoch_seed
from cifar_tui.data.dataset import Dataset
from cifar_tui.models import build_model
from cifar_tui.spec import CLASSES, RunSpec
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.device import forward, make_reached, set_precision, synchronize
from cifar_tui.training.graphed import GraphedStep, make_step
from cifar_tui.training.optimiser import load_state, make_optimiser, set_lr, state_of
from cifar_tui.training.schedule import lr_at
from cifar_tui.training.step import Means, Step, evaluate

Event = dict[str, Any]
Phase = Literal["train", "val"]
Tick = Callable[[Phase, int, int, int], float]
"""Called between batches with (phase, epoch, images done, images in all); returns the seconds it
held the trainer up, and may raise to end the run."""
Keep = Callable[[Checkpoint, bool], None]
"""Called before the first epoch (as epoch 0) and after each with its checkpoint and whether it is
the best so far."""

INITIAL_IMAGES = 1000


def train(
    spec: RunSpec,
    dataset: Dataset,
    device: torch.device,
    tick: Tick,
    keep: Keep,
    resume: Checkpoint | None = None,
) -> Iterator[Event]:
    """Train as the spec says; yields `start` (or `resume`), then `epoch` and `checkpoint` events.

    The last event is `end`, with status finished or diverged and the reason.
    """
    set_precision(spec, device)
    model = seeded_model(spec).to(device).to(memory_format=torch.channels_last)
    optimiser = make_optimiser(model, spec, device)
    batches = TrainBatches(dataset.train, spec, device)
    validation = PlainBatches(dataset.val, spec, device)
    best: dict[str, Any] | None = None
    first, steps = 1, 0
    if resume is None:
        yield _start(spec, model, initial_loss(model, validation, spec, device))
        state = state_of(optimiser)
        keep(Checkpoint(model.state_dict(), 0, lr_at(spec, 1), state, 0, spec, None), False)
    else:
        model.load_state_dict(resume.state_dict)
        load_state(optimiser, resume.optimiser)
        best, first, steps = resume.best, resume.epoch + 1, resume.step
        yield {"event": "resume", "epoch": resume.epoch, "best": best}
    step, remark = make_step(Step(model, optimiser, batches, spec))
    if remark:
        yield {"event": "remark", "text": remark}

    for epoch in range(first, spec.epochs + 1):
        lr = lr_at(spec, epoch)
        set_lr(optimiser, lr)
        figures = _train_epoch(step, batches, epoch, spec, tick)
        figures |= _validate(model, validation, epoch, spec, device, tick)
        steps += math.ceil(len(batches) / spec.batch_size)
        yield {"event": "epoch", "epoch": epoch, "lr": lr, **figures}
        if not (math.isfinite(figures["train_loss"]) and math.isfinite(figures["val_loss"])):
            yield _end("diverged", f"diverged at epoch {epoch}: the loss is not finite")
            return
        is_best = best is None or figures["val_acc"] > best["val_acc"]
        if is_best:
            best = {k: figures[k] for k in ("val_acc", "val_loss", "train_acc", "train_loss")}
            best["epoch"] = epoch
        state = state_of(optimiser)
        keep(Checkpoint(model.state_dict(), epoch, lr, state, steps, spec, best), is_best)
        yield {"event": "checkpoint", "epoch": epoch, "best": is_best}
        assert best is not None
        if spec.early_stop and epoch - best["epoch"] >= spec.early_stop:
            reason = f"no better val_acc for {spec.early_stop} epochs"
            yield _end("finished", f"stopped early at epoch {epoch}: {reason}")
            return
    yield _end("finished", "")


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


def _train_epoch(
    step: Step | GraphedStep, batches: TrainBatches, epoch: int, spec: RunSpec, tick: Tick
) -> dict[str, Any]:
    torch.manual_seed(epoch_seed(spec.seed, epoch))
    step.model.train()
    step.means.clear()
    reached = make_reached(step.means.loss.device)
    done, held = 0, 0.0
    began = time.perf_counter()
    for windows, labels in batches.epoch(epoch):
        step(windows, labels)
        done += len(labels)
        held += tick("train", epoch, reached(done), len(batches))
    loss, accuracy = step.means.read(done)
    seconds = time.perf_counter() - began - held
    return {
        "train_loss": loss,
        "train_acc": accuracy,
        "train_seconds": seconds,
        "images_per_second": done / seconds,
    }


def _validate(
    model: nn.Module,
    validation: PlainBatches,
    epoch: int,
    spec: RunSpec,
    device: torch.device,
    tick: Tick,
) -> dict[str, Any]:
    held = 0.0

    def count(done: int) -> None:
        nonlocal held
        held += tick("val", epoch, done, len(validation))

    synchronize(device)
    began = time.perf_counter()
    loss, accuracy = evaluate(model, validation, spec, device, count)
    seconds = time.perf_counter() - began - held
    return {"val_loss": loss, "val_acc": accuracy, "val_seconds": seconds}


def _start(spec: RunSpec, model: nn.Module, loss: float) -> Event:
    return {
        "event": "start",
        "epochs": spec.epochs,
        "parameters": sum(p.numel() for p in model.parameters()),
        "initial_loss": loss,
        "chance_loss": math.log(CLASSES),
    }


def _end(status: str, reason: str) -> Event:
    return {"event": "end", "status": status, "reason": reason}
