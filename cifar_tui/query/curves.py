"""Curves of runs as numbers: any metric over epoch, step or time, smoothed, and means over seeds.

Everything here is a pure function of epochs, as `read_epochs` gives them.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from statistics import fmean, stdev
from typing import Any, Literal

from cifar_tui.runs.events import EpochDone
from cifar_tui.text import accuracy, learning_rate, loss, rate

Log = Sequence[EpochDone]
"""A run's epochs in order."""
Axis = Literal["epoch", "step", "time"]
AXES: tuple[Axis, ...] = ("epoch", "step", "time")
"""Epochs; updates of the weights; seconds of training and validating."""
Band = Literal["sd", "range"]
"""One standard deviation to both sides of the mean, or from the least to the largest value."""
MOST_SMOOTHING = 0.999
MOST_IMAGES = 1e12
"""In an epoch; more is not believed."""


@dataclass(frozen=True)
class Metric:
    """A figure of an epoch: how to read it off an event, and how it is shown."""

    name: str
    show: Callable[[Any], str]
    beside: str
    """The metric to look at together with this one."""
    value: Callable[[EpochDone], float | None]


def _gap(epoch: EpochDone) -> float | None:
    train, val = epoch.train_acc, epoch.val_acc
    return None if train is None or val is None else train - val


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("val_acc", accuracy, "val_loss", attrgetter("val_acc")),
        Metric("val_loss", loss, "val_acc", attrgetter("val_loss")),
        Metric("train_acc", accuracy, "train_loss", attrgetter("train_acc")),
        Metric("train_loss", loss, "train_acc", attrgetter("train_loss")),
        Metric("gap", accuracy, "val_loss", _gap),
        Metric("lr", learning_rate, "val_acc", attrgetter("lr")),
        Metric("images_per_second", rate, "val_acc", attrgetter("images_per_second")),
    )
}
"""`gap` is train_acc - val_acc: how far a net overfits."""


