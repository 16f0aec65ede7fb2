"""The table of a comparison in words: the figures, what lies at one x, and what differs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.cells import cell_len

from cifar_tui.features.compare.core import WITHOUT_EFFECT, Entry, difference, telling
from cifar_tui.query.curves import METRICS, Sample, last_sample, sample_at
from cifar_tui.spec.checks import format_value
from cifar_tui.table import Column, Table, cut_middle
from cifar_tui.text import accuracy, at_epoch, clock


@dataclass(frozen=True)
class Question:
    """What the table is to tell besides what it always does."""

    metric: str = "val_acc"
    x: float | None = None
    """Where the values are read off; at the curves' ends without."""
    place: str = ""
    """The same in words."""
    smooth: bool = False
    grouped: bool = False
    baseline: Entry | None = None


RIGHT = ("n", "epochs", "time", "Δ time")


def figure_table(
    names: Sequence[str],
    found: Sequence[Entry],
    curves: Sequence[Sequence[Sample]],
    ask: Question,
) -> Table:
    """A row per entry: its name, the best, the metric's values, settings that differ, and more."""
    texts = _figures_of(found, curves, ask)
    columns = [
        Column(name, right=name in RIGHT, least=max(map(cell_len, cells)))
        for name, cells in texts.items()
    ]
    name = Column("run", 12, grows=True, cut=cut_middle)
    return Table([name, *columns], zip(names, *texts.values(), strict=True), keep=("images",))


def _figures_of(
    found: Sequence[Entry], curves: Sequence[Sequence[Sample]], ask: Question
) -> dict[str, list[str]]:
    """A list of texts per column."""
    columns: dict[str, list[str]] = {}
    if ask.grouped:
        columns["n"] = [str(len(entry.runs)) for entry in found]
    columns["best val_acc"] = [best_words(entry) for entry in found]
    if ask.baseline:
        columns["Δ best"] = _differences(found, ask.baseline, "val_acc", accuracy)
    columns |= _values(found, curves, ask)
    columns |= settings_of(found, ask.grouped)
    columns["epochs"] = [_epochs(entry) for entry in found]
    columns["time"] = [clock(fmean(run.summary.seconds for run in entry.runs)) for entry in found]
    if ask.baseline:
        columns["Δ time"] = _differences(found, ask.baseline, "time", clock)
    columns["status"] = [entry.status for entry in found]
    columns["images"] = [
        f"{entry.first.summary.source}{' (synthetic)' if entry.first.synthetic else ''}"
        for entry in found
    ]
    return columns


def settings_of(found: Sequence[Entry], grouped: bool) -> dict[str, list[str]]:
    """The settings that differ; between groups not those in which a group's own runs may differ."""
    aside = WITHOUT_EFFECT if grouped else ()
    return {
        name: ["" if value is None else format_value(value) for value in values]
        for name, values in telling([entry.first for entry in found]).items()
        if name not in aside
    }


def _values(
    found: Sequence[Entry], curves: Sequence[Sequence[Sample]], ask: Question
) -> dict[str, list[str]]:
    """The metric's values: raw, smoothed, and less the baseline's."""
    show = METRICS[ask.metric].show
    if ask.x is None:
        where, samples = "last", [last_sample(curve) for curve in curves]
    else:
        where, samples = f"@ {ask.place}", [sample_at(curve, ask.x) for curve in curves]
    called = {"val_acc": "", "images_per_second": "img/s "}.get(ask.metric, f"{ask.metric} ")
    columns = {called + where: [_value(sample, show, ask.x) for sample in samples]}
    if ask.smooth:
        columns["smooth"] = [show(s.y if s else None) for s in samples]
    if ask.baseline:
        base = next((s for e, s in zip(found, samples, strict=True) if e is ask.baseline), None)
        columns["Δ last" if ask.x is None else "Δ @"] = [
            "base" if entry is ask.baseline else signed(_less(sample, base), show)
            for entry, sample in zip(found, samples, strict=True)
        ]
    return columns


def _value(sample: Sample | None, show: Callable[[Any], str], x: float | None) -> str:
    """A curve's raw value; where the curve ended before x it says that it is the last."""
    if sample is None or sample.raw is None:
        return "-"
    ended = x is not None and sample.last and x > sample.x
    return _plus_minus(sample.raw, sample.sd, show) + (" last" if ended else "")


def _less(sample: Sample | None, base: Sample | None) -> float | None:
    if sample is None or base is None or sample.raw is None or base.raw is None:
        return None
    return sample.raw - base.raw


def _differences(
    found: Sequence[Entry], baseline: Entry, name: str, show: Callable[[Any], str]
) -> list[str]:
    base = baseline.figure(name)
    return [
        "base" if entry is baseline else signed(difference(entry.figure(name), base), show)
        for entry in found
    ]


def signed(value: float | None, show: Callable[[Any], str]) -> str:
    """A difference with its sign; a dash where it is unknown."""
    if value is None:
        return "-"
    return f"{'-' if value < 0 else '+'}{show(abs(value))}"


def _plus_minus(mean: float | None, sd: float | None, show: Callable[[Any], str]) -> str:
    return show(mean) + ("" if sd is None else f" ± {show(sd)}")


def best_words(entry: Entry) -> str:
    """`0.7182 @ 11`, or for several runs `0.7182 ± 0.0031`."""
    if len(entry.runs) == 1:
        return at_epoch(entry.first.summary.best)
    figure = entry.figure("val_acc")
    return _plus_minus(figure.mean, figure.sd, accuracy) if figure else "-"


def _epochs(entry: Entry) -> str:
    done = sorted({run.summary.epochs_done for run in entry.runs})
    words = str(done[0]) if len(done) == 1 else f"{done[0]}-{done[-1]}"
    return f"{words}/{entry.first.summary.epochs}"
