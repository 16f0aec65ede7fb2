"""The trainer: turns a spec and images into a stream of events, and measures its pace."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

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
from cifar_tui.training.optimiser import load_state, make_optimiser, set_lr, state_of
from cifar_tui.training.schedule import lr_at
from cifar_tui.training.step import AnyStep, Means, Step, evaluate

Keep = Callable[[Checkpoint, bool], None]
"""Called before the first epoch (as epoch 0) and after each with its checkpoint and whether it is
the best so far."""
Weights = dict[str, Tensor]


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
    state = RunState(spec, keep)
    if resume is None:
        yield state.start(model, initial_loss(model, validation, spec, device))
        state.keep_initial(model.state_dict(), state_of(optimiser))
    else:
        model.load_state_dict(resume.state_dict)
        load_state(optimiser, resume.optimiser)
        yield from state.resume(resume)
    step, remark = make_step(Step(model, optimiser, batches, spec), batches.epoch(state.epoch))
    if remark:
        yield Remark(remark)

    while not state.over:
        set_precision(spec, device)
        set_lr(optimiser, state.lr)
        epoch = state.epoch
        torch.manual_seed(epoch_seed(spec.seed, epoch))
        seconds = run_epoch(step, batches.epoch(epoch), len(batches), epoch, tick)
        metrics = train_metrics(step.means.read(len(batches)), len(batches), seconds)
        metrics |= _validate(model, validation, epoch, spec, device, tick)
        yield from state.close_epoch(
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


class RunState:
    """Where a run stands between two epochs, however its epochs are computed."""

    def __init__(self, spec: RunSpec, keep: Keep) -> None:
        self.epoch = 1
        """The epoch to train next, or the last one when the run is over."""
        self.over = False
        self._spec = spec
        self._keep = keep
        self._best: Point | None = None
        self._steps = 0

    @property
    def lr(self) -> float:
        """The learning rate of the epoch to train next."""
        return lr_at(self._spec, self.epoch)

    def start(self, model: nn.Module, initial_loss: float) -> Started:
        """The event of a run that begins."""
        parameters = sum(p.numel() for p in model.parameters())
        return Started(self._spec.epochs, parameters, initial_loss, math.log(CLASSES))

    def keep_initial(self, weights: Weights, optimiser: dict[str, Any]) -> None:
        """Keep the weights before training, as epoch 0."""
        self._keep(Checkpoint(weights, 0, self.lr, optimiser, 0, self._spec, None), False)

    def resume(self, checkpoint: Checkpoint) -> Iterator[RunEvent]:
        """Go on after a checkpoint's epoch; after the last one the run is over at once."""
        self._best, self._steps = checkpoint.best, checkpoint.step
        self.epoch = checkpoint.epoch + 1
        yield Resumed(checkpoint.epoch, self._best)
        if checkpoint.epoch >= self._spec.epochs:
            yield self._end("finished", "")

    def close_epoch(
        self,
        metrics: dict[str, Any],
        steps: int,
        weights: Callable[[], Weights],
        optimiser: Callable[[], dict[str, Any]],
    ) -> Iterator[RunEvent]:
        """Yield the epoch's events, keep its checkpoint, and end the run or turn to the next epoch.

        `metrics` are the epoch's but for its lr. A run ends as finished or diverged.
        """
        epoch, lr = self.epoch, self.lr
        self._steps += steps
        done = EpochDone(epoch=epoch, lr=lr, **metrics)
        yield done
        if not (math.isfinite(metrics["train_loss"]) and math.isfinite(metrics["val_loss"])):
            yield self._end("diverged", f"diverged at epoch {epoch}: the loss is not finite")
            return
        is_best = done.point.beats(self._best)
        if is_best:
            self._best = done.point
        kept = Checkpoint(weights(), epoch, lr, optimiser(), self._steps, self._spec, self._best)
        self._keep(kept, is_best)
        yield CheckpointSaved(epoch, is_best)
        assert self._best is not None
        patience = self._spec.early_stop
        if patience and epoch - self._best.epoch >= patience:
            reason = f"no better val_acc for {patience} epochs"
            yield self._end("finished", f"stopped early at epoch {epoch}: {reason}")
        elif epoch == self._spec.epochs:
            yield self._end("finished", "")
        else:
            self.epoch += 1

    def _end(self, status: str, reason: str) -> Ended:
        self.over = True
        return Ended(status, reason)
