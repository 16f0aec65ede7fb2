"""What is read off one run, and trends as checks on means and their spread."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, variance

from cifar_tui.errors import UserError
from cifar_tui.features.effects.model import NORMAL, student
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.listing import Run
from cifar_tui.spec.settings import CLASSES
from cifar_tui.text import accuracy

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
    reached = (epoch.epoch for epoch in epochs if (epoch.val_acc or 0.0) >= GOAL)
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
    from cifar_tui.features.weights.compute import shares

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


@dataclass(frozen=True)
class Figures:
    """What was measured: each setting's label with one figure per seed, in the lab's order."""

    values: Mapping[str, Sequence[float]]
    seed_sd: Mapping[str, float | None]
    """What each setting's runs are taken to vary by; None: not known."""
    show: Callable[[float | None], str]

    def has(self, *labels: str) -> bool:
        """Whether each of these settings has a figure."""
        return all(self.values.get(label) for label in labels)

    def mean(self, label: str) -> float:
        """The mean over seeds of a setting that has figures."""
        return fmean(self.values[label])

    def margin(self, weights: Mapping[str, float]) -> float:
        """Half width of the 95 % confidence interval of a weighted sum of means."""
        groups = [self.values[label] for label in weights]
        freedom = sum(len(group) - 1 for group in groups)
        if freedom < 2:
            quantile = NORMAL
            known = [self.seed_sd.get(label) for label in weights]
            spreads = [math.inf if sd is None else sd**2 for sd in known]
        else:
            quantile = student(freedom)
            repeated = [group for group in groups if len(group) > 1]
            pooled = sum((len(g) - 1) * variance(g) for g in repeated) / freedom
            spreads = [pooled] * len(groups)
        shares = zip(weights.values(), spreads, groups, strict=True)
        return quantile * float(sum(w**2 * spread / len(g) for w, spread, g in shares)) ** 0.5

    def words(self, label: str) -> str:
        """`bn 0.7224`."""
        return f"{label} {self.show(self.mean(label))}"

    def change(self, label: str, other: str) -> str:
        """`-0.0318`: what is gained from the first setting to the other."""
        return self._signed(self.mean(other) - self.mean(label))

    def to(self, label: str, level: float) -> str:
        """How far a setting lies above a fixed figure, with its sign."""
        return self._signed(self.mean(label) - level)

    def _signed(self, difference: float) -> str:
        return f"{'-' if difference < 0 else '+'}{self.show(abs(difference))}"


@dataclass(frozen=True)
class Finding:
    """What the figures say about a trend so far, and whether more seeds could change it."""

    holds: bool
    settled: bool
    why: str
    unclear: str = "Not clear so far"
    """How the sentence begins while it is not settled."""


NO_DIFFERENCE = "No clear difference"

Trend = Callable[[Figures], Finding | None]
"""None while too few settings have figures."""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of settings' means lies above a threshold.

    `tell` puts it into words up to the difference in brackets, which is closed after its margin.
    """

    weights: Mapping[str, float]
    above: float
    tell: Callable[[Figures], str]
    unclear: str = "Not clear so far"

    def __call__(self, figures: Figures) -> Finding | None:
        """Compare once every setting named has a figure."""
        if not figures.has(*self.weights):
            return None
        distance = sum(w * figures.mean(label) for label, w in self.weights.items()) - self.above
        margin = figures.margin(self.weights)
        sure = f" ± {figures.show(margin)}" if math.isfinite(margin) else ""
        why = f"{self.tell(figures)}{sure})"
        return Finding(distance > 0, abs(distance) > margin, why, self.unclear)


def beats(better: str, worse: str, by: float = 0.0) -> Trend:
    """`better` lies above `worse` by more than `by`."""
    asked = f"more than {by:g} asked for; " if by else ""
    return Contrast(
        {better: 1, worse: -1},
        by,
        lambda f: f"{f.words(better)}, {f.words(worse)} ({asked}{f.change(worse, better)}",
        NO_DIFFERENCE,
    )


def reaches(label: str, bar: float) -> Trend:
    """The setting lies above a fixed bar."""
    return Contrast(
        {label: 1},
        bar,
        lambda f: f"{f.words(label)}, {f.show(bar)} asked for ({f.to(label, bar)}",
    )


def stays_below(label: str, ceiling: float) -> Trend:
    """The setting lies below a fixed figure."""
    return Contrast(
        {label: -1},
        -ceiling,
        lambda f: f"{f.words(label)}, at most {f.show(ceiling)} ({f.to(label, ceiling)}",
    )


def sooner(first: str, second: str) -> Trend:
    """`first` has the smaller figure."""
    return Contrast(
        {first: -1, second: 1},
        0.0,
        lambda f: f"{f.words(first)}, {f.words(second)} ({f.change(second, first)}",
        NO_DIFFERENCE,
    )


def suffers_less(robust: tuple[str, str], fragile: tuple[str, str]) -> Trend:
    """From its first to its second setting, `robust` loses less than `fragile`."""
    pairs = (robust, fragile)
    return Contrast(
        {fragile[0]: 1, fragile[1]: -1, robust[0]: -1, robust[1]: 1},
        0.0,
        lambda f: "; ".join(f"from {a} to {b} {f.change(a, b)}" for a, b in pairs) + " (difference",
    )


def all_of(*trends: Trend) -> Trend:
    """Every trend holds; one that clearly does not settles it."""

    def check(figures: Figures) -> Finding | None:
        found = [finding for trend in trends if (finding := trend(figures))]
        if not found:
            return None
        failed = [finding for finding in found if not finding.holds]
        complete = len(found) == len(trends)
        settled = any(f.settled for f in failed) or (complete and all(f.settled for f in found))
        telling = failed or [f for f in found if not f.settled] or found
        why = "; ".join(f.why for f in telling)
        return Finding(not failed, settled, why, telling[0].unclear)

    return check


def interior_peak(*labels: str) -> Trend:
    """Along the settings in this order the figure rises to one peak between the ends, and falls."""

    def check(figures: Figures) -> Finding | None:
        known = [label for label in labels if figures.has(label)]
        if len(known) < 3:
            return None
        peak = max(known, key=figures.mean)
        place = known.index(peak)
        rising = pairwise(known[: place + 1])
        falling = pairwise(reversed(known[place:]))
        for low, high in (*rising, *falling):
            step = beats(high, low)(figures)
            if step and not step.holds and step.settled:
                return Finding(False, True, f"more than one peak: {step.why}")
        interior = 0 < place < len(known) - 1
        rivals = (known[0], known[-1]) if interior else known[1:-1]
        steps = [beats(peak, rival)(figures) for rival in rivals]
        settled = len(known) == len(labels) and all(step and step.settled for step in steps)
        where = "one peak, at" if interior else "best at the end,"
        return Finding(interior, settled, f"{where} {figures.words(peak)}")

    return check
