"""The lab book on the screen: every experiment of the assignment, how far it is, what it says."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from cifar_tui.errors import UserError
from cifar_tui.features.labs.answer import LabAnswer
from cifar_tui.features.labs.experiment_screen import (
    READ_EVERY,
    ExperimentScreen,
    ask_for_scale,
    ask_to_launch,
    read_answers,
    scale_of,
    scale_words,
)
from cifar_tui.features.labs.experiments import LABS
from cifar_tui.features.labs.lab import Scale
from cifar_tui.text import accuracy
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.row_table import RowTable, TableColumn
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine

COLUMNS = (
    TableColumn("lab", 18),
    TableColumn("state", 16),
    TableColumn("ours", 8, right=True),
    TableColumn("report", 8, right=True),
    TableColumn("bar", 8, right=True),
    TableColumn("answer", 7),
)


class LabScreen(CifarScreen):
    """The experiments in one table; the question and the verdict of the one under the cursor."""

    CSS_PATH = "lab.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("lab")
    AUTO_FOCUS = "RowTable"

    def __init__(self) -> None:
        super().__init__()
        self._answers: dict[str, LabAnswer] = {}
        self._looking = False

    def compose(self) -> ComposeResult:
        """How many are answered, on which images, and each of them."""
        yield TopLine("lab")
        yield Static(" Reading the runs ...", id="summary", classes="line", markup=False)
        yield RowTable(id="labs")
        yield Static("", id="detail", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        """Read the run folders every two seconds while the screen is shown."""
        self.set_interval(READ_EVERY, self._tick)

    def on_screen_resume(self) -> None:
        """Read at once when the screen comes back."""
        self._tick()

    def on_resize(self) -> None:
        """Fit the questions to the new width."""
        self._fill()

    def _tick(self) -> None:
        if self.is_current and not self._looking:
            self._looking = True
            self._read(scale_of(self.cifar))

    @work(thread=True)
    def _read(self, scale: Scale) -> None:
        found = read_answers(self.cifar, LABS, scale)
        self.app.call_from_thread(self._take, found, scale)

    def _take(self, found: list[LabAnswer] | UserError, scale: Scale) -> None:
        self._looking = False
        if isinstance(found, UserError):
            self.say("summary", f" {found}")
        elif scale == scale_of(self.cifar):
            self._answers = {answer.lab.name: answer for answer in found}
            self._fill()
        else:
            self._tick()

    def _fill(self) -> None:
        if not self._answers:
            return
        found = list(self._answers.values())
        done = sum(answer.state == "done" for answer in found)
        running = sum(answer.state.startswith("running") for answer in found)
        words = [f"{done} of {len(found)} labs done"]
        words += [f"{running} under way"] if running else []
        words += [f"on {found[0].images.kind}", *scale_words(scale_of(self.cifar))]
        self.say("summary", f" {', '.join(words)}")
        taken = sum(column.width for column in COLUMNS)
        question = TableColumn("question", max(8, self.size.width - taken - 1))
        table = self.query_one(RowTable)
        table.set_columns([*COLUMNS, question])
        texts = {answer.lab.name: _texts(answer) for answer in found}
        table.show(list(texts), texts.__getitem__)
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
        """Open the experiment under the cursor."""
        answer = self._chosen()
        if answer is not None:
            self.app.push_screen(ExperimentScreen(answer))

    def action_launch(self) -> None:
        """Train what the experiment under the cursor lacks, after asking."""
        answer = self._chosen()
        if answer is not None:
            self._launch([answer])

    def action_launch_all(self) -> None:
        """Train what all experiments lack, after asking."""
        self._launch(list(self._answers.values()))

    def _launch(self, answers: Sequence[LabAnswer]) -> None:
        ask_to_launch(self, answers, self._tick)

    def action_scale(self) -> None:
        """Choose seeds, epochs, images and precision."""
        ask_for_scale(self, self._tick)


def _texts(answer: LabAnswer) -> tuple[str, ...]:
    lab, show = answer.lab, answer.lab.measure.show_with_unit
    figures = (show(answer.ours), show(answer.reported), accuracy(lab.bar))
    return (lab.name, answer.state, *figures, answer.word, lab.question)
