"""The course of one run from epoch to epoch: its events, its best epoch, and when it is over."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

from cifar_tui.spec.spec import CLASSES, RunSpec
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.optimiser import lr_at

Event = dict[str, Any]
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
        self._best: dict[str, Any] | None = None
        self._steps = 0

    @property
    def lr(self) -> float:
        """The learning rate of the epoch to train next."""
        return lr_at(self._spec, self.epoch)

    def start(self, model: nn.Module, initial_loss: float) -> Event:
        """The event of a run that begins, with its loss before training beside that of chance."""
        return {
            "event": "start",
            "epochs": self._spec.epochs,
            "parameters": sum(p.numel() for p in model.parameters()),
            "initial_loss": initial_loss,
            "chance_loss": math.log(CLASSES),
        }

    def keep_initial(self, weights: Weights, optimiser: dict[str, Any]) -> None:
        """Keep the weights before training, as epoch 0."""
        self._keep(Checkpoint(weights, 0, self.lr, optimiser, 0, self._spec, None), False)

    def resume(self, checkpoint: Checkpoint) -> Iterator[Event]:
        """Go on after a checkpoint's epoch; after the last one the run is over at once."""
        self._best, self._steps = checkpoint.best, checkpoint.step
        self.epoch = checkpoint.epoch + 1
        yield {"event": "resume", "epoch": checkpoint.epoch, "best": self._best}
        if checkpoint.epoch >= self._spec.epochs:
            yield self._end("finished", "")

    def close_epoch(
        self,
        figures: dict[str, Any],
        steps: int,
        weights: Callable[[], Weights],
        optimiser: Callable[[], dict[str, Any]],
    ) -> Iterator[Event]:
        """Yield the epoch's events, keep its checkpoint, and end the run or turn to the next epoch.

        The last event of a run is `end`, with status finished or diverged and the reason.
        """
        epoch, lr = self.epoch, self.lr
        self._steps += steps
        yield {"event": "epoch", "epoch": epoch, "lr": lr, **figures}
        if not (math.isfinite(figures["train_loss"]) and math.isfinite(figures["val_loss"])):
            yield self._end("diverged", f"diverged at epoch {epoch}: the loss is not finite")
            return
        is_best = self._best is None or figures["val_acc"] > self._best["val_acc"]
        if is_best:
            best = {k: figures[k] for k in ("val_acc", "val_loss", "train_acc", "train_loss")}
            self._best = best | {"epoch": epoch}
        kept = Checkpoint(weights(), epoch, lr, optimiser(), self._steps, self._spec, self._best)
        self._keep(kept, is_best)
        yield {"event": "checkpoint", "epoch": epoch, "best": is_best}
        assert self._best is not None
        patience = self._spec.early_stop
        if patience and epoch - self._best["epoch"] >= patience:
            reason = f"no better val_acc for {patience} epochs"
            yield self._end("finished", f"stopped early at epoch {epoch}: {reason}")
        elif epoch == self._spec.epochs:
            yield self._end("finished", "")
        else:
            self.epoch += 1

    def _end(self, status: str, reason: str) -> Event:
        self.over = True
        return {"event": "end", "status": status, "reason": reason}
