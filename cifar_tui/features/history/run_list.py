"""The table of all runs, read behind the screen, and what is chosen in it."""

import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.events import Key
from textual.timer import Timer
from textual.widgets import Input, Static

from cifar_tui.errors import UserError
from cifar_tui.features.history.dialog import FilterInput
from cifar_tui.features.history.rows import (
    GroupRows,
    RunRows,
    Selection,
    best_words,
    group_of,
    next_sort,
)
from cifar_tui.query.fields import Line, make_line, same_lines
from cifar_tui.query.filter import Query, parse_typed, possible
from cifar_tui.query.groups import Group
from cifar_tui.query.view import Memory, View, recall, remember
from cifar_tui.runs.disk import size_of, size_text
from cifar_tui.runs.ids import TRASH
from cifar_tui.runs.listing import Run, Runs, best_run
from cifar_tui.text import plain
from cifar_tui.tui.row_table import RowTable
from cifar_tui.tui.screen import put

if TYPE_CHECKING:
    from cifar_tui.app import CifarApp

READ_EVERY = 2.0
"""Seconds between two looks at the run folders while the screen is shown."""
REST = 4
"""The next look waits this many times as long as the last one took."""
FIRST = 100
"""Up to this many of the newest runs are shown while the others are read for the first time."""
MANY, BURST = 3000, 0.04
"""From this many runs on, the table waits until no letter has come for this many seconds."""


