"""Trends as checks that a program makes: comparisons of means that take the spread into account.

A comparison is settled when it lies further from its threshold than the half width of its 95 %
confidence interval (Student's t, variance pooled over the settings compared). With fewer than two
repeated runs there is no variance to pool, and what each setting is taken to vary by stands in for
it; where that is not known, nothing is settled.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, variance

from cifar_tui.effects.inference import NORMAL, student


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

    def more(self, label: str, other: str) -> str:
        """`0.0242 more`: how the first lies to the second."""
        difference = self.mean(label) - self.mean(other)
        return f"{self.show(abs(difference))} {'more' if difference >= 0 else 'less'}"

    def change(self, label: str, other: str) -> str:
        """`-0.0318`: what is gained from the first setting to the other."""
        difference = self.mean(other) - self.mean(label)
        return f"{'-' if difference < 0 else '+'}{self.show(abs(difference))}"


@dataclass(frozen=True)
class Finding:
    """What the figures say about a trend so far, and whether more seeds could change it."""

    holds: bool
    settled: bool
    why: str


Trend = Callable[[Figures], Finding | None]
"""None while too few settings have figures."""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of settings' means lies above a threshold; `tell` puts it into words."""

    weights: Mapping[str, float]
    above: float
    tell: Callable[[Figures], str]

    def __call__(self, figures: Figures) -> Finding | None:
        """Compare once every setting named has a figure."""
        if not figures.has(*self.weights):
            return None
        distance = sum(w * figures.mean(label) for label, w in self.weights.items()) - self.above
        margin = figures.margin(self.weights)
        why = self.tell(figures)
        if math.isfinite(margin):
            why += f" (±{figures.show(margin)})"
        return Finding(distance > 0, abs(distance) > margin, why)


def beats(better: str, worse: str, by: float = 0.0) -> Trend:
    """`better` lies above `worse` by more than `by`."""
    asked = f", asked are {by:g}" if by else ""
    return Contrast(
        {better: 1, worse: -1},
        by,
        lambda f: f"{f.words(better)} against {f.words(worse)}, {f.more(better, worse)}{asked}",
    )


def reaches(label: str, bar: float) -> Trend:
    """The setting lies above a fixed bar."""
    return Contrast({label: 1}, bar, lambda f: f"{f.words(label)} against the bar {f.show(bar)}")


def stays_below(label: str, ceiling: float) -> Trend:
    """The setting lies below a fixed figure."""
    return Contrast(
        {label: -1}, -ceiling, lambda f: f"{f.words(label)} against {f.show(ceiling)} at most"
    )


def sooner(first: str, second: str) -> Trend:
    """`first` has the smaller figure."""
    return Contrast(
        {first: -1, second: 1},
        0.0,
        lambda f: f"{f.words(first)} against {f.words(second)}, {f.more(first, second)}",
    )


def suffers_less(robust: tuple[str, str], fragile: tuple[str, str]) -> Trend:
    """From its first to its second setting, `robust` loses less than `fragile`."""
    pairs = (robust, fragile)
    return Contrast(
        {fragile[0]: 1, fragile[1]: -1, robust[0]: -1, robust[1]: 1},
        0.0,
        lambda f: ", ".join(f"from {a} to {b} {f.change(a, b)}" for a, b in pairs),
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
        return Finding(not failed, settled, why)

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
