"""An experiment's figure for a report: curves on the left, one point per setting on the right."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cifar_tui.figures import FORMATS, curve, draw_figure, finish
from cifar_tui.labs.answer import Answer, Row
from cifar_tui.labs.curves import curves_of
from cifar_tui.runs.curves import Spread

LOSSES = ("train_loss", "val_loss")


def draw(answer: Answer, folder: Path) -> list[Path]:
    """Write the experiment's figure as PNG and SVG, without a display; returns the paths.

    A single setting has its losses on the right, several the measure of each beside the report's
    and other students' figures.
    """

    def paint(left: Any, right: Any) -> None:
        _curves(left, [(row.arm.label, row, "val_acc") for row in answer.rows], "val_acc")
        if len(answer.rows) == 1:
            _curves(right, [(loss, answer.rows[0], loss) for loss in LOSSES], "loss")
        else:
            _points(right, answer)

    paths = [folder / f"{answer.lab.name}.{kind}" for kind in FORMATS]
    files = list(zip(paths, FORMATS, strict=True))
    draw_figure(answer.lab.name, paint, files, synthetic=answer.images.synthetic)
    return paths


def _curves(axes: Any, lines: Sequence[tuple[str, Row, str]], what: str) -> None:
    """One line per (label, setting, metric) with a band of one standard deviation."""
    for label, row, metric in lines:
        points = curves_of(row, [metric])[metric]
        if points:
            line = curve(axes, label, list(points), [p.mean for p in points.values()])
            _band(axes, points, line.get_color())
    finish(axes, "epoch", what)


def _band(axes: Any, points: Mapping[int, Spread], colour: Any) -> None:
    known = [(e, *edges) for e, p in points.items() if (edges := p.band("sd"))]
    if known:
        axes.fill_between(*zip(*known, strict=True), color=colour, alpha=0.2, linewidth=0)


def _points(axes: Any, answer: Answer) -> None:
    """Ours with the standard deviation over seeds, the report's, and the others' range."""
    rows = list(enumerate(answer.rows))
    others = [(i, row.arm.others) for i, row in rows if row.arm.others is not None]
    for i, found in others:
        label = "other students" if i == others[0][0] else None
        axes.plot([i, i], [found.low, found.high], color="0.75", linewidth=6, label=label)
    report = [(i, row.arm.report) for i, row in rows if row.arm.report is not None]
    if report:
        places, figures = zip(*report, strict=True)
        axes.plot(places, figures, "s", color="0.4", fillstyle="none", label="report")
    ours = [(i, row.mean, row.sd or 0.0) for i, row in rows if row.mean is not None]
    if ours:
        places, means, spreads = zip(*ours, strict=True)
        axes.errorbar(places, means, spreads, fmt="o", color="C0", capsize=3, label="ours")
    axes.set_xticks([i for i, _ in rows], [row.arm.label for _, row in rows], rotation=20)
    axes.margins(x=0.15)
    finish(axes, "setting", answer.lab.measure.name)
