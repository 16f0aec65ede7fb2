"""One experiment on the screen: its question, verdict, curves, and a row for each setting."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from cifar_tui.errors import UserError
from cifar_tui.features.labs.answer import ArmResult, Book, LabAnswer, choose_images
from cifar_tui.features.labs.lab import Lab, Scale, make_scale
from cifar_tui.features.labs.launch import lacking, queue, seconds_needed
from cifar_tui.features.labs.report import curves_of
from cifar_tui.query.curves import Spread
from cifar_tui.query.fields import METRICS
from cifar_tui.runs.ids import by_time
from cifar_tui.runs.listing import Run
from cifar_tui.text import accuracy, clock, loss
from cifar_tui.tui.dialogs import Ask
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.plot import Curve, Curves, mark
from cifar_tui.tui.row_table import RowTable, TableColumn
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine

if TYPE_CHECKING:
    from cifar_tui.app import CifarApp


READ_EVERY = 2.0
"""Seconds between two looks at the run folders while a screen of the lab book is shown."""


def read_answers(app: "CifarApp", labs: Sequence[Lab], scale: Scale) -> list[LabAnswer] | UserError:
    """How the experiments stand, or why that cannot be read; for a thread."""
    try:
        runs = app.runs.all()
        book = Book(runs, choose_images(app.data, runs))
    except UserError as error:
        return error
    return [book.answer(lab, scale, data=app.data) for lab in labs]


def scale_of(app: "CifarApp") -> Scale:
    """How much of each experiment is shown and launched."""
    return app.lab_scale or Scale()


def scale_words(scale: Scale) -> list[str]:
    """What of a scale is not the full setting with one seed."""
    words = [f"{scale.seeds} seeds"] if scale.seeds > 1 else []
    words += [f"{scale.epochs} epochs"] if scale.epochs is not None else []
    words += [f"{scale.subset:,} images"] if scale.subset else []
    return words + ([scale.precision] if scale.precision != "fp32" else [])


def ask_for_scale(screen: CifarScreen, then: Callable[[], None]) -> None:
    """Let the user choose how much of each experiment is shown and launched."""

    def take(scale: Scale | None) -> None:
        if scale is not None:
            screen.cifar.lab_scale = scale
            then()

    screen.app.push_screen(ScaleDialog(scale_of(screen.cifar)), take)


def ask_to_launch(
    screen: CifarScreen, answers: Sequence[LabAnswer], then: Callable[[], None]
) -> None:
    """Queue all that the experiments lack, once the user has agreed to how much that is."""
    resumed, specs = lacking(answers)
    many = len(resumed) + len(specs)
    if not many:
        under_way = any(row.arriving for answer in answers for row in answer.rows)
        screen.notify("All runs are under way." if under_way else "No run is missing.")
        return

    def launch(sure: bool | None) -> None:
        if sure:
            screen.run_worker(lambda: _queue(screen, answers, then), thread=True)

    screen.app.push_screen(Ask(_question(screen.cifar, answers), yes="launch"), launch)


def _question(app: "CifarApp", answers: Sequence[LabAnswer]) -> str:
    resumed, specs = lacking(answers)
    many = len(resumed) + len(specs)
    what = answers[0].lab.name if len(answers) == 1 else f"{len(answers)} labs"
    words = [f"Launch {many} run{'s' if many > 1 else ''} of {what}"]
    words += [f"{len(resumed)} of them resumed"] if resumed else []
    words += [f"on {answers[0].images.kind}", *scale_words(answers[0].scale)]
    words += [f"trained by {app.wish.name}"] if app.wish.name != "thread" else []
    seconds = seconds_needed(answers, app.runs.all())
    time = "How long it takes is not known yet."
    if seconds is not None:
        time = f"About {clock(seconds)} by the pace of runs like these."
    return f"{', '.join(words)}? {time}"


def _queue(screen: CifarScreen, answers: Sequence[LabAnswer], then: Callable[[], None]) -> None:
    app = screen.cifar
    try:
        for folder in app.launcher.in_order(queue(answers, app.runs.folder)):
            app.worker.add(folder)
    except UserError as error:
        app.call_from_thread(app.complain, error)
    app.call_from_thread(then)


HINTS = {
    "seeds": "runs of each setting",
    "epochs": "empty: the full setting",
    "subset": "training images, 0 takes all",
    "precision": "fp32, tf32 or bf16",
}


class ScaleDialog(ModalScreen[Scale | None]):
    """Seeds, epochs, images and precision of the experiments."""

    DEFAULT_CSS = """
    ScaleDialog .dialog { width: 60; }
    ScaleDialog Horizontal { height: 1; }
    ScaleDialog Horizontal > Static { width: 11; }
    ScaleDialog Input { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "cancel")]

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self._before = {
            "seeds": str(scale.seeds),
            "epochs": "" if scale.epochs is None else str(scale.epochs),
            "subset": str(scale.subset),
            "precision": scale.precision,
        }

    def compose(self) -> ComposeResult:
        """Four fields, a line for what is wrong, and the keys."""
        with Vertical(classes="dialog"):
            yield Static("What each experiment trains\n", markup=False)
            for name, text in self._before.items():
                with Horizontal():
                    yield Static(name, markup=False)
                    yield Input(text, id=name, placeholder=HINTS[name], compact=True)
            yield Static("", id="problem", classes="error", markup=False)
            yield Static("Enter takes it   Tab next field   Esc cancels", markup=False)

    def on_input_changed(self) -> None:
        """What was wrong is being mended."""
        self.query_one("#problem", Static).update("")

    def on_input_submitted(self) -> None:
        """Close with the scale, or say what is wrong."""
        texts = {str(field.id): field.value.strip() for field in self.query(Input)}
        try:
            self.dismiss(make_scale(**texts))
        except UserError as error:
            self.query_one("#problem", Static).update(str(error))


SETTING_WIDTH = 16
OTHER_COLUMNS = (
    TableColumn("report", 7, right=True),
    TableColumn("others", 17, right=True),
    TableColumn("loss 0", 7, right=True),
)
RUNS_WIDTH = 16
SIDE_BY_SIDE = 4
"""How many runs' weights or loss surfaces fit on the screen."""


class ExperimentScreen(CifarScreen):
    """The runs of one experiment as they arrive, and what they answer."""

    CSS_PATH = "lab.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("experiment")
    AUTO_FOCUS = "RowTable"

    def __init__(self, answer: LabAnswer) -> None:
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
        self, found: list[LabAnswer] | UserError, curves: dict[str, dict[str, dict[int, Spread]]]
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

    def _texts(self, number: int, row: ArmResult) -> tuple[str, ...]:
        show = self._lab.measure.show
        return (
            f"{mark(number)} {row.arm.label}",
            row.figure(show),
            show(row.arm.report),
            row.arm.others_words,
            loss(row.initial_loss),
            f"{len(row.results)}/{self._answer.scale.seeds} {_under_way(row)}",
        )

    def _chosen(self) -> ArmResult:
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
            self.cifar.open("compare", ids)
        else:
            self.notify("There are no two runs to compare yet.")

    def action_weights(self) -> None:
        """Show the weights of a run of each setting side by side."""
        runs = self._one_each()
        if runs:
            self.cifar.open("weights", runs, "lab")

    def action_surface(self) -> None:
        """Show the loss surface of a run of each setting side by side."""
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
        """Show the next metric."""
        self._metric = METRICS[(METRICS.index(self._metric) + 1) % len(METRICS)]
        self._show_curves()

    def action_layers(self) -> None:
        """Show the model of the setting under the cursor layer by layer."""
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
