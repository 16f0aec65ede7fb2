"""One experiment on the screen: its question, verdict, curves, and a row for each setting."""

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from cifar_tui.errors import UserError
from cifar_tui.formats import accuracy, loss
from cifar_tui.labs.answer import Answer, Row
from cifar_tui.labs.curves import curves_of
from cifar_tui.runs.curves import Spread
from cifar_tui.runs.fields import METRICS
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import by_time
from cifar_tui.ui.compare import CompareScreen
from cifar_tui.ui.keyline import KeyLine
from cifar_tui.ui.keys import bindings
from cifar_tui.ui.labbook import (
    READ_EVERY,
    ask_for_scale,
    ask_to_launch,
    read_answers,
    scale_of,
)
from cifar_tui.ui.layers import LayersScreen
from cifar_tui.ui.plot import Curve, Curves, mark
from cifar_tui.ui.screen import CifarScreen
from cifar_tui.ui.surface import SurfaceScreen
from cifar_tui.ui.table import RowTable, TableColumn
from cifar_tui.ui.topline import TopLine
from cifar_tui.ui.weights import WeightsScreen

SETTING_WIDTH = 16
OTHER_COLUMNS = (
    TableColumn("report", 7, right=True),
    TableColumn("others", 17, right=True),
    TableColumn("loss 0", 7, right=True),
)
RUNS_WIDTH = 16
SIDE_BY_SIDE = 4
"""So many runs' weights or loss surfaces fit on the screen."""


