"""The comparison: curves of some runs over each other, what differs, and their figures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from cifar_tui.features.compare.core import (
    Entry,
    Window,
    baseline_among,
    best_entry,
    entries,
    entry_labels,
    given_names,
    next_stop,
    panned,
    showing,
    zoomed,
)
from cifar_tui.features.compare.tables import Question, best_words, figure_table, settings_of
from cifar_tui.query.curves import AXES, METRICS, Axis, Log, Sample
from cifar_tui.runs.listing import Follower, Look
from cifar_tui.text import clock
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.plot import Curve, Curves, PlotView, mark
from cifar_tui.tui.row_table import RowTable
from cifar_tui.tui.screen import KeyLine, TopLine, WatchingScreen

SMOOTHING = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99)
WIDE = 120
"""From this width on, a second metric is drawn beside the first."""
MOST_ZOOM = 100
"""How many times wider the whole axis is than the least stretch of it."""
LEAST_EPOCHS = 2.0
MOST_MADE = 200
"""Curves kept."""
Grouping = Literal["", "sd", "range"]
GROUPINGS: dict[Grouping, str] = {"": "", "sd": "mean ± std", "range": "mean, min to max"}


@dataclass(frozen=True)
class Choice:
    """What is drawn, and how."""

    metric: str = "val_acc"
    axis: Axis = "epoch"
    smoothing: float = 0.0
    log: bool = False
    grouping: Grouping = ""
    window: Window | None = None

    def title(self, metric: str) -> str:
        """What a plot of this metric shows; what goes without saying is left out."""
        words = [
            metric if self.axis == "epoch" else f"{metric} over {self.axis}",
            f"smooth {self.smoothing:g}" if self.smoothing else "",
            "log" if self.log else "",
            GROUPINGS[self.grouping],
        ]
        return ", ".join(filter(None, words))


class CompareScreen(WatchingScreen[list[Look]]):
    """Some runs beside each other: a curve and a row for each, or for each group of them."""

    CSS_PATH = "compare.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("compare")
    AUTO_FOCUS = "RowTable"

    def __init__(self, run_ids: Sequence[str]) -> None:
        super().__init__(id="compare")
        self._run_ids = tuple(dict.fromkeys(run_ids))
        self._followers: list[Follower] = []
        self._looks: list[Look] = []
        self._entries: list[Entry] = []
        self._choice = Choice()
        self._cursor: float | None = None
        self._baseline = ""
        self._hidden: set[str] = set()
        self._made: dict[tuple[object, ...], tuple[tuple[Log, ...], list[Sample]]] = {}
        """Curves by what they were made from; the logs are kept, as their ids are in the key."""

    def compose(self) -> ComposeResult:
        yield TopLine("history")
        with Horizontal(id="head"):
            yield Static("", id="summary", classes="line", markup=False)
            yield Static("", id="best", classes="line", markup=False)
        with Horizontal(id="plots"):
            yield Curves(id="curves")
            yield Curves(id="beside")
        yield RowTable(id="figures", fixed_columns=1)
        yield KeyLine()

    def on_mount(self) -> None:
        self._followers = [Follower(self.cifar.runs, run_id) for run_id in self._run_ids]

    def on_resize(self) -> None:
        self.query_one("#beside").display = self._wide
        self._show()

    @property
    def _wide(self) -> bool:
        return self.size.width >= WIDE

    def look(self) -> list[Look]:
        return [follower.look() for follower in self._followers]

    def take(self, seen: list[Look]) -> None:
        if seen != self._looks:
            self._looks = seen
            self._show()

    def action_save(self) -> None:
        if self._looks:
            self.cifar.open("save", [look.run for look in self._looks])

    def _change(self, **changes: object) -> None:
        self._choice = replace(self._choice, **changes)  # type: ignore[arg-type]
        self._show()

    def _show(self) -> None:
        if not self._looks:
            return
        runs, logs = [look.run for look in self._looks], [look.epochs for look in self._looks]
        self._entries = entries(runs, logs, grouped=bool(self._choice.grouping))
        self._show_curves("#curves", self._choice.metric)
        if self._wide:
            self._show_curves("#beside", METRICS[self._choice.metric].beside)
        self._show_figures()

    def _samples(self, entry: Entry, metric: str) -> list[Sample]:
        """An entry's curve, made once for as long as its logs stay the same."""
        choice = self._choice
        key = (metric, choice.axis, choice.smoothing, choice.grouping, *map(id, entry.logs))
        if key not in self._made:
            if len(self._made) >= MOST_MADE:
                self._made.clear()
            curve = entry.curve(metric, choice.axis, choice.smoothing, choice.grouping or "sd")
            self._made[key] = (entry.logs, curve)
        return self._made[key][1]

    def _show_curves(self, name: str, metric: str) -> None:
        choice = self._choice
        curves = []
        plot = self.query_one(name, Curves)
        labels = entry_labels(self._entries, plot.size.width - len(choice.title(metric)))
        for label, entry in zip(labels, self._entries, strict=True):
            samples = self._samples(entry, metric)
            many = f" n {len(entry.runs)}" if len(entry.runs) > 1 else ""
            curves.append(
                Curve(
                    label + many,
                    [(s.x, s.y) for s in samples],
                    [
                        (s.x, s.low, s.high)
                        for s in samples
                        if s.low is not None and s.high is not None
                    ],
                    _remark(entry, samples),
                    entry.first.id in self._hidden,
                )
            )
        plot.point_at(self._cursor)
        view = PlotView(choice.window, choice.log, choice.axis == "time")
        plot.show(curves, choice.title(metric), view)

    def _show_figures(self) -> None:
        if not self._entries:
            return
        baseline = baseline_among(self._entries, self._baseline)
        choice = self._choice
        place = "" if self._cursor is None else _place(self._cursor, choice.axis)
        grouped = bool(choice.grouping)
        ask = Question(choice.metric, self._cursor, place, choice.smoothing > 0, grouped, baseline)
        curves = [self._samples(entry, choice.metric) for entry in self._entries]
        table = figure_table(self._names(), self._entries, curves, ask)
        self.query_one(RowTable).show_table(table, [entry.first.id for entry in self._entries])
        self._show_head(baseline)

    def _names(self) -> list[str]:
        """Each row's mark, but for a hidden curve's, and what a person calls it."""
        return [
            f"{' ' if entry.first.id in self._hidden else mark(i)} {name}"
            for i, (entry, name) in enumerate(
                zip(self._entries, given_names(self._entries), strict=True)
            )
        ]

    def _show_head(self, baseline: Entry | None) -> None:
        found = self._entries
        first, rest = settings_of(found, bool(self._choice.grouping))
        settings = ", ".join([*first, *rest]) or "no setting"
        count = f"{len(self._looks)} runs"
        if self._choice.grouping:
            count = f"{len(found)} groups of {count}"
        against = f"; baseline {mark(found.index(baseline))}" if baseline else ""
        self.say("summary", f" {count} that differ in {settings}{against}")
        best = best_entry(found)
        words = f"best {mark(found.index(best))} {best_words(best)} " if best else ""
        self.say("best", words)

    def action_metric(self, step: int = 1) -> None:
        names = list(METRICS)
        place = names.index(self._choice.metric) + step
        self._change(metric=names[place % len(names)])

    def action_axis(self) -> None:
        self._cursor = None
        self._change(axis=AXES[(AXES.index(self._choice.axis) + 1) % len(AXES)], window=None)

    def action_smooth(self, step: int = 1) -> None:
        place = SMOOTHING.index(self._choice.smoothing) + step
        self._change(smoothing=SMOOTHING[place % len(SMOOTHING)])

    def action_log(self) -> None:
        """Have a logarithmic y axis, or a linear one again."""
        self._change(log=not self._choice.log)

    def action_group(self) -> None:
        """Draw runs that are equal but for the seed as one curve; then with the other band."""
        kinds = list(GROUPINGS)
        place = kinds.index(self._choice.grouping) + 1
        self._change(grouping=kinds[place % len(kinds)])

    def action_baseline(self) -> None:
        """Set all figures beside those of the row under the table's cursor, or no longer."""
        chosen = self.query_one(RowTable).cursor_key or ""
        now = baseline_among(self._entries, self._baseline)
        self._baseline = "" if now and now.first.id == chosen else chosen
        self._show_figures()

    def action_hide(self) -> None:
        """Leave out the curve of the row under the table's cursor, or draw it again."""
        chosen = self.query_one(RowTable).cursor_key
        if chosen is not None:
            self._hidden ^= {chosen}
            self._show()

    def _stops(self) -> list[float]:
        """Where the shown curves have values."""
        shown = [entry for entry in self._entries if entry.first.id not in self._hidden]
        curves = [self._samples(entry, self._choice.metric) for entry in shown]
        return sorted({sample.x for curve in curves for sample in curve})

    def _whole(self) -> Window | None:
        """The whole stretch of the x axis; None where there is too little to look at."""
        stops = self._stops()
        return (stops[0], stops[-1]) if len(stops) > 1 else None

    def action_cursor(self, step: int) -> None:
        """Move the cursor by a value, or at least by a tenth of what is in sight."""
        stops, whole = self._stops(), self._whole()
        low, high = self._choice.window or whole or (0.0, 0.0)
        inside = [x for x in stops if low <= x <= high] or stops
        if not inside:
            self.notify(f"No run has a place on the {self._choice.axis} axis yet.")
            return
        if self._cursor is None:
            self._cursor = inside[-1 if step < 0 else 0]
        else:
            self._cursor = next_stop(stops, self._cursor, step, self._least_step(high - low, step))
        if whole is not None:
            window = showing(self._choice.window, whole, self._cursor)
            self._choice = replace(self._choice, window=window)
        self._show()

    def _least_step(self, width: float, step: int) -> float:
        """How far the cursor moves at least: times lie close, so there by a column."""
        if abs(step) > 1:
            return width / 10
        close = self._choice.axis == "time"
        return width / self.query_one("#curves", Curves).columns if close else 0

    def action_zoom(self, factor: float) -> None:
        """Show less of the x axis, about the cursor if there is one, or more."""
        whole = self._whole()
        if whole is not None:
            least = (whole[1] - whole[0]) / MOST_ZOOM
            if self._choice.axis == "epoch":
                least = max(least, LEAST_EPOCHS)
            window = zoomed(self._choice.window, whole, factor, self._cursor, least)
            self._change(window=window)

    def action_pan(self, share: float) -> None:
        whole = self._whole()
        if whole is not None:
            self._change(window=panned(self._choice.window, whole, share))

    def action_whole(self) -> None:
        """Show the whole x axis, without the cursor."""
        self._cursor = None
        self._change(window=None)


def _remark(entry: Entry, samples: Sequence[Sample]) -> tuple[float, str] | None:
    """Where along the curve it broke, and what to say of it."""
    epoch = entry.broken_at
    where = next((sample.x for sample in samples if sample.epoch == epoch), None)
    return None if where is None else (where, entry.remark)


def _place(x: float, axis: Axis) -> str:
    return clock(x) if axis == "time" else f"{x:.0f}"