class RunList(Vertical):
    """All runs of the app's folder, or those in its trash: filtered, sorted, grouped and marked."""

    def __init__(self) -> None:
        super().__init__()
        self.trash: Runs | None = None
        """The trash while it is shown."""
        self.found: dict[str, Line] = {}
        """All runs that there are, by id."""
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
        self._sizes: dict[str, int] = {}
        """Bytes of each run in the trash."""
        self._looking = False
        self._look_again = False
        self._rest_until = 0.0
        self._writing = threading.Lock()
        self._soon: Timer | None = None
        """What fills the table after a burst of letters."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="head"):
            yield Static("", id="summary", classes="line", markup=False)
            yield Static("", id="best", classes="line", markup=False)
        with Horizontal(id="filter-line"):
            yield Static(" filter", markup=False)
            yield FilterInput(lambda field: possible(field, self.found.values()))
        yield RowTable(id="runs")

    def on_mount(self) -> None:
        self.set_interval(READ_EVERY, self._tick)

    @property
    def cifar(self) -> "CifarApp":
        return cast("CifarApp", self.app)

    @property
    def table(self) -> RowTable:
        return self.query_one(RowTable)

    @property
    def view(self) -> View:
        """What is shown of the runs."""
        return self._memory.view

    @property
    def selection(self) -> Selection:
        """What is chosen at this moment."""
        key = self.table.cursor_key
        ids = self._marks if self.trash is None else []
        return Selection(
            marked=[self.found[run_id].run for run_id in ids if run_id in self.found],
            run=self.found[key].run if key in self.found else None,
            group=group_of(self._rows, key),
            lines=self._shown,
            in_trash=self.trash is not None,
        )

    @property
    def trash_size(self) -> str:
        """What the runs in the trash take, while it is shown."""
        return size_text(sum(self._sizes.values()))

    def tell(self, sentence: str) -> None:
        self.notify(sentence, markup=False)

    # Reading

    def _tick(self) -> None:
        if self.screen.is_current and time.monotonic() >= self._rest_until:
            self.read_soon()

    def _rest(self, seconds: float) -> None:
        """Leave the folders alone for a while, as reading ten thousand delays the keys."""
        self._rest_until = max(self._rest_until, time.monotonic() + seconds)

    def read_soon(self) -> None:
        """Read the folders in a thread, one reading at a time."""
        if self._looking:
            self._look_again = True
            return
        self._looking = True
        self._read()

    @work(thread=True)
    def _read(self) -> None:
        runs, before, problem = self.trash or self.cifar.runs, self.found, ""
        began = time.monotonic()
        if not self._recalled:
            self.app.call_from_thread(self._take_memory, recall(self.cifar.runs.folder))
        try:
            if not before and (first := runs.newest(FIRST)):
                self.app.call_from_thread(self._take_first, runs, first)
            found = {run.id: make_line(run, before.get(run.id)) for run in runs.all()}
            for line in found.values():
                line.value(self.view.field(self.view.sort))
        except UserError as error:
            found, problem = {}, str(error)
        if runs is self.trash:
            self._sizes = {i: self._sizes.get(i) or size_of(runs.folder / i) for i in found}
        self._rest(REST * (time.monotonic() - began))
        self.app.call_from_thread(self._take, runs, found, problem)
        for line in found.values():
            line.searched  # noqa: B018 - so that the filter's first letter is quick

    def _take_first(self, runs: Runs, first: list[Run]) -> None:
        if runs is (self.trash or self.cifar.runs) and not self.found:
            self.found = {run.id: Line(run) for run in first}
            self.fill()

    def _take(self, runs: Runs, found: dict[str, Line], problem: str) -> None:
        self._looking = False
        if runs is (self.trash or self.cifar.runs):
            same = runs is self._whole and not problem and same_lines(found, self.found)
            self.found, self._whole = found, None if problem else runs
            if self.trash is None:
                self._marks = [run_id for run_id in self._marks if run_id in found]
            if same:
                self._show(self.table.keys)
            else:
                self.fill(problem)
        if self._look_again:
            self._look_again = False
            self.read_soon()

    def _take_memory(self, memory: Memory) -> None:
        self._memory, self._recalled = memory, True
        self._take_filter(memory.view.filter)

    def _take_filter(self, text: str) -> None:
        self._query = parse_typed(text)
        self.query_one(FilterInput).value = text

    def change_view(self, **changes: Any) -> None:
        """Show something else, and remember it."""
        self._set_view(**changes)
        self.fill()
        self._keep()

    def _set_view(self, **changes: Any) -> None:
        view = self.view.changed(**changes)
        self._memory = self._memory.model_copy(update={"view": view})

    @work(thread=True)
    def _keep(self) -> None:
        with self._writing:
            view = self._outside or self.view
            memory = self._memory.model_copy(update={"view": view})
            remember(self.cifar.runs.folder, memory)

    # Showing

    def fill(self, problem: str = "") -> None:
        """Show the runs that the filter lets through, or their groups, in order."""
        self._shown = self._let_through()
        width = self.screen.size.width
        if self.view.groups and not self.trash:
            self._rows = GroupRows(self._shown, self.view, width, self._group_sort)
        else:
            self._rows = RunRows(self._shown, self.view, width)
        self.table.set_columns(self._rows.columns)
        self._show(self._rows.keys)
        put(self.query_one("#summary", Static), f" {problem or self._summary()}")
        put(self.query_one("#best", Static), f"{self._best_words()} ")

    def _let_through(self) -> list[Line]:
        """The lines of the runs that the filter finds.

        A word that may become a field's name empties the list only once it is typed out.
        """
        found = self._query.found(self.found.values())
        terms = self._query.terms
        if found or not (self._typing and terms and terms[-1].opening):
            return found
        return Query(terms[:-1]).found(self.found.values())

    def _show(self, keys: list[str]) -> None:
        now, rows = datetime.now().astimezone(), self._rows
        marks = frozenset() if self.trash else frozenset(self._marks)
        self.table.show(keys, lambda key: rows.texts(key, marks, now))

    def _summary(self) -> str:
        if not self.found:
            if self.trash:
                return "The trash is empty. Press t to see the runs."
            return "No runs yet. Press n to set one up."
        if self._whole is None:
            return "Reading the runs; the newest are here."
        query = plain(self.view.filter.strip())
        count = f"{len(self.found)} run{'s' if len(self.found) != 1 else ''}"
        if query:
            count = f"{len(self._shown)} of {count}"
        if self._query.problem:
            return f"{count}. {self._query.problem}"
        if isinstance(self._rows, GroupRows):
            many = len(self._rows.keys)
            count = f"{many} group{'s' if many != 1 else ''} of {count}"
        parts = [count]
        if self.trash:
            parts = [f"Trash: {count}, {self.trash_size}", "z restores, X empties, t goes back"]
        if self._outside:
            parts.append("Esc: groups")
        if self._marks and not self.trash:
            parts.append(f"{len(self._marks)} marked")
        if query and not self._typing:
            parts.append(f"filter '{query}'")
        return ", ".join([*parts, self._rows.order_words])

    def _best_words(self) -> str:
        best = best_run([line.run for line in self._shown])
        crowded = self._query.problem or self._outside or isinstance(self._rows, GroupRows)
        if best is None or crowded or self.trash:
            return ""
        return best_words(best, self.screen.size.width // 4)

    # Marks and the trash

    def mark(self) -> None:
        """Mark the runs on the row, or take their marks away when all have one."""
        if self.trash:
            self.selection.one()
        key = self.table.cursor_key
        runs = self._rows.runs(key) if key is not None else ()
        unmarked = [run for run in runs if run not in self._marks]
        gone = set() if unmarked else set(runs)
        self._marks = [run for run in self._marks if run not in gone] + unmarked
        self.fill()

    def unmark(self) -> None:
        """Take all marks away."""
        self._marks.clear()
        self.fill()

    def show_trash(self) -> None:
        """Show the trash, or the runs again."""
        self.trash = None if self.trash else Runs(self.cifar.runs.folder / TRASH)
        self.read_soon()

    # The filter

    def type_filter(self) -> None:
        """Open the filter and type into it."""
        self._rest(READ_EVERY)
        self.query_one("#filter-line").display = True
        self._typing = True
        self.query_one(FilterInput).begin(self._memory.filters)

    @on(Input.Changed, "#filter")
    def _filter_typed(self, event: Input.Changed) -> None:
        if event.value == self.view.filter:
            return
        self._rest(READ_EVERY)
        self._query = parse_typed(event.value)
        self._set_view(filter=event.value)
        if len(self.found) <= MANY:
            self.fill()
            return
        if self._soon is not None:
            self._soon.stop()
        self._soon = self.set_timer(BURST, self.fill)

    @on(Input.Submitted, "#filter")
    def _leave_filter(self) -> None:
        """Go on with the table; the filter stays in force, and the first line names it."""
        self.query_one("#filter-line").display = False
        self.screen.set_focus(self.table)
        self._typing = False
        text = self.view.filter.strip()
        if text and not self._query.problem:
            self._memory = self._memory.with_filter(text)
        self.change_view()

    def key_escape(self, event: Key) -> None:
        """Leave the filter, or a group; elsewhere keep the focus, so that the arrows work."""
        event.stop()
        if isinstance(self.screen.focused, Input):
            self._leave_filter()
        elif self._outside is not None:
            self._leave_group()

    # The order

    @property
    def _sorted_by(self) -> str:
        return self._group_sort[0] if isinstance(self._rows, GroupRows) else self.view.sort

    def sort(self) -> None:
        """Sort by the next column that is shown."""
        self._sort_by(next_sort(self._rows, self._sorted_by))

    def _sort_by(self, name: str, backwards: bool = False) -> None:
        if isinstance(self._rows, GroupRows):
            self._group_sort = (name, backwards)
            self.fill()
        else:
            self.change_view(sort=name, backwards=backwards)

    def reverse(self) -> None:
        """Turn the order round."""
        grouped = isinstance(self._rows, GroupRows)
        backwards = self._group_sort[1] if grouped else self.view.backwards
        self._sort_by(self._sorted_by, not backwards)

    @on(RowTable.HeaderSelected)
    def _header_clicked(self, event: RowTable.HeaderSelected) -> None:
        name = self._rows.sorts.get(event.name)
        if name == self._sorted_by:
            self.reverse()
        elif name:
            self._sort_by(name)

    def best_or_last(self) -> None:
        """Show the metrics of the last epoch instead of the best, or the best again."""
        self.change_view(last=not self.view.last)

    # Groups

    def group_by(self, names: tuple[str, ...], metric: str) -> None:
        """Show groups of runs that are equal in these settings; without any, the runs."""
        self._outside = None
        self.change_view(groups=names, metric=metric)
        self.table.action_first()

    def open_group(self, group: Group) -> None:
        """Show the group's runs; Esc goes back."""
        self._outside = self.view
        filter = f"{self.view.filter} {group.query}".strip()
        self._take_filter(filter)
        self.change_view(groups=(), filter=filter)
        self.table.action_first()

    def _leave_group(self) -> None:
        view, self._outside = self._outside, None
        if view is not None:
            opened = self.view.filter.removeprefix(view.filter).strip()
            self._take_filter(view.filter)
            self.change_view(**dict(view))
            if opened in self._rows.keys:
                self.table.move_cursor(self._rows.keys.index(opened))
