"""What `runs compare` prints for people: a row per run or group, and curves as rows of values."""

from collections.abc import Sequence

from cifar_tui.commands.printing import put
from cifar_tui.commands.table import Column, Table, cut_middle
from cifar_tui.comparison import Question, figures_of
from cifar_tui.formats import clock
from cifar_tui.runs.compare import Asked, Entry, baseline_among, entries, entry_labels
from cifar_tui.runs.curves import METRICS, Sample, sample_at
from cifar_tui.runs.listing import Run

PLACES = 8
"""Places along the x axis at which a curve's values are printed."""
RIGHT = ("n", "epochs", "time", "Δ time")


def print_comparison(runs: Sequence[Run], asked: Asked) -> None:
    """The settings that differ and the figures; then values along the curves, if asked."""
    found = entries(runs, grouped=asked.grouped)
    names = entry_labels(found) if asked.grouped else [entry.first.name for entry in found]
    base = baseline_among(found, asked.baseline.id) if asked.baseline else None
    metric = asked.metric or "val_acc"
    curves = [entry.curve(metric, asked.axis, asked.smoothing) for entry in found]
    ask = Question(metric, smooth=asked.smoothing > 0, grouped=asked.grouped, baseline=base)
    columns = figures_of(found, curves, ask)
    figures = [Column(name, least=max(map(len, texts))) for name, texts in columns.items()]
    table = Table(Column("run", cut=cut_middle), *figures, right=RIGHT, keep=["images"])
    for row in zip(names, *columns.values(), strict=True):
        table.add(*row)
    put(table)
    if asked.metric:
        put("")
        _print_curves(names, found, curves, asked)


def _print_curves(
    names: Sequence[str], found: Sequence[Entry], curves: Sequence[list[Sample]], asked: Asked
) -> None:
    metric = METRICS[asked.metric or "val_acc"]
    places = _places([sample.x for curve in curves for sample in curve])
    heads = [clock(x) if asked.axis == "time" else f"{x:.0f}" for x in places]
    smooth = f", smoothed by {asked.smoothing:g}" if asked.smoothing else ""
    if not places:
        put(f"No run has a value of {metric.name} over {asked.axis}.")
        return
    put(f"{metric.name} over {asked.axis}{smooth}")
    table = Table(Column("run", cut=cut_middle), *heads, "", right=heads)
    for name, entry, curve in zip(names, found, curves, strict=True):
        values = [_value(curve, x) for x in places]
        table.add(name, *(metric.show(value) for value in values), entry.remark)
    put(table)


def _value(curve: Sequence[Sample], x: float) -> float | None:
    """A curve's value at x; None beyond its end."""
    sample = sample_at(curve, x)
    return None if sample is None or (sample.last and x > sample.x) else sample.y


def _places(xs: Sequence[float]) -> list[float]:
    """Some places with values that lie about evenly, the first and the last included."""
    known = sorted(set(xs))
    if len(known) <= PLACES:
        return known
    step = (known[-1] - known[0]) / (PLACES - 1)
    even = [known[0] + i * step for i in range(PLACES)]
    return sorted({min(known, key=lambda x: abs(x - place)) for place in even})