@dataclass(frozen=True)
class Spread:
    """Several runs' values of one figure: mean, least, largest, how many, and their spread."""

    mean: float
    sd: float | None
    """Standard deviation; None for a single value."""
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread | None":
        """Of the values that are known; None where none is."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        sd = stdev(known) if len(known) > 1 else None
        return cls(fmean(known), sd, min(known), max(known), len(known))

    def band(self, kind: Band) -> tuple[float, float] | None:
        """The edges of the band around the mean; None for a single value."""
        if self.sd is None:
            return None
        return (self.mean - self.sd, self.mean + self.sd) if kind == "sd" else (self.low, self.high)


def mean_curve(logs: Iterable[Log], metric: str) -> dict[int, Spread]:
    """A metric over runs at each epoch at which at least one has a finite value."""
    value = METRICS[metric].value
    return _means([[(epoch.epoch, value(epoch)) for epoch in log] for log in logs])


def _means(curves: Iterable[Iterable[tuple[int, float | None]]]) -> dict[int, Spread]:
    found: dict[int, list[float | None]] = {}
    for curve in curves:
        for epoch, value in curve:
            found.setdefault(epoch, []).append(value)
    spreads = ((epoch, Spread.of(values)) for epoch, values in sorted(found.items()))
    return {epoch: spread for epoch, spread in spreads if spread is not None}


def smoothed(values: Iterable[float | None], weight: float) -> list[float | None]:
    """An exponential moving average that begins unbiased, as in TensorBoard; gaps stay gaps.

    `weight` from 0 (as it is) to below 1 is the share of the past. As the average starts from 0,
    it is divided by 1 - weight**n after n values (Kingma and Ba 2015, section 3).
    """
    if not 0 <= weight <= MOST_SMOOTHING:
        raise ValueError(f"weight must be from 0 to {MOST_SMOOTHING}")
    found: list[float | None] = []
    average, count = 0.0, 0
    for value in values:
        if value is None:
            found.append(None)
            continue
        count += 1
        average = weight * average + (1 - weight) * value
        found.append(average / (1 - weight**count))
    return found


def positions(logs: Iterable[Log], axis: Axis, batch_size: int = 1) -> dict[int, float]:
    """Where each epoch's end lies on the x axis, as far as that is known.

    Several runs' times are averaged epoch by epoch, so that the mean of their curves lies at the
    mean time and never jumps back where a run ends earlier than others.
    """
    by_epoch: dict[int, list[EpochDone]] = {}
    for log in logs:
        for event in log:
            by_epoch.setdefault(event.epoch, []).append(event)
    epochs = sorted(by_epoch)
    if axis == "epoch":
        return {epoch: float(epoch) for epoch in epochs}
    if axis == "step":
        images = next(filter(None, (_images(e) for epoch in epochs for e in by_epoch[epoch])), 0)
        updates = -(-images // batch_size)
        return {epoch: float(epoch * updates) for epoch in epochs} if updates else {}
    found: dict[int, float] = {}
    elapsed = 0.0
    for epoch in epochs:
        seconds = Spread.of(_seconds(event) for event in by_epoch[epoch])
        if seconds is None:
            break
        elapsed += seconds.mean
        found[epoch] = elapsed
    return found


def _images(epoch: EpochDone) -> int:
    """Images trained on in an epoch, from its time and speed; 0 where one is unknown."""
    images = (epoch.train_seconds or 0) * (epoch.images_per_second or 0)
    return round(images) if 0 < images < MOST_IMAGES else 0


def _seconds(epoch: EpochDone) -> float | None:
    """Seconds of training and validating, without waiting for the device."""
    parts = (epoch.train_seconds, epoch.val_seconds)
    known = [part for part in parts if part is not None and part >= 0]
    return sum(known) if known else None


def training_seconds(log: Log) -> float:
    """Seconds of training and validating in all epochs."""
    return sum(_seconds(event) or 0.0 for event in log)


@dataclass(frozen=True)
class Sample:
    """A curve at the end of one epoch; None where the value is not finite."""

    epoch: int
    x: float
    y: float | None
    """Smoothed, where smoothing was asked for."""
    raw: float | None
    sd: float | None = None
    """Standard deviation over runs of the raw value."""
    low: float | None = None
    high: float | None = None
    """Edges of the band around y, where several runs have a value."""
    last: bool = False
    """Whether the curve ends here."""

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {name: value for name, value in vars(self).items() if name != "last"}


def samples(
    logs: Sequence[Log],
    metric: str,
    axis: Axis = "epoch",
    *,
    batch_size: int = 1,
    smoothing: float = 0.0,
    band: Band = "sd",
) -> list[Sample]:
    """The curve of a run, or the mean curve of several, at each epoch with a place on the axis."""
    value = METRICS[metric].value
    raw = mean_curve(logs, metric)
    smooth = raw
    if smoothing:
        smooth = _means(
            zip(
                [epoch.epoch for epoch in log],
                smoothed(map(value, log), smoothing),
                strict=True,
            )
            for log in logs
        )
    found = []
    for epoch, x in positions(logs, axis, batch_size).items():
        if epoch not in raw:
            found.append(Sample(epoch, x, None, None))
            continue
        low, high = smooth[epoch].band(band) or (None, None)
        mean = raw[epoch]
        found.append(Sample(epoch, x, smooth[epoch].mean, mean.mean, mean.sd, low, high))
    return [*found[:-1], replace(found[-1], last=True)] if found else []


def sample_at(curve: Sequence[Sample], x: float) -> Sample | None:
    """What is known at x: the last sample at or before it; None before the first."""
    place = bisect_right(curve, x, key=lambda sample: sample.x)
    return curve[place - 1] if place else None


def last_sample(curve: Sequence[Sample]) -> Sample | None:
    """The last sample with a value."""
    return next((sample for sample in reversed(curve) if sample.raw is not None), None)


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most about `most` points: of each stretch its least and largest, so that peaks stay.

    The first and the last point are always among them.
    """
    if len(points) <= max(most, 2):
        return list(points)
    size = math.ceil(2 * len(points) / most)
    kept = {0, len(points) - 1}
    for start in range(0, len(points), size):
        stretch = range(start, min(start + size, len(points)))
        kept |= {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
    return [points[i] for i in sorted(kept)]
