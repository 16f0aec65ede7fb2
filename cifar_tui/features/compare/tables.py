"""The table of a comparison in words: the figures, what lies at one x, and what differs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.cells import cell_len

from cifar_tui.features.compare.core import WITHOUT_EFFECT, Entry, difference
from cifar_tui.query.curves import METRICS, Sample, last_sample, sample_at
from cifar_tui.query.fields import Line
from cifar_tui.query.telling import enough
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
ENDS = ("Δ time", "time", "epochs")
"""What gives way first to the settings that tell runs apart."""
NAME_CELLS = 24
"""Cells of a name before the columns behind it have theirs."""


def figure_table(
    names: Sequence[str],
    found: Sequence[Entry],
    curves: Sequence[Sequence[Sample]],
    ask: Question,
) -> Table:
    """A row per entry: its name, the settings that tell it apart, its figures, and more.

    Of the settings those that tell nothing further stand behind the figures.
    """
    first, rest = settings_of(found, ask.grouped)
    texts = first | _figures_of(found, curves, ask) | rest | _ends_of(found, ask)
    columns = [
        Column(name, right=name in RIGHT, least=max(map(cell_len, (name, *cells))))
        for name, cells in texts.items()
    ]
    least = max(map(cell_len, ("run", *names)))
    name = Column("run", min(NAME_CELLS, least + 1), grows=True, cut=cut_middle)
    drop = (*[*rest][::-1], *(name for name in ENDS if name in texts), *[*first][:0:-1])
    rows = zip(names, *texts.values(), strict=True)
    return Table([name, *columns], rows, drop=drop, keep=("images",))


def settings_of(
    found: Sequence[Entry], grouped: bool
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """A list of texts per setting that differs, by its head: of those that tell apart, of the rest.

    Between groups not of those in which a group's own runs may differ.
    """
    aside = WITHOUT_EFFECT if grouped else ()
    first, rest = (
        {field.head: [field.text(entry.first) for entry in found] for field in fields}
        for fields in enough([Line(entry.first) for entry in found], aside)
    )
    return first, rest


def _figures_of(
    found: Sequence[Entry], curves: Sequence[Sequence[Sample]], ask: Question
) -> dict[str, list[str]]:
    """How good they are: a list of texts per column."""
    columns: dict[str, list[str]] = {}
    if ask.grouped:
        columns["n"] = [str(len(entry.runs)) for entry in found]
    columns["best val_acc"] = [best_words(entry) for entry in found]
    if ask.baseline:
        columns["Δ best"] = _differences(found, ask.baseline, "val_acc", accuracy)
    return columns | _values(found, curves, ask)


def _ends_of(found: Sequence[Entry], ask: Question) -> dict[str, list[str]]:
    """How far they went, and on which images: a list of texts per column."""
    columns = {"epochs": [_epochs(entry) for entry in found]}
    columns["time"] = [clock(fmean(run.summary.seconds for run in entry.runs)) for entry in found]
    if ask.baseline:
        columns["Δ time"] = _differences(found, ask.baseline, "time", clock)
    columns["status"] = [entry.status for entry in found]
    columns["images"] = [
        f"{entry.first.summary.source}{' (synthetic)' if entry.first.synthetic else ''}"
        for entry in found
    ]
    return columns


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
