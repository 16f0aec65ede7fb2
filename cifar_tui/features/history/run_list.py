"""The table of all runs, read behind the screen, and what is chosen in it."""

import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import Key
from textual.timer import Timer
from textual.widgets import Static

from cifar_tui.features.history.details import RunDetails, Sparklines, pane_width
from cifar_tui.features.history.filter_line import FilterLine
from cifar_tui.features.history.first_line import Listed
from cifar_tui.features.history.rows import GroupRows, RunRows, group_of, next_sort
from cifar_tui.features.history.run_reader import READ_EVERY, RunReader
from cifar_tui.features.history.selection import Refusal, Selection
from cifar_tui.query.fields import Field, Line
from cifar_tui.query.filter import Query, parse_typed, possible
from cifar_tui.query.groups import Group
from cifar_tui.query.view import Memory, View, remember
from cifar_tui.runs.ids import created_after, new_stamp
from cifar_tui.text import plain
from cifar_tui.tui.row_table import RowTable
from cifar_tui.tui.screen import put

CURVES_AFTER = 0.1
"""Seconds after which the curves of rows that came into sight are read."""
FIRST_LINE = len(" " + "  best 0.7182 @ 11  demo ")
"""Cells of the first line beside what it says of all runs and what the best one is called."""
MANY, BURST = 3000, 0.04
"""From this many runs on, the table waits until no letter has come for this many seconds."""


