"""A figure of some runs for a report: validation accuracy on the left, its loss on the right."""

import io
import math
from collections.abc import Sequence
from typing import Any

from cifar_tui.figures import curve, draw_figure, finish
from cifar_tui.formats import plain
from cifar_tui.runs.listing import Run, read_epochs
from cifar_tui.runs.tables import telling
from cifar_tui.wording import brief

METRICS = ("val_acc", "val_loss")
MOST_NAMED = 12
"""With more runs there is no legend: it would hide the curves."""
COLOURS = 10
STYLES = ("-", "--", ":", "-.")
"""Runs beyond matplotlib's ten colours are told apart by their lines."""


def draw_runs(runs: Sequence[Run], kind: str) -> bytes:
    """The figure as png or svg."""
    logs = [read_epochs(run.path) for run in runs]
    labels = titles(runs)

    def paint(*both: Any) -> None:
        for axes, metric in zip(both, METRICS, strict=True):
            for i, (label, log) in enumerate(zip(labels, logs, strict=True)):
                values = [_gap(event.get(metric)) for event in log]
                style = STYLES[i // COLOURS % len(STYLES)]
                curve(axes, label, [event["epoch"] for event in log], values, linestyle=style)
            finish(axes, "epoch", metric)

    file = io.BytesIO()
    synthetic = any(run.synthetic for run in runs)
    draw_figure("-".join(run.id for run in runs), paint, [(file, kind)], synthetic=synthetic)
    return file.getvalue()


def _gap(value: Any) -> float:
    return math.nan if value is None else value


def titles(runs: Sequence[Run]) -> list[str]:
    """What tells the runs apart in a legend: their names, else what differs, else their ids.

    Nothing where there are too many. Dollar signs are no formulas.
    """
    if len(runs) > MOST_NAMED:
        return [""] * len(runs)
    names = [run.name for run in runs]
    fields = telling(runs)
    settings = [
        brief({f.name: f.value(run) for f in fields if f.value(run) is not None}) for run in runs
    ]
    different = (texts for texts in (names, settings) if len(set(texts)) == len(runs))
    return [plain(text).replace("$", r"\$") for text in next(different, [run.id for run in runs])]
