"""The lab book on the screen: every experiment of the assignment, and one of them by itself."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from cifar_tui.errors import UserError
from cifar_tui.features.labs.answer import ArmResult, Book, LabAnswer
from cifar_tui.features.labs.assignment import LABS
from cifar_tui.features.labs.dialog import ask_for_scale, ask_to_launch, scale_of, scale_words
from cifar_tui.features.labs.experiments import Lab
from cifar_tui.features.labs.images import choose_images
from cifar_tui.features.labs.report import curves_of
from cifar_tui.features.labs.tables import arm_table, lab_table
from cifar_tui.query.curves import Spread
from cifar_tui.query.fields import METRICS
from cifar_tui.runs.ids import by_time
from cifar_tui.runs.listing import Run
from cifar_tui.text import accuracy
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.plot import Curve, Curves, mark
from cifar_tui.tui.row_table import RowTable
from cifar_tui.tui.screen import KeyLine, TopLine, WatchingScreen

if TYPE_CHECKING:
    from cifar_tui.app import CifarApp

WIDE = 100
"""Columns from which on the settings have train_acc and the gap beside them."""
SIDE_BY_SIDE = 4
"""How many runs' weights or loss surfaces fit on the screen."""
SettingCurves = dict[str, dict[str, dict[int, Spread]]]
"""Of each setting and metric the mean over seeds by epoch."""


def _read_answers(app: "CifarApp", labs: Sequence[Lab]) -> list[LabAnswer] | UserError:
    """How the experiments stand, or why that cannot be read; for a thread."""
    scale = scale_of(app)
    try:
        runs = app.runs.all()
        book = Book(runs, choose_images(app.data, runs))
    except UserError as error:
        return error
    return [book.answer(lab, scale, data=app.data) for lab in labs]


class LabScreen(WatchingScreen[UserError | list[LabAnswer]]):
    """The experiments in one table; the question and the verdict of the one under the cursor."""

    CSS_PATH = "lab.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("lab")
    AUTO_FOCUS = "RowTable"

    def __init__(self) -> None:
        super().__init__()
        self._answers: dict[str, LabAnswer] = {}

    def compose(self) -> ComposeResult:
        yield TopLine("lab")
        yield Static(" Reading the runs ...", id="summary", classes="line", markup=False)
        yield RowTable(id="labs")
        yield Static("", id="detail", markup=False)
        yield KeyLine()

    def look(self) -> UserError | list[LabAnswer]:
        return _read_answers(self.cifar, LABS)

    def take(self, seen: UserError | list[LabAnswer]) -> None:
        if isinstance(seen, UserError):
            self.say("summary", f" {seen}")
        else:
            self._answers = {answer.lab.name: answer for answer in seen}
            self._show(seen)

    def _show(self, found: Sequence[LabAnswer]) -> None:
        done = sum(answer.state == "done" for answer in found)
        running = sum(answer.state.startswith("running") for answer in found)
        words = [f"{done} of {len(found)} labs done"]
        words += [f"{running} under way"] if running else []
        words += [f"on {found[0].images.kind}", *scale_words(found[0].scale)]
        self.say("summary", f" {', '.join(words)}")
        self.query_one(RowTable).show_table(lab_table(found))
        self._show_detail()

    @on(RowTable.CursorMoved)
    def _show_detail(self) -> None:
        answer = self._chosen()
        if answer is not None:
            self.say("detail", f"{answer.lab.question}\n{answer.verdict}")

    def _chosen(self) -> LabAnswer | None:
        return self._answers.get(self.query_one(RowTable).cursor_key or "")

    @on(RowTable.RowSelected)
    def action_open(self) -> None:
        answer = self._chosen()
        if answer is not None:
            self.app.push_screen(ExperimentScreen(answer))

    def action_launch(self) -> None:
        answer = self._chosen()
        if answer is not None:
            ask_to_launch(self, [answer], self.look_again)

    def action_launch_all(self) -> None:
        ask_to_launch(self, list(self._answers.values()), self.look_again)

    def action_scale(self) -> None:
        ask_for_scale(self, self.look_again)


