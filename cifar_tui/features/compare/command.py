"""The commands `runs compare`, with curves, and `runs agree`, of two runs' predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.completion import one_of
from cifar_tui.console.flags import RUN, RUNS, Baseline, DataFolder, Json, RunsDir
from cifar_tui.console.help import examples
from cifar_tui.console.printing import put
from cifar_tui.errors import UserError
from cifar_tui.features.compare.core import (
    Asked,
    Entry,
    baseline_among,
    compare,
    entries,
    entry_labels,
    given_names,
)
from cifar_tui.features.compare.tables import Question, figure_table
from cifar_tui.query.curves import METRICS, MOST_SMOOTHING, Axis, Sample, sample_at
from cifar_tui.runs.listing import Run, Runs, find_run
from cifar_tui.table import Column, Table, cut_middle, figures
from cifar_tui.text import clock, plain


@examples(
    "runs compare best last",
    "runs compare best last --metric val_loss --over time --smooth 0.6",
    "runs compare best last --baseline last",
)
def runs_compare(
    run: Annotated[tuple[str, ...], RUN, Parameter(help="Two or more runs.")],
    /,
    *,
    metric: Annotated[
        str | None,
        Parameter(
            help="Also the curves of val_acc, val_loss, gap, lr and so on.",
            metavar="METRIC",
            completer=one_of(METRICS),
        ),
    ] = None,
    over: Annotated[Axis, Parameter(help="The curves' x axis; time is in seconds.")] = "epoch",
    smooth: Annotated[
        float, Parameter(help="Smooth the curves: the share of the past, from 0 to below 1.")
    ] = 0.0,
    baseline: Annotated[
        str | None, Baseline, Parameter(help="The run among these to subtract.")
    ] = None,
    group: Annotated[
        bool, Parameter(negative=(), help="Take runs together that are equal but for the seed.")
    ] = False,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show runs beside each other: the settings that differ, the figures, and curves if asked."""
    _check(metric, smooth)
    if len(run) < 2:
        raise UserError("compare needs two or more runs, like `cifar-tui runs compare best last`.")
    found = Runs(runs).find_each(run)
    base = None if baseline is None else find_run(found, baseline, runs)
    asked = Asked(base, group, metric, over, smooth)
    if json:
        printing.print_json(compare(found, asked))
    else:
        print_comparison(found, asked)


def _check(metric: str | None, smooth: float) -> None:
    if metric is not None and metric not in METRICS:
        raise UserError(f"There is no metric '{plain(metric)}'; there are {', '.join(METRICS)}.")
    if not 0 <= smooth <= MOST_SMOOTHING:
        raise UserError(f"--smooth must be from 0 to {MOST_SMOOTHING}; got {smooth:g}.")


PLACES = 8
"""Places along the x axis at which a curve's values are printed."""


def print_comparison(runs: Sequence[Run], asked: Asked) -> None:
    """The settings that differ and the figures; then values along the curves, if asked."""
    found = entries(runs, grouped=asked.grouped)
    pairs = zip(given_names(found), entry_labels(found), strict=True)
    names = [given or label for given, label in pairs]
    base = baseline_among(found, asked.baseline.id) if asked.baseline else None
    metric = asked.metric or "val_acc"
    curves = [entry.curve(metric, asked.axis, asked.smoothing) for entry in found]
    ask = Question(metric, smooth=asked.smoothing > 0, grouped=asked.grouped, baseline=base)
    put(figure_table(names, found, curves, ask))
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
    rows = [
        (name, *(metric.show(_value(curve, x)) for x in places), entry.remark)
        for name, entry, curve in zip(names, found, curves, strict=True)
    ]
    put(Table([Column("run", cut=cut_middle), *figures(*heads), ""], rows))


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


@examples(
    "runs agree best last",
    "runs agree best predictions.csv --split test",
)
def agree(
    a: Annotated[str, RUN, Parameter(name="A", help="A run, or a predictions file.")],
    b: Annotated[str, RUN, Parameter(name="B", help="Another one.")],
    /,
    *,
    split: Annotated[
        Literal["val", "test"] | None,
        Parameter(help="Which images; by default val, and test where a file is given."),
    ] = None,
    data: DataFolder = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show how far two runs' predictions agree, and whether one is better than chance."""
    known = Runs(runs)
    one, other = _subject(a, known), _subject(b, known)
    some_file = isinstance(one, Path) or isinstance(other, Path)
    from cifar_tui.features.predict.compute import agreement

    with printing.progress("predicting", json) as tick:
        found = agreement(
            one, other, split or ("test" if some_file else "val"), data=data, tick=tick
        )
    printing.say(found.to_dict(), "\n".join(found.lines()), json)


def _subject(wanted: str, known: Runs) -> Run | Path:
    """The file or run meant: what ends in .csv, or has a slash in it, is a file."""
    path = Path(wanted)
    if path.suffix == ".csv" or "/" in wanted:
        return path.expanduser()
    return known.find(wanted)


COMMANDS = {
    "runs compare": runs_compare,
    "runs agree": agree,
}