class RunList(RunReader):
    """All runs of the app's folder, or those in its trash: filtered, sorted, grouped and marked."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[Line] = []
        """Those that the filter lets through."""
        self._new = 0
        """How many of them were launched since it was typed, and do not match."""
        self._rows: RunRows | GroupRows = RunRows((), View(), 0)
        self._marks: list[str] = []
        self._memory = Memory()
        self._query = Query()
        self._typed_over = View()
        """What was shown when the filter was begun."""
        self._group_sort = ("mean", False)
        """What groups are sorted by, and whether that is turned round."""
        self._outside: View | None = None
        """What was shown before a group was opened."""
        self._writing = threading.Lock()
        self._sparklines = Sparklines(lambda: self.set_timer(CURVES_AFTER, self._read_curves))
        self._soon: Timer | None = None
        """What fills the table after a burst of letters."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="head"):
            yield Static("", id="summary", classes="line", markup=False)
            yield Static("", id="best", classes="line", markup=False)
        yield FilterLine(self._values, self._filter_typed, self._filter_left)
        with Horizontal():
            yield RowTable(id="runs")
            yield RunDetails()

    @property
    def table(self) -> RowTable:
        return self.query_one(RowTable)

    @property
    def _filter_line(self) -> FilterLine:
        return self.query_one(FilterLine)

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

    def tell(self, sentence: str) -> None:
        self.notify(sentence, markup=False)

    # Reading

    def take_first(self) -> None:
        self.fill()

    def take_all(self, same: bool) -> None:
        if self.trash is None:
            self._marks = [run_id for run_id in self._marks if run_id in self.found]
        if same:
            self._show(self.table.keys)
        else:
            self.fill()

    def prepare(self, lines: Iterable[Line]) -> None:
        for line in lines:
            line.value(self.view.field(self.view.sort))
            line.settings  # noqa: B018 - asked of all runs each time that they are shown

    @work(thread=True, group="curves")
    def _read_curves(self) -> None:
        self._sparklines.read()
        self.app.call_from_thread(self._show, self.table.keys)

    def take_memory(self, memory: Memory) -> None:
        self._memory = memory
        self._take_filter(memory.view.filter)

    def _take_filter(self, text: str) -> None:
        self._query = parse_typed(text)
        self._filter_line.take(text)

    def change_view(self, **changes: Any) -> None:
        """Show something else, and remember it."""
        self._set_view(**changes)
        self.fill()
        self._keep()

    def _set_view(self, **changes: Any) -> None:
        view = self.view.changed(**changes)
        self._memory = self._memory.model_copy(update={"view": view})

    def show_view(self, view: View) -> None:
        """Show a named view; its filter hides no run that is launched later."""
        self._outside = None
        self._take_filter(view.filter)
        self.change_view(**dict(view.changed(since=new_stamp())))
        self.table.action_first()

    @work(thread=True)
    def _keep(self) -> None:
        with self._writing:
            view = self._outside or self.view
            memory = self._memory.model_copy(update={"view": view})
            remember(self.cifar.runs.folder, memory, self.usual)

    # Showing

    def fill(self) -> None:
        """Show the runs that the filter lets through, or their groups, in order."""
        self._shown = self._let_through()
        width = self.screen.size.width
        details = self.query_one(RunDetails)
        details.display, details.styles.width = pane_width(width) > 0, pane_width(width)
        if self.view.groups and not self.trash:
            self._rows = GroupRows(self._shown, self.view, self._width, self._group_sort)
        else:
            self._rows = self._run_rows()
        self.table.set_columns(self._rows.columns)
        self._show(self._rows.keys)
        listed = self._listed
        words = self.problem or listed.words()
        put(self.query_one("#summary", Static), f" {words}")
        room = width - len(words) - FIRST_LINE
        put(self.query_one("#best", Static), f"{listed.best(min(room, width // 4))} ")

    @property
    def _listed(self) -> Listed:
        return Listed(
            self._shown,
            len(self.found),
            self._rows,
            new=self._new,
            filter=plain(self.view.filter.strip()),
            problem=self._query.problem,
            typing=self._filter_line.typing,
            marked=len(self._marks) * (self.trash is None),
            opened=self._outside is not None,
            trash=self.trash_size if self.trash else "",
            whole=self.whole,
        )

    def _let_through(self) -> list[Line]:
        """The lines of the runs that the filter finds, and of those launched since it was typed.

        A word that may become a field's name empties the list only once it is typed out.
        """
        lines, terms = list(self.found.values()), self._query.terms
        new = {id(line) for line in takewhile(self._is_new, reversed(lines))}
        for query in (self._query, Query(terms[:-1])):
            found = [line for line in lines if id(line) in new or query.matches(line)]
            if found or not (self._filter_line.typing and terms and terms[-1].opening):
                break
        self._new = sum(not self._query.matches(line) for line in found if id(line) in new)
        return found

    def _is_new(self, line: Line) -> bool:
        since = self.view.since
        return bool(since and self.view.filter) and created_after(line.run.id, since)

    def _show(self, keys: list[str]) -> None:
        now, rows = datetime.now().astimezone(), self._rows
        marks = frozenset() if self.trash else frozenset(self._marks)
        self.table.show(keys, lambda key: rows.texts(key, marks, now))
        self._follow()

    def have_room(self, columns: Sequence[str]) -> Sequence[str]:
        """Those of the columns that have room."""
        return self._run_rows().have_room(columns)

    def _run_rows(self) -> RunRows:
        return RunRows(self._shown, self.view, self._width, self._sparklines.line)

    @property
    def _width(self) -> int:
        """Cells of the table's rows."""
        width = self.screen.size.width
        return width - pane_width(width)

    @on(RowTable.CursorMoved)
    def _follow(self) -> None:
        """Show the details of the row under the cursor."""
        chosen = self.selection
        self.query_one(RunDetails).follow(chosen.run, chosen.group)

    # Marks and the trash

    def mark(self) -> None:
        """Mark the runs on the row, or take their marks away when all have one."""
        key = self.table.cursor_key
        self._mark_or_unmark([key] if key is not None else [])

    def _mark_or_unmark(self, keys: Sequence[str], *, unmark: bool = True) -> None:
        if self.trash:
            self.selection.one()
        runs = [run for key in keys for run in self._rows.runs(key)]
        marked = set(self._marks)
        unmarked = [run for run in runs if run not in marked]
        gone = set() if unmarked or not unmark else set(runs)
        self._marks = [run for run in self._marks if run not in gone] + unmarked
        self.fill()

    def mark_all(self) -> None:
        """Mark all runs that are shown, or take their marks away when all have one."""
        self._mark_or_unmark(self.table.keys)

    def mark_range(self) -> None:
        """Mark the rows from the one marked last to the cursor's."""
        keys, here = self.table.keys, self.table.cursor_row
        last = self._marks[-1:]
        there = next((i for i, key in enumerate(keys) if {*last} & {*self._rows.runs(key)}), None)
        if there is None:
            raise Refusal(
                "Mark the first run of a range with Space; V then marks up to the cursor."
            )
        self._mark_or_unmark(keys[min(here, there) : max(here, there) + 1], unmark=False)

    def unmark(self) -> None:
        """Take all marks away."""
        self._marks.clear()
        self.fill()

    # The filter

    def type_filter(self) -> None:
        """Open the filter and type into it."""
        self.rest(READ_EVERY)
        self._typed_over = self.view
        self._filter_line.begin(self._memory.filters)

    def _values(self, field: Field) -> Sequence[str]:
        return possible(field, self.found.values())

    def _filter_typed(self, text: str) -> None:
        if text == self.view.filter:
            return
        self.rest(READ_EVERY)
        self._query = parse_typed(text)
        self._set_view(filter=text, since=new_stamp())
        if len(self.found) <= MANY:
            self.fill()
            return
        if self._soon is not None:
            self._soon.stop()
        self._soon = self.set_timer(BURST, self.fill)

    def _filter_left(self, apply: bool) -> None:
        """Go on with the table; what was typed stays in force, and the first line names it."""
        self.screen.set_focus(self.table)
        text, before = self.view.filter.strip(), self._typed_over
        if not apply:
            self._filter_by(before.filter, since=before.since)
            return
        if text and not self._query.problem:
            self._memory = self._memory.with_filter(text)
        self._filter_by(text)

    def _filter_by(self, text: str, **changes: Any) -> None:
        self._take_filter(text)
        self.change_view(filter=text, **{"since": new_stamp(), **changes})

    def key_escape(self, event: Key) -> None:
        """Go back one step: out of the trash, out of a group, to no filter, to no groups."""
        if self.trash:
            self.show_trash()
        elif self._outside is not None:
            self._leave_group()
        elif self.view.filter:
            self._filter_by("")
        elif self.view.groups:
            self.group_by((), self.view.metric)
        else:
            return
        event.stop()

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
        self._filter_by(filter, groups=())
        self.table.action_first()

    def _leave_group(self) -> None:
        view, self._outside = self._outside, None
        if view is not None:
            opened = self.view.filter.removeprefix(view.filter).strip()
            self._take_filter(view.filter)
            self.change_view(**dict(view))
            if opened in self._rows.keys:
                self.table.move_cursor(self._rows.keys.index(opened))
