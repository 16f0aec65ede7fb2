"""What mattered: the settings of some runs by their effect, and the runs as lines over axes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static
from textual.worker import get_current_worker

from cifar_tui.drawing import strip, strip_scale
from cifar_tui.features.effects.lines import ParallelPlot
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.row_table import RowTable, TableColumn
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine

if TYPE_CHECKING:
    from cifar_tui.features.effects.study import Effect, Study


METRICS = ("val_acc", "last_val_acc", "val_loss", "train_acc", "train_loss")
"""The figures that the key goes through."""
COLUMNS = (
    TableColumn("setting", 15),
    TableColumn("effect", 9, True),
    TableColumn("±", 9, True),
    TableColumn("best", 16),
    TableColumn("rank corr.", 12, True),
    TableColumn("says", 16),
)
VALUE_WIDTH, FIGURE_WIDTH, COUNT_WIDTH = 16, 9, 5
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
        """Compute in a thread."""
        self.query_one(RowTable).set_columns(COLUMNS)
        self._compute(self._metric)

    def on_resize(self) -> None:
        """Draw the strips to the new width, once the parts have theirs."""
        self.call_after_refresh(self._show_setting)

    @work(thread=True, exclusive=True)
    def _compute(self, metric: str) -> None:
        from cifar_tui.features.effects.study import studies

        worker, app = get_current_worker(), self.app
        found = studies(self._runs, metric)
        if not worker.is_cancelled:
            app.call_from_thread(self._take, found)

    def _take(self, found: "list[Study]") -> None:
        self._studies = found
        self._images = min(self._images, len(found) - 1)
        self._show()
        self.refresh_bindings()

    @property
    def _study(self) -> "Study | None":
        return self._studies[self._images] if self._studies else None

    def _show(self) -> None:
        from cifar_tui.features.effects.tables import figure, headline, limits

        study = self._study
        if study is None:
            return
        self.say("answer", f" {headline(study)}")
        self.query_one("#limits", Static).update("\n".join(f" {line}" for line in limits(study)))
        effects = {effect.setting.name: effect for effect in study.effects}

        def texts(name: str) -> tuple[str, ...]:
            effect = effects[name]
            found = effect.found
            return (
                name,
                figure(study.metric, found.spread),
                figure(study.metric, found.margin),
                effect.best or "-",
                "-" if found.rho is None else f"{found.rho:+.2f}",
                found.verdict,
            )

        self.query_one(RowTable).show(list(effects), texts)
        self.query_one(ParallelPlot).show(study)
        self._show_about()
        self.call_after_refresh(self._show_setting)

    @on(ParallelPlot.Moved)
    def _show_about(self) -> None:
        """Which runs the answer rests on; where they are drawn, the one under the cursor."""
        from cifar_tui.features.effects.tables import about

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
            from cifar_tui.features.effects.tables import correlation_words

            parts = filter(None, [effect.found.why, correlation_words(study, effect)])
            why = f" {name}: {'; '.join(parts)}"
            values = "\n".join(_value_lines(study, effect, self.size.width - 1))
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
        """Show the runs as lines, or the table again."""
        self.toggle_class("lines")
        self.set_focus(self.query_one(ParallelPlot if self.has_class("lines") else RowTable))
        self._show_about()
        self.refresh_bindings()

    def action_metric(self) -> None:
        """Ask about the next figure."""
        self._metric = METRICS[(METRICS.index(self._metric) + 1) % len(METRICS)]
        self._compute(self._metric)

    def action_images(self) -> None:
        """Show the runs on other images."""
        self._images = (self._images + 1) % len(self._studies)
        self._show()

    def action_keep(self) -> None:
        """Draw only runs that are like the cursor's on the axis."""
        self.query_one(ParallelPlot).keep()

    def action_keep_all(self) -> None:
        """Draw all runs again."""
        self.query_one(ParallelPlot).keep_all()

    def action_open(self) -> None:
        """Show the curves and epochs of the cursor's run."""
        run = self.query_one(ParallelPlot).run
        if run is not None:
            self.cifar.watch_run(run.id)


def _value_lines(study: "Study", effect: "Effect", width: int) -> list[str]:
    """Per value of a setting: how many runs, their mean, its interval, and the runs on a strip."""
    from cifar_tui.features.effects.tables import figure

    metric = study.metric
    bad = any(level.diverged for level in effect.levels)
    adjusted = any(level.adjusted is not None for level in effect.levels)
    low, high = min(study.figures, default=0.0), max(study.figures, default=0.0)
    heads = [(COUNT_WIDTH, "runs")] + [(COUNT_WIDTH + 4, "diverged")] * bad
    heads += [(FIGURE_WIDTH, "mean"), (FIGURE_WIDTH, "±")] + [(FIGURE_WIDTH, "adjusted")] * adjusted
    room = max(10, width - VALUE_WIDTH - sum(cells for cells, _ in heads) - 1)
    scale = strip_scale(figure(metric, low), figure(metric, high), room)
    lines = [(effect.setting.name, [text for _, text in heads], scale)]
    for level in effect.levels:
        cells = [str(len(level.figures))] + [str(level.diverged)] * bad
        cells += [figure(metric, level.mean), figure(metric, level.margin)]
        cells += [figure(metric, level.adjusted)] * adjusted
        drawn = strip(level.figures, level.mean, level.margin, low, high, room)
        lines.append((level.text, cells, drawn))
    return [
        f" {plain(text)[: VALUE_WIDTH - 1]:<{VALUE_WIDTH - 1}}"
        + "".join(f"{cell:>{cells}}" for (cells, _), cell in zip(heads, row, strict=True))
        + f" {drawn}"
        for text, row, drawn in lines
    ]
