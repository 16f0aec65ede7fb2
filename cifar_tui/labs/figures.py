"""An experiment's figure for a report: curves on the left, one point per setting on the right."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.labs.answer import Answer, Row
from cifar_tui.labs.curves import curves_of
from cifar_tui.runs.curves import Spread

FORMATS = ("png", "svg")
SIZE_INCHES = (9.0, 3.4)
DOTS_PER_INCH = 150
LOSSES = ("train_loss", "val_loss")


def require_matplotlib() -> None:
    """Raise UserError saying how to get matplotlib where it is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError(
            "A report's figures need matplotlib, which is not installed: "
            "`pip install 'cifar-tui[report]'` gets it."
        ) from None


def draw(answer: Answer, folder: Path) -> list[Path]:
    """Write the experiment's figure as PNG and SVG, without a display; returns the paths.

    A single setting has its losses on the right, several the measure of each beside the report's
    and other students' figures.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": answer.lab.name, "font.size": 9}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        left, right = figure.subplots(1, 2)
        _curves(left, [(row.arm.label, row, "val_acc") for row in answer.rows], "val_acc")
        if len(answer.rows) == 1:
            _curves(right, [(loss, answer.rows[0], loss) for loss in LOSSES], "loss")
        else:
            _points(right, answer)
        if answer.images.synthetic:
            figure.suptitle("synthetic demo images")
        paths = [folder / f"{answer.lab.name}.{kind}" for kind in FORMATS]
        for path in paths:
            when = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(path, dpi=DOTS_PER_INCH, metadata=when)
    return paths


def _curves(axes: Any, lines: Sequence[tuple[str, Row, str]], what: str) -> None:
    """One line per (label, setting, metric) with a band of one standard deviation."""
    for label, row, metric in lines:
        points = curves_of(row, [metric])[metric]
        if not points:
            continue
        (line,) = axes.plot(
            list(points),
            [p.mean for p in points.values()],
            label=label,
            marker="o" if len(points) == 1 else "",
        )
        _band(axes, points, line.get_color())
    axes.set_xlabel("epoch")
    axes.set_ylabel(what)
    _finish(axes)


def _band(axes: Any, points: Mapping[int, Spread], colour: Any) -> None:
    known = [(e, *edges) for e, p in points.items() if (edges := p.band("sd"))]
    if known:
        axes.fill_between(*zip(*known, strict=True), color=colour, alpha=0.2, linewidth=0)


def _points(axes: Any, answer: Answer) -> None:
    """Ours with the standard deviation over seeds, the report's, and the others' range."""
    rows = list(enumerate(answer.rows))
    others = [(i, row.arm.others) for i, row in rows if row.arm.others]
    for i, figures in others:
        label = "other students" if i == others[0][0] else None
        axes.plot([i, i], [min(figures), max(figures)], color="0.75", linewidth=6, label=label)
    report = [(i, row.arm.report) for i, row in rows if row.arm.report is not None]
    if report:
        places, figures = zip(*report, strict=True)
        axes.plot(places, figures, "s", color="0.4", fillstyle="none", label="report")
    ours = [(i, row.mean, row.sd or 0.0) for i, row in rows if row.mean is not None]
    if ours:
        places, means, spreads = zip(*ours, strict=True)
        axes.errorbar(places, means, spreads, fmt="o", color="C0", capsize=3, label="ours")
    axes.set_xticks([i for i, _ in rows], [row.arm.label for _, row in rows], rotation=20)
    axes.set_xlabel("setting")
    axes.set_ylabel(answer.lab.measure.name)
    axes.margins(x=0.15)
    _finish(axes)


def _finish(axes: Any) -> None:
    """The same legend and grid everywhere."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)
