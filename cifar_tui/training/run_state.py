"""The course of one run from epoch to epoch: its events, its best epoch, and when it is over."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

from cifar_tui.runs.events import CheckpointSaved, Ended, EpochDone, Resumed, RunEvent, Started
from cifar_tui.runs.record import Point
from cifar_tui.spec.spec import CLASSES, RunSpec
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.optimiser import lr_at

Keep = Callable[[Checkpoint, bool], None]
"""Called before the first epoch (as epoch 0) and after each with its checkpoint and whether it is
the best so far."""
Weights = dict[str, Tensor]


class Course:
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
