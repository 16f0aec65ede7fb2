"""The table of all runs: read behind the screen, filtered, sorted and marked."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from cifar_tui.errors import UserError
from cifar_tui.features.history.filter_line import FilterInput
from cifar_tui.features.history.rows import GroupRows, RunRows, best_words, group_of
from cifar_tui.query.fields import Field, Line, make_line, same_lines
from cifar_tui.query.filter import Query, parse_typed, possible
from cifar_tui.query.groups import Group
from cifar_tui.query.view import Memory, View, recall, remember
from cifar_tui.runs.disk import size_of, size_text
from cifar_tui.runs.folder import TRASH
from cifar_tui.runs.listing import Run, Runs, best_run
from cifar_tui.text import plain
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.row_table import RowTable
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine

READ_EVERY = 2.0
"""Seconds between two looks at the run folders while the screen is shown."""
REST = 4
"""So many times as long as a look took is waited before the next one."""
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
        self._shown: list[Line] = []
        """Those that the filter lets through."""
        self._rows: RunRows | GroupRows = RunRows((), View(), 0)
        self._whole: Runs | None = None
        """The runs that were found to the last one; before that only the newest are there."""
        self._marks: list[str] = []
        self._memory = Memory()
        self._recalled = False
        self._query = Query()
        self._typing = False
        """Whether the filter is being typed, so that its last term may be unfinished."""
        self._group_sort = ("mean", False)
        """What groups are sorted by, and whether that is turned round."""
        self._outside: View | None = None
        """What was shown before a group was opened."""
        self._bin: Runs | None = None
        """The trash while it is shown."""
        self._sizes: dict[str, int] = {}
        """Bytes of each run in the trash."""
        self._looking = False
        self._look_again = False
        self._rest_until = 0.0
        self._writing = threading.Lock()

    def compose(self) -> ComposeResult:
        """How many runs and which is best, the filter while it is used, the runs."""
        yield TopLine("history")
        with Horizontal(id="head"):
            yield Static("", id="summary", classes="line", markup=False)
            yield Static("", id="best", classes="line", markup=False)
        with Horizontal(id="filter-line"):
            yield Static(" filter", markup=False)
            yield FilterInput(self._values)
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
        if self.is_current and time.monotonic() >= self._rest_until:
            self._read_soon()

    def _rest(self, seconds: float) -> None:
        """Leave the folders alone for a while, as reading ten thousand delays the keys."""
        self._rest_until = max(self._rest_until, time.monotonic() + seconds)

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
        began = time.monotonic()
        if not self._recalled:
            self.app.call_from_thread(self._take_memory, recall(self.cifar.runs.folder))
        try:
            if not before and (first := runs.newest(FIRST)):
                self.app.call_from_thread(self._take_first, runs, first)
            found = {run.id: make_line(run, before.get(run.id)) for run in runs.all()}
            for line in found.values():
                line.value(self._view.field(self._view.sort))
        except UserError as error:
            found, problem = {}, str(error)
        if runs is self._bin:
            self._sizes = {i: self._sizes.get(i) or size_of(runs.folder / i) for i in found}
        self._rest(REST * (time.monotonic() - began))
        self.app.call_from_thread(self._take, runs, found, problem)
        for line in found.values():
            line.searched  # noqa: B018 - so that the filter's first letter is quick

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

    @property
    def _view(self) -> View:
        return self._memory.view

    def _take_memory(self, memory: Memory) -> None:
        """Show what was shown when History was left."""
        self._memory, self._recalled = memory, True
        self._take_filter(memory.view.filter)

    def _take_filter(self, text: str) -> None:
        """Have this filter, in the line too."""
        self._query = parse_typed(text)
        self.query_one(FilterInput).value = text

    def _change_view(self, **changes: Any) -> None:
        """Show something else, and remember it."""
        view = self._view.changed(**changes)
        self._memory = self._memory.model_copy(update={"view": view})
        self._fill()
        self._keep()

    @work(thread=True)
    def _keep(self) -> None:
        """Write down what is shown; of an open group, the groups."""
        with self._writing:
            view = self._outside or self._view
            memory = self._memory.model_copy(update={"view": view})
            remember(self.cifar.runs.folder, memory)

    def _fill(self, problem: str = "") -> None:
        """Show the runs that the filter lets through, or their groups, in order."""
        self._shown = self._let_through()
        width = self.size.width
        if self._view.groups and not self._bin:
            self._rows = GroupRows(self._shown, self._view, width, self._group_sort)
        else:
            self._rows = RunRows(self._shown, self._view, width)
        self.query_one(RowTable).set_columns(self._rows.columns)
        self._show(self._rows.keys)
        self.say("summary", f" {problem or self._summary()}")
        self.say("best", f"{self._best_words()} ")

    def _let_through(self) -> list[Line]:
        """The lines of the runs that the filter finds.

        A word that may become a field's name empties the list only once it is typed out.
        """
        found = self._query.found(self._found.values())
        terms = self._query.terms
        if found or not (self._typing and terms and terms[-1].opening):
            return found
        return Query(terms[:-1]).found(self._found.values())

    def _values(self, field: Field) -> list[str]:
        """What the field is in the runs, for the filter's completion."""
        return possible(field, self._found.values())

    def _show(self, keys: list[str]) -> None:
        """Bring the table up to date; the texts of a row are made when it comes into sight."""
        now, rows = datetime.now().astimezone(), self._rows
        marks = frozenset() if self._bin else frozenset(self._marks)
        self.query_one(RowTable).show(keys, lambda key: rows.texts(key, marks, now))

    def _summary(self) -> str:
        if not self._found:
            if self._bin:
                return "The trash is empty. Press t to see the runs."
            return "No runs yet. Press n to set one up."
        if self._whole is None:
            return "Reading the runs; the newest are here."
        query = plain(self._view.filter.strip())
        count = f"{len(self._found)} run{'s' if len(self._found) != 1 else ''}"
        if query:
            count = f"{len(self._shown)} of {count}"
        if self._query.problem:
            return f"{count}. {self._query.problem}"
        if isinstance(self._rows, GroupRows):
            many = len(self._rows.keys)
            count = f"{many} group{'s' if many != 1 else ''} of {count}"
        parts = [count]
        if self._bin:
            space = size_text(sum(self._sizes.values()))
            parts = [f"Trash: {count}, {space}", "z restores, X empties, t goes back"]
        if self._outside:
            parts.append("Esc: groups")
        if self._marks and not self._bin:
            parts.append(f"{len(self._marks)} marked")
        if query and not self._typing:
            parts.append(f"filter '{query}'")
        return ", ".join([*parts, self._rows.order_words])

    def _best_words(self) -> str:
        """The best run, where the first line has room for it."""
        best = best_run([line.run for line in self._shown])
        crowded = self._query.problem or self._outside or isinstance(self._rows, GroupRows)
        if best is None or crowded or self._bin:
            return ""
        return best_words(best, self.size.width // 4)

    def _cursor_run(self) -> Run | None:
        key = self.query_one(RowTable).cursor_key
        return self._found[key].run if key in self._found else None

    def _chosen(self) -> Run | None:
        """The cursor's run; None, and a word about it, on a group or in the trash."""
        if self._group():
            self._tell("That is a group; Enter shows its runs.")
            return None
        run = self._cursor_run()
        if run is not None and self._bin is not None:
            self._tell(f"{plain(run.name)} is in the trash; z restores it.")
            return None
        return run

    def _group(self) -> Group | None:
        """The cursor's group; None on a run."""
        return group_of(self._rows, self.query_one(RowTable).cursor_key)

    def _marked_or_shown(self, least: int = 1) -> list[Run]:
        """The marked runs where they are so many, else all that the filter lets through.

        None, and a word about it, in the trash.
        """
        if self._bin is not None:
            self._chosen()
            return []
        if len(self._marks) >= least:
            return [self._found[run_id].run for run_id in self._marks]
        return [line.run for line in self._shown]

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

    # Marking and comparing

    def action_mark(self) -> None:
        """Mark the runs on the row, or take their marks away when all have one."""
        key = self.query_one(RowTable).cursor_key
        if key is None or (self._bin is not None and self._chosen() is None):
            return
        runs = self._rows.runs(key)
        unmarked = [run for run in runs if run not in self._marks]
        if unmarked:
            self._marks += unmarked
        else:
            gone = set(runs)
            self._marks = [run for run in self._marks if run not in gone]
        self._fill()

    def action_unmark(self) -> None:
        """Take all marks away."""
        self._marks.clear()
        self._fill()

    def action_show_trash(self) -> None:
        """Show the trash, or the runs again."""
        self._bin = None if self._bin else Runs(self.cifar.runs.folder / TRASH)
        self._read_soon()
