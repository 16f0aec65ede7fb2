"""What is read off one run to answer a question: an accuracy, an epoch, a share of weights."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.formats import accuracy
from cifar_tui.runs.listing import Run, read_epochs
from cifar_tui.spec import CLASSES

GOAL = 0.6
"""The val_acc whose first epoch is counted in the lesson on convergence."""


@dataclass(frozen=True)
class Measure:
    """One figure of a run; `of` gives None where a run has none."""

    name: str
    of: Callable[[Run], float | None]
    seed_sd: float | None = None
    """What runs that differ in nothing but the seed are taken to vary by, until some are there.

    None where nobody has measured it: then only repeated runs settle anything.
    """
    show: Callable[[float | None], str] = accuracy
    best: Callable[[Iterable[float]], float] = max
    unit: str = ""
    """What stands behind a figure among others' that are accuracies."""

    def show_with_unit(self, value: float | None) -> str:
        """A figure that can stand among accuracies."""
        return self.show(value) + (self.unit if value is not None else "")


def _best_val_acc(run: Run) -> float | None:
    """The best val_acc; of a run that diverged before it learned, chance."""
    if run.status == "diverged":
        return max(run.best_val_acc, 1 / CLASSES)
    return run.best_val_acc if run.best_val_acc >= 0 else None


def _epochs_to_goal(run: Run) -> float | None:
    """The first epoch with val_acc at GOAL or above, else one more than were trained."""
    epochs = read_epochs(run.path)
    reached = (e["epoch"] for e in epochs if (e.get("val_acc") or 0.0) >= GOAL)
    return float(next(reached, len(epochs) + 1))


def _small_weights(run: Run) -> float | None:
    """Share of weights below 1e-3 in best.pt; None where there is none to be read."""
    path = run.path / "best.pt"
    try:
        return _share_below(path, path.stat().st_mtime_ns)
    except (OSError, UserError):
        return None


@functools.lru_cache(maxsize=256)
def _share_below(path: Path, written: int) -> float:
    """The one place that reads weights, and so imports torch."""
    from cifar_tui.models.weights import shares

    return shares(path).below


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


VAL_ACC = Measure("best val_acc", _best_val_acc, seed_sd=0.01)
"""Eleven students' baselines, 0.6414 to 0.6634, have a standard deviation of 0.006."""
EPOCHS_TO_GOAL = Measure(
    f"epochs to {GOAL:.2f}", _epochs_to_goal, seed_sd=1.0, show=_count, best=min, unit=" ep"
)
"""The spread is the measure's own step, an epoch."""
SMALL_WEIGHTS = Measure("|w| < 1e-3", _small_weights)