class ExperimentScreen(WatchingScreen[UserError | tuple[LabAnswer, SettingCurves]]):
    """The runs of one experiment as they arrive, and what they answer."""

    CSS_PATH = "lab.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("experiment")
    AUTO_FOCUS = "RowTable"

    def __init__(self, answer: LabAnswer) -> None:
        super().__init__(id="experiment")
        self._lab = answer.lab
        self._answer = answer
        self._curves: SettingCurves = {}
        self._metric = METRICS[0]

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
        self.call_after_refresh(self._show)

    def look(self) -> UserError | tuple[LabAnswer, SettingCurves]:
        found = _read_answers(self.cifar, [self._lab])
        if isinstance(found, UserError):
            return found
        return found[0], {row.arm.label: curves_of(row, METRICS) for row in found[0].rows}

    def take(self, seen: UserError | tuple[LabAnswer, SettingCurves]) -> None:
        if isinstance(seen, UserError):
            self.say("question", f" {seen}")
        else:
            self._answer, self._curves = seen
            self._show()

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
        labels, seeds = [row.arm.label for row in self._answer.rows], self._answer.scale.seeds
        names = [f"{mark(number)} {label}" for number, label in enumerate(labels)]
        table = arm_table(
            self._answer, names, lambda row: f"{len(row.results)}/{seeds} {_under_way(row)}"
        )
        hidden = {"n"} if self.size.width >= WIDE else {"n", "train_acc", "gap"}
        shown = [name for name in table.names if name not in hidden]
        self.query_one(RowTable).show_table(table.only(*shown), labels)

    def _chosen(self) -> ArmResult:
        key = self.query_one(RowTable).cursor_key
        rows = self._answer.rows
        return next((row for row in rows if row.arm.label == key), rows[0])

    def action_launch(self) -> None:
        ask_to_launch(self, [self._answer], self.look_again)

    def action_scale(self) -> None:
        ask_for_scale(self, self.look_again)

    def action_open(self) -> None:
        runs = self._chosen().runs
        if runs:
            self.cifar.watch_run(max((run.id for run in runs), key=by_time))
        else:
            self.notify("This setting has no run yet; Enter launches what is missing.")

    def action_compare(self) -> None:
        ids = [run.id for row in self._answer.rows for run in row.runs]
        if len(ids) > 1:
            self.cifar.open("compare", ids)
        else:
            self.notify("There are no two runs to compare yet.")

    def action_weights(self) -> None:
        runs = self._one_each()
        if runs:
            self.cifar.open("weights", runs, "lab")

    def action_surface(self) -> None:
        runs = self._one_each()
        if runs:
            self.cifar.open("surface", runs)

    def _one_each(self) -> list[Run]:
        """A finished run of each setting; of the cursor's only, where all do not fit."""
        rows = [row for row in self._answer.rows if row.results]
        if len(rows) > SIDE_BY_SIDE:
            rows = [row for row in rows if row is self._chosen()]
        if not rows:
            self.notify("No setting has a finished run yet; Enter launches what is missing.")
        return [row.results[0] for row in rows]

    def action_metric(self) -> None:
        self._metric = METRICS[(METRICS.index(self._metric) + 1) % len(METRICS)]
        self._show_curves()

    def action_layers(self) -> None:
        spec = self._chosen().arm.spec(self._lab.name, self._answer.scale)
        self.cifar.open("layers", spec)


def _curve(label: str, points: dict[int, Spread]) -> Curve:
    band = [(e, *edges) for e, p in points.items() if (edges := p.band("sd"))]
    return Curve(label, [(epoch, p.mean) for epoch, p in points.items()], band)


def _under_way(row: ArmResult) -> str:
    """How far a run in training is, else what waits for the user."""
    for run in row.arriving:
        if run.status == "running":
            return f"running {run.summary.epochs_done}/{run.summary.epochs}"
    waiting = [*row.arriving, *row.unfinished]
    return waiting[0].status if waiting else "done" if row.results else "-"


def _remarks(answer: LabAnswer) -> list[str]:
    """What is asked for, the check of the first loss, the images, and what else must be known."""
    lab = answer.lab
    words = ["loss 0: before training, ln 10 = 2.3026"]
    if lab.bar is not None:
        reached = {None: "", True: ", reached", False: ", not reached"}[answer.bar_reached]
        words.append(f"asked for {accuracy(lab.bar)}{reached}")
    devices = {row.devices for row in answer.rows if row.devices}
    words.append(f"trained on {', '.join(sorted(devices)) or '-'}")
    words.append(answer.images.kind)
    return ["  ".join(words), *answer.notes]
