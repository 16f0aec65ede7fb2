"""An experiment's curves: the mean over seeds at each epoch, and how far the seeds spread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from cifar_tui.labs.answer import Row
from cifar_tui.runs.listing import Run, read_epochs


@dataclass(frozen=True)
class MeanPoint:
    """One epoch: mean over seeds, and standard deviation where there are two or more."""

    epoch: int
    mean: float
    sd: float | None


def mean_curve(logs: Sequence[Sequence[Mapping[str, Any]]], metric: str) -> list[MeanPoint]:
    """The mean over runs of a metric, from each run's epoch events."""
    found: dict[int, list[float]] = {}
    for log in logs:
        for event in log:
            value = event.get(metric)
            if value is not None:
                found.setdefault(event["epoch"], []).append(value)
    return [
        MeanPoint(epoch, fmean(values), stdev(values) if len(values) > 1 else None)
        for epoch, values in sorted(found.items())
    ]


def curve_runs(row: Row) -> Sequence[Run]:
    """The runs whose curves stand for a setting: its results, until then those on their way."""
    return row.results or row.arriving or row.unfinished


def curves_of(row: Row, metrics: Sequence[str]) -> dict[str, list[MeanPoint]]:
    """A setting's curve of each metric, read once from its run folders."""
    logs = [read_epochs(run.path) for run in curve_runs(row)]
    return {metric: mean_curve(logs, metric) for metric in metrics}


def training_seconds(run: Run) -> float:
    """Seconds of training and validating in all epochs, without waiting for the device."""
    parts = ("train_seconds", "val_seconds")
    return sum(event.get(part) or 0.0 for event in read_epochs(run.path) for part in parts)
