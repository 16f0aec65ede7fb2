"""An experiment's curves: the mean over seeds at each epoch, and how far the seeds spread."""

from collections.abc import Sequence

from cifar_tui.labs.answer import Row
from cifar_tui.runs import curves
from cifar_tui.runs.curves import Spread
from cifar_tui.runs.listing import Run, read_epochs


def curve_runs(row: Row) -> Sequence[Run]:
    """The runs whose curves stand for a setting: its results, until then those on their way."""
    return row.results or row.arriving or row.unfinished


def curves_of(row: Row, metrics: Sequence[str]) -> dict[str, dict[int, Spread]]:
    """A setting's curve of each metric by epoch, read once from its run folders."""
    logs = [read_epochs(run.path) for run in curve_runs(row)]
    return {metric: curves.mean_curve(logs, metric) for metric in metrics}


def training_seconds(run: Run) -> float:
    """Seconds of training and validating in all epochs, without waiting for the device."""
    return curves.training_seconds(read_epochs(run.path))
