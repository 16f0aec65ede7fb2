"""A figure of some runs for a report: validation accuracy on the left, its loss on the right."""

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.features.save.tables import telling
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.listing import Run
from cifar_tui.spec.naming import brief
from cifar_tui.text import plain

FORMATS = ("png", "svg")
SIZE_INCHES = (9.0, 3.4)
DOTS_PER_INCH = 150


def require_matplotlib() -> None:
    """Raise UserError saying how to get matplotlib where it is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError(
            "Figures need matplotlib, which is not installed: "
            "`pip install 'cifar-tui[report]'` gets it."
        ) from None


def draw_figure(
    name: str, paint: Callable[[Any, Any], None], files: Sequence[Any], *, synthetic: bool
) -> None:
    """Save a figure of two plots side by side, which `paint` fills, to each (file, format).

    The same figure gives the same bytes; one of synthetic images says so.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": name, "font.size": 9}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        paint(*figure.subplots(1, 2))
        if synthetic:
            figure.suptitle("synthetic demo images")
        for file, kind in files:
            when = {"Date": None} if kind == "svg" else None
            figure.savefig(file, format=kind, dpi=DOTS_PER_INCH, metadata=when)


def curve(axes: Any, label: str, epochs: Sequence[int], values: Sequence[Any], **style: Any) -> Any:
    """One line over epochs, a dot where there is but one; returns matplotlib's line."""
    marker = "o" if len(epochs) == 1 else ""
    (line,) = axes.plot(epochs, values, label=label, marker=marker, **style)
    return line


def finish(axes: Any, x: str, y: str) -> None:
    """Name the axes and give them the same grid and legend everywhere."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)


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
                values = [_gap(getattr(epoch, metric)) for epoch in log]
                style = STYLES[i // COLOURS % len(STYLES)]
                curve(axes, label, [epoch.epoch for epoch in log], values, linestyle=style)
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
