"""The table of all runs: read behind the screen, filtered, sorted and marked."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.events import Key
from textual.widgets import Input, Static

from cifar_tui.errors import UserError
from cifar_tui.formats import plain
from cifar_tui.runs.contents import size_text
from cifar_tui.runs.filter import matches
from cifar_tui.runs.folder import TRASH
from cifar_tui.runs.listing import Run, Runs, best_run
from cifar_tui.runs.space import size_of
from cifar_tui.ui.columns import (
    BY_NAME,
    SORT_CYCLE,
    Line,
    best_words,
    fitting,
    in_order,
    make_line,
    same_lines,
    texts_of,
)
from cifar_tui.ui.keyline import KeyLine
from cifar_tui.ui.keys import bindings
from cifar_tui.ui.marks import MARK_WIDTH, mark_text
from cifar_tui.ui.screen import CifarScreen
from cifar_tui.ui.table import RowTable, TableColumn
from cifar_tui.ui.topline import TopLine

READ_EVERY = 2.0
"""Seconds between two looks at the run folders while the screen is shown."""
FIRST = 100
"""So many of the newest runs are shown while the others are read for the first time."""


class RunListScreen(CifarScreen):
    """All runs of the app's folder, or those in its trash."""

    CSS_PATH = "history.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("history")
    AUTO_FOCUS = "RowTable"

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, Line] = {}
        self._columns: list[tuple[int, TableColumn]] = []
        self._whole: Runs | None = None
        """The runs that were found to the last one; before that only the newest are there."""
        self._marks: list[str] = []
        self._column = "age"
        self._backwards = False
        self._query = ""
        self._bin: Runs | None = None
        """The trash while it is shown."""
        self._sizes: dict[str, int] = {}
        """Bytes of each run in the trash."""
        self._looking = False
        self._look_again = False

    def compose(self) -> ComposeResult:
        """How many runs and which is best, the filter while it is used, the runs."""
        yield TopLine("history")
        with Horizontal(id="head"):
            yield Static("", id="summary", classes="line", markup=False)
            yield Static("", id="best", classes="line", markup=False)
        with Horizontal(id="filter-line"):
            yield Static(" filter", markup=False)
            yield Input(
                id="filter",
                compact=True,
                placeholder="words that must occur, -word must not",
            )
        yield RowTable(id="runs")
        yield KeyLine()

    def on_mount(self) -> None:
        """Read the folders every two seconds while the screen is shown."""
        self.set_interval(READ_EVERY, self._tick)

    def on_screen_resume(self) -> None:
        """Read at once when the screen comes back."""
        self._read_soon()

    def on_resize(self) -> None:
        """Fit the columns to the new width."""
        self._fill()

    def _tick(self) -> None:
        if self.is_current:
            self._read_soon()

    def _read_soon(self) -> None:
        """Read the folders in a thread, one reading at a time."""
        if self._looking:
            self._look_again = True
            return
        self._looking = True
        self._read()

    @work(thread=True)
    def _read(self) -> None:
        runs, before, problem = self._bin or self.cifar.runs, self._found, ""
        try:
            if not before and (first := runs.newest(FIRST)):
                self.app.call_from_thread(self._take_first, runs, first)
            found = {run.id: make_line(run, before.get(run.id)) for run in runs.all()}
        except UserError as error:
            found, problem = {}, str(error)
        if runs is self._bin:
            self._sizes = {i: self._sizes.get(i) or size_of(runs.folder / i) for i in found}
        self.app.call_from_thread(self._take, runs, found, problem)
        for line in found.values():
            line.searched  # noqa: B018 - made here, so that the filter's first letter is quick

    def _take_first(self, runs: Runs, first: list[Run]) -> None:
        """Show the newest runs while the others are read."""
        if runs is (self._bin or self.cifar.runs) and not self._found:
            self._found = {run.id: Line(run) for run in first}
            self._fill()

    def _take(self, runs: Runs, found: dict[str, Line], problem: str) -> None:
        self._looking = False
        if runs is (self._bin or self.cifar.runs):
            same = runs is self._whole and not problem and same_lines(found, self._found)
            self._found, self._whole = found, None if problem else runs
            if self._bin is None:
                self._marks = [run_id for run_id in self._marks if run_id in found]
            if same:
                self._show(self.query_one(RowTable).keys)
            else:
                self._fill(problem)
        if self._look_again:
            self._look_again = False
            self._read_soon()

    def _fill(self, problem: str = "") -> None:
        """Show the runs that the filter lets through, in order."""
        self._columns = fitting(self.size.width, taken=MARK_WIDTH + 1)
        self.query_one(RowTable).set_columns(
            [TableColumn("", MARK_WIDTH), *(column for _, column in self._columns)]
        )
        lines = list(self._found.values())
        if self._query.strip():
            lines = [line for line in lines if matches(line.searched, self._query)]
        ordered = in_order(lines, BY_NAME[self._column], self._backwards)
        self._show([line.run.id for line in ordered])
        best = None if self._bin else best_run([line.run for line in lines])
        self.say("summary", f" {problem or self._summary(len(lines))}")
        self.say("best", f"{best_words(best, self.size.width // 4)} " if best else "")

    def _show(self, keys: list[str]) -> None:
        """Bring the table up to date; the texts of a row are made when it comes into sight."""
        now = datetime.now()
        marks = set() if self._bin else set(self._marks)

        def texts(key: str) -> tuple[str, ...]:
            line = self._found[key]
            return (mark_text(line.run, key in marks), *texts_of(line, self._columns, now))

        self.query_one(RowTable).show(keys, texts)

    def _summary(self, shown: int) -> str:
        if not self._found:
            if self._bin:
                return "The trash is empty. Press t to see the runs."
            return "No runs yet. Press n to set one up."
        if self._whole is None:
            return "Reading the runs; the newest are here."
        query = plain(self._query.strip())
        count = f"{len(self._found)} run{'s' if len(self._found) != 1 else ''}"
        parts = [f"{shown} of {count}" if query else count]
        if self._bin:
            space = size_text(sum(self._sizes.values()))
            parts = [f"Trash: {parts[0]}, {space}", "z restores, X empties, t goes back"]
        elif self._marks:
            parts.append(f"{len(self._marks)} marked")
        if query:
            parts.append(f"filter '{query}'")
        parts.append(f"by {self._column}{' reversed' if self._backwards else ''}")
        return ", ".join(parts)

    def _cursor_run(self) -> Run | None:
        key = self.query_one(RowTable).cursor_key
        return self._found[key].run if key in self._found else None

    def _chosen(self) -> Run | None:
        """The cursor's run; None, and a word about it, when it lies in the trash."""
        run = self._cursor_run()
        if run is not None and self._bin is not None:
            self._tell(f"{plain(run.name)} is in the trash; z restores it.")
            return None
        return run

    def _tell(self, sentence: str) -> None:
        self.notify(sentence, markup=False)

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        """Say what went wrong, and show the folders as they are now."""
        try:
            yield
        except UserError as error:
            self.cifar.complain(error)
        except OSError as error:
            reason = f"Cannot change {error.filename or 'the run'}: {error.strerror}."
            self.cifar.complain(UserError(reason))
        self._read_soon()

    # Finding

    def action_filter(self) -> None:
        """Open the filter and type into it."""
        self.query_one("#filter-line").display = True
        self.set_focus(self.query_one("#filter"))

    @on(Input.Changed, "#filter")
    def _filter_typed(self, event: Input.Changed) -> None:
        self._query = event.value
        self._fill()

    @on(Input.Submitted, "#filter")
    def _leave_filter(self) -> None:
        """Go on with the table; the filter stays in force, and the first line names it."""
        self.query_one("#filter-line").display = False
        self.set_focus(self.query_one(RowTable))

    def key_escape(self, event: Key) -> None:
        """Leave the filter; elsewhere keep the focus, so that the arrows go on working."""
        event.stop()
        self._leave_filter()

    def action_sort(self) -> None:
        """Sort by the next of the usual columns."""
        place = SORT_CYCLE.index(self._column) if self._column in SORT_CYCLE else -1
        self._sort_by(SORT_CYCLE[(place + 1) % len(SORT_CYCLE)])

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._backwards = not self._backwards
        self._fill()

    @on(RowTable.HeaderSelected)
    def _header_clicked(self, event: RowTable.HeaderSelected) -> None:
        name = event.name
        if name == self._column:
            self.action_reverse()
        elif name:
            self._sort_by(name)

    def _sort_by(self, column: str) -> None:
        self._column, self._backwards = column, False
        self._fill()

    # Marking and comparing

    def action_mark(self) -> None:
        """Mark the run, or take its mark away."""
        run = self._chosen()
        if run is not None:
            if run.id in self._marks:
                self._marks.remove(run.id)
            else:
                self._marks.append(run.id)
            self._fill()

    def action_unmark(self) -> None:
        """Take all marks away."""
        self._marks.clear()
        self._fill()

    def action_show_trash(self) -> None:
        """Show the trash, or the runs again."""
        self._bin = None if self._bin else Runs(self.cifar.runs.folder / TRASH)
        self._read_soon()