class ExperimentScreen(CifarScreen):
    """The runs of one experiment as they arrive, and what they answer."""

    CSS_PATH = "lab.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("experiment")
    AUTO_FOCUS = "RowTable"

    def __init__(self, answer: Answer) -> None:
        super().__init__(id="experiment")
        self._lab = answer.lab
        self._answer = answer
        self._curves: dict[str, dict[str, dict[int, Spread]]] = {}
        """Setting -> metric -> curve."""
        self._metric = METRICS[0]
        self._looking = False

    def compose(self) -> ComposeResult:
        """The question and how far it is, the answer, the curves, the settings, the remarks."""
        yield TopLine("lab")
        with Horizontal(id="head"):
            yield Static("", id="question", classes="line", markup=False)
            yield Static("", id="state", classes="line", markup=False)
        yield Static("", id="verdict", markup=False)
        yield Curves(id="curves")
        yield RowTable(id="settings")
        yield Static("", id="notes", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        """Read the run folders every two seconds while the screen is shown."""
        self.set_interval(READ_EVERY, self._tick)
        self.call_after_refresh(self._show)

    def on_screen_resume(self) -> None:
        """Read at once when the screen comes up or back."""
        self._tick()

    def on_resize(self) -> None:
        """Fit the table to the new width."""
        self._show()

    def _tick(self) -> None:
        if self.is_current and not self._looking:
            self._looking = True
            self._read()

    @work(thread=True)
    def _read(self) -> None:
        found = read_answers(self.cifar, [self._lab], scale_of(self.cifar))
        curves: dict[str, dict[str, dict[int, Spread]]] = {}
        if not isinstance(found, UserError):
            curves = {row.arm.label: curves_of(row, METRICS) for row in found[0].rows}
        self.app.call_from_thread(self._take, found, curves)

    def _take(
        self, found: list[Answer] | UserError, curves: dict[str, dict[str, dict[int, Spread]]]
    ) -> None:
        self._looking = False
        if isinstance(found, UserError):
            self.say("question", f" {found}")
            return
        self._answer, self._curves = found[0], curves
        self._show()
        if self._answer.scale != scale_of(self.cifar):
            self._tick()

    def _show(self) -> None:
        answer = self._answer
        self.say("question", f" {answer.lab.name}  {answer.lab.question}")
        self.say("state", f"{answer.state} ")
        self.say("verdict", answer.verdict)
        self._show_curves()
        self._show_settings()
        self.say("notes", "\n".join(_remarks(answer)))

    def _show_curves(self) -> None:
        drawn = [_curve(label, each[self._metric]) for label, each in self._curves.items()]
        self.query_one(Curves).show(drawn, self._metric)

    def _show_settings(self) -> None:
        measure = self._lab.measure
        wide = max(len(row.figure(measure.show)) for row in self._answer.rows)
        ours = TableColumn(measure.name, max(wide, len(measure.name)) + 1, right=False)
        taken = 1 + SETTING_WIDTH + ours.width + sum(column.width for column in OTHER_COLUMNS)
        runs = TableColumn("runs", max(RUNS_WIDTH, self.size.width - taken))
        table = self.query_one(RowTable)
        table.set_columns([TableColumn("setting", SETTING_WIDTH), ours, *OTHER_COLUMNS, runs])
        rows = enumerate(self._answer.rows)
        texts = {row.arm.label: self._texts(i, row) for i, row in rows}
        table.show(list(texts), texts.__getitem__)

    def _texts(self, number: int, row: Row) -> tuple[str, ...]:
        show = self._lab.measure.show
        return (
            f"{mark(number)} {row.arm.label}",
            row.figure(show),
            show(row.arm.report),
            row.arm.others_words,
            loss(row.initial_loss),
            f"{len(row.results)}/{self._answer.scale.seeds} {_under_way(row)}",
        )

    def _chosen(self) -> Row:
        """The setting under the cursor."""
        key = self.query_one(RowTable).cursor_key
        rows = self._answer.rows
        return next((row for row in rows if row.arm.label == key), rows[0])

    def action_launch(self) -> None:
        """Train what the experiment lacks, after asking."""
        ask_to_launch(self, [self._answer], self._tick)

    def action_scale(self) -> None:
        """Choose seeds, epochs, images and precision."""
        ask_for_scale(self, self._tick)

    def action_open(self) -> None:
        """Watch the latest run of the setting under the cursor."""
        runs = self._chosen().runs
        if runs:
            self.cifar.watch_run(max((run.id for run in runs), key=by_time))
        else:
            self.notify("This setting has no run yet; Enter launches what is missing.")

    def action_compare(self) -> None:
        """Lay all runs of the experiment over each other."""
        ids = [run.id for row in self._answer.rows for run in row.runs]
        if len(ids) > 1:
            self.app.push_screen(CompareScreen(ids))
        else:
            self.notify("There are no two runs to compare yet.")

    def action_weights(self) -> None:
        """Show the weights of a run of each setting side by side."""
        runs = self._one_each()
        if runs:
            self.app.push_screen(WeightsScreen(runs, "lab"))

    def action_surface(self) -> None:
        """Show the loss surface of a run of each setting side by side."""
        runs = self._one_each()
        if runs:
            self.app.push_screen(SurfaceScreen(runs))

    def _one_each(self) -> list[Run]:
        """A finished run of each setting; of the cursor's only, where all do not fit."""
        rows = [row for row in self._answer.rows if row.results]
        if len(rows) > SIDE_BY_SIDE:
            rows = [row for row in rows if row is self._chosen()]
        if not rows:
            self.notify("No setting has a finished run yet; Enter launches what is missing.")
        return [row.results[0] for row in rows]

    def action_metric(self) -> None:
        """Show the next metric."""
        self._metric = METRICS[(METRICS.index(self._metric) + 1) % len(METRICS)]
        self._show_curves()

    def action_layers(self) -> None:
        """Show the model of the setting under the cursor layer by layer."""
        spec = self._chosen().arm.spec(self._lab.name, self._answer.scale)
        self.app.push_screen(LayersScreen(spec))


def _curve(label: str, points: dict[int, Spread]) -> Curve:
    band = [(e, *edges) for e, p in points.items() if (edges := p.band("sd"))]
    return Curve(label, [(epoch, p.mean) for epoch, p in points.items()], band)


def _under_way(row: Row) -> str:
    """How far a run in training is, else what waits for the user."""
    for run in row.arriving:
        if run.status == "running":
            return f"running {run.summary.epochs_done}/{run.summary.epochs}"
    waiting = [*row.arriving, *row.unfinished]
    return waiting[0].status if waiting else "done" if row.results else "-"


def _remarks(answer: Answer) -> list[str]:
    """The bar, the check of the first loss, the images, and what else must be known."""
    lab = answer.lab
    words = ["loss 0: before training, ln 10 = 2.3026"]
    if lab.bar is not None:
        reached = {None: "", True: ", reached", False: ", not reached"}[answer.bar_reached]
        words.append(f"bar {accuracy(lab.bar)}{reached}")
    devices = {row.devices for row in answer.rows if row.devices}
    words.append(f"trained on {', '.join(sorted(devices)) or '-'}")
    words.append(answer.images.kind)
    return ["  ".join(words), *answer.notes]
