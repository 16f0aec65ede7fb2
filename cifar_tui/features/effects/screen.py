"""What mattered: the settings of some runs by their effect, and the runs as lines over axes."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static
from textual.worker import get_current_worker

from cifar_tui.features.effects.lines import ParallelPlot
from cifar_tui.features.effects.study import Effect, Study, studies
from cifar_tui.features.effects.tables import (
    EFFECTS,
    LEVELS,
    SETTING_WIDTH,
    about,
    effect_table,
    headline,
    level_table,
    limits,
    reasons,
)
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.row_table import RowTable
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine

METRICS = ("val_acc", "last_val_acc", "val_loss", "train_acc", "train_loss")
"""The figures that the key goes through."""
LEAST_STRIP = 10
LINES_ONLY = ("keep", "keep_all", "open")
"""What can only be done where runs are drawn."""


class MatteredScreen(CifarScreen):
    """A table of settings, the cursor's one value by value; or all runs as lines over axes."""

    CSS_PATH = "effects.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("mattered")
    AUTO_FOCUS = "RowTable"

    def __init__(self, runs: Sequence[Run]) -> None:
        super().__init__(id="mattered")
        self._runs = list(runs)
        self._studies: list[Study] = []
        self._images = 0
        """Which of the studies is shown: one per kind of images."""
        self._metric = METRICS[0]

    def compose(self) -> ComposeResult:
        """The answer, what it rests on, the settings, the cursor's setting; or the lines."""
        yield TopLine("history")
        yield Static(" Reading the runs ...", id="answer", classes="line", markup=False)
        yield Static("", id="about", classes="line muted", markup=False)
        yield Static("", id="limits", markup=False)
        yield RowTable(id="settings")
        yield Static("", id="why", markup=False)
        yield Static("", id="values", markup=False)
        yield ParallelPlot(id="lines")
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one(RowTable).set_columns(EFFECTS)
        self._compute(self._metric)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_setting)

    @work(thread=True, exclusive=True)
    def _compute(self, metric: str) -> None:
        worker, app = get_current_worker(), self.app
        found = studies(self._runs, metric)
        if not worker.is_cancelled:
            app.call_from_thread(self._take, found)

    def _take(self, found: list[Study]) -> None:
        self._studies = found
        self._images = min(self._images, len(found) - 1)
        self._show()
        self.refresh_bindings()

    @property
    def _study(self) -> Study | None:
        return self._studies[self._images] if self._studies else None

    def _show(self) -> None:
        study = self._study
        if study is None:
            return
        self.say("answer", f" {headline(study)}")
        self.query_one("#limits", Static).update("\n".join(f" {line}" for line in limits(study)))
        self.query_one(RowTable).show_table(effect_table(study))
        self.query_one(ParallelPlot).show(study)
        self._show_about()
        self.call_after_refresh(self._show_setting)

    @on(ParallelPlot.Moved)
    def _show_about(self) -> None:
        """Which runs the answer rests on; where they are drawn, the one under the cursor."""
        study, lines = self._study, self.query_one(ParallelPlot)
        if study is None:
            return
        words = about(study)
        if self.has_class("lines") and lines.run is not None:
            place, shown = lines.place
            kept = ", ".join(f"{name} {text}" for name, text in lines.kept.items())
            parts = [f"{place} of {shown}{' (synthetic)' if lines.run.synthetic else ''}"]
            parts += [f"only {kept}" if kept else ""]
            parts += [f"not drawn: {', '.join(lines.hidden)}" if lines.hidden else ""]
            words = "   ".join(filter(None, [*parts, plain(lines.run.name)]))
        self.say("about", f" {words}")

    @on(RowTable.CursorMoved)
    def _show_setting(self) -> None:
        """The values of the setting under the cursor, one strip of runs for each."""
        study, name = self._study, self.query_one(RowTable).cursor_key
        effect = next((e for e in study.effects if e.setting.name == name), None) if study else None
        why, values = "", ""
        if study is not None and effect is not None:
            why = f" {name}: {reasons(study, effect)}"
            lines = _level_lines(study, effect, self.size.width - 2)
            values = "\n".join(f" {line}" for line in lines)
        self.query_one("#why", Static).update(why)
        self.query_one("#values", Static).update(values)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Some keys mean something only where runs are drawn, or with several kinds of images."""
        if action in LINES_ONLY:
            return self.has_class("lines")
        if action == "images":
            return len(self._studies) > 1
        return True

    def action_lines(self) -> None:
        self.toggle_class("lines")
        self.set_focus(self.query_one(ParallelPlot if self.has_class("lines") else RowTable))
        self._show_about()
        self.refresh_bindings()

    def action_metric(self) -> None:
        self._metric = METRICS[(METRICS.index(self._metric) + 1) % len(METRICS)]
        self._compute(self._metric)

    def action_images(self) -> None:
        self._images = (self._images + 1) % len(self._studies)
        self._show()

    def action_keep(self) -> None:
        self.query_one(ParallelPlot).keep()

    def action_keep_all(self) -> None:
        self.query_one(ParallelPlot).keep_all()

    def action_open(self) -> None:
        run = self.query_one(ParallelPlot).run
        if run is not None:
            self.cifar.watch_run(run.id)


def _level_lines(study: Study, effect: Effect, room: int) -> list[str]:
    """The values of a setting with the columns that say something, for `room` cells."""
    names = ["n", *["diverged"] * any(level.diverged for level in effect.levels), "mean", "±"]
    names += ["adjusted"] * any(level.adjusted is not None for level in effect.levels)
    taken = SETTING_WIDTH + sum(column.width for column in LEVELS if column.name in names)
    table = level_table(study, effect, max(LEAST_STRIP, room - taken))
    return table.only(table.names[0], *names, table.names[-1]).screen_lines(room)
