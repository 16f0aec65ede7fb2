"""Finding runs in the table: the filter, the order, the columns and the groups."""

from textual import on
from textual.events import Key
from textual.timer import Timer
from textual.widgets import Input

from cifar_tui.features.history.dialog import ColumnsDialog, GroupsDialog
from cifar_tui.features.history.filter_line import FilterInput
from cifar_tui.features.history.rows import SORTED_FIRST, GroupRows
from cifar_tui.features.history.run_list import READ_EVERY, RunListScreen
from cifar_tui.query.fields import find_field, varying
from cifar_tui.query.filter import parse_typed
from cifar_tui.tui.row_table import RowTable

MANY = 3000
"""From so many runs on, the table waits for the end of a burst of letters."""
BURST = 0.04
"""Seconds without a letter that end a burst."""


class FindingScreen(RunListScreen):
    """The list of runs with what is shown of it under keys, remembered beside the runs."""

    def __init__(self) -> None:
        super().__init__()
        self._soon: Timer | None = None
        """What fills the table after a burst of letters."""

    # The filter

    def action_filter(self) -> None:
        """Open the filter and type into it."""
        self._rest(READ_EVERY)
        self.query_one("#filter-line").display = True
        self._typing = True
        self.query_one(FilterInput).begin(self._memory.filters)

    @on(Input.Changed, "#filter")
    def _filter_typed(self, event: Input.Changed) -> None:
        if event.value != self._view.filter:
            self._rest(READ_EVERY)
            self._query = parse_typed(event.value)
            view = self._view.changed(filter=event.value)
            self._memory = self._memory.model_copy(update={"view": view})
            if len(self._found) > MANY:
                self._fill_soon()
            else:
                self._fill()

    def _fill_soon(self) -> None:
        """Fill the table once for all letters that come in a burst."""
        if self._soon is not None:
            self._soon.stop()
        self._soon = self.set_timer(BURST, self._fill)

    @on(Input.Submitted, "#filter")
    def _leave_filter(self) -> None:
        """Go on with the table; the filter stays in force, and the first line names it."""
        self.query_one("#filter-line").display = False
        self.set_focus(self.query_one(RowTable))
        self._typing = False
        text = self._view.filter.strip()
        if text and not self._query.problem:
            self._memory = self._memory.with_filter(text)
        self._change_view()

    def key_escape(self, event: Key) -> None:
        """Leave the filter, or a group; elsewhere keep the focus, so that the arrows work."""
        event.stop()
        if isinstance(self.focused, Input):
            self._leave_filter()
        elif self._outside is not None:
            self._leave_group()

    # The order and the columns

    def action_sort(self) -> None:
        """Sort by the next column that is shown; age and val_acc come first."""
        names = list(self._rows.sorts.values())
        cycle = list(dict.fromkeys([*(n for n in SORTED_FIRST if n in names), *names]))
        now = self._group_sort[0] if isinstance(self._rows, GroupRows) else self._view.sort
        place = cycle.index(now) if now in cycle else -1
        self._sort_by(cycle[(place + 1) % len(cycle)])

    def action_reverse(self) -> None:
        """Turn the order round."""
        if isinstance(self._rows, GroupRows):
            stat, backwards = self._group_sort
            self._group_sort = (stat, not backwards)
            self._fill()
        else:
            self._change_view(backwards=not self._view.backwards)

    @on(RowTable.HeaderSelected)
    def _header_clicked(self, event: RowTable.HeaderSelected) -> None:
        name = self._rows.sorts.get(event.name)
        now = self._group_sort[0] if isinstance(self._rows, GroupRows) else self._view.sort
        if name == now:
            self.action_reverse()
        elif name:
            self._sort_by(name)

    def _sort_by(self, name: str) -> None:
        if isinstance(self._rows, GroupRows):
            self._group_sort = (name, False)
            self._fill()
        else:
            self._change_view(sort=name, backwards=False)

    def action_last(self) -> None:
        """Show the metrics of the last epoch instead of the best, or the best again."""
        self._change_view(last=not self._view.last)

    def action_columns(self) -> None:
        """Choose and order the columns."""
        dialog = ColumnsDialog(self._view.columns, self.size.width)
        self.app.push_screen(dialog, self._take_columns)

    def _take_columns(self, columns: tuple[str, ...] | None) -> None:
        if columns:
            self._change_view(columns=columns)

    # Groups

    def action_group(self) -> None:
        """Choose the settings whose runs are one row, with mean and spread."""
        if self._bin is not None:
            self._tell("The trash has no groups; t goes back to the runs.")
            return
        lines = [line for line in self._shown if line.run.spec is not None]
        differing = varying([line.run for line in lines])
        fields = list(dict.fromkeys([*map(find_field, self._view.groups), *differing]))
        if not lines:
            self._tell("There are no runs to group.")
            return
        if not fields:
            self._tell("These runs all have the same settings; there is nothing to group by.")
            return
        dialog = GroupsDialog(fields, lines, self._view)
        self.app.push_screen(dialog, self._take_groups)

    def _take_groups(self, chosen: tuple[tuple[str, ...], str] | None) -> None:
        if chosen is not None:
            self._outside = None
            self._change_view(groups=chosen[0], metric=chosen[1])
            self.query_one(RowTable).action_first()

    def _open_group(self) -> bool:
        """Show the runs of the group under the cursor, if there is one."""
        group = self._group()
        if group is None:
            return False
        self._outside = self._view
        filter = f"{self._view.filter} {group.query}".strip()
        self._take_filter(filter)
        self._change_view(groups=(), filter=filter)
        self.query_one(RowTable).action_first()
        return True

    def _leave_group(self) -> None:
        """Go back to the groups, to the one that was open."""
        view, self._outside = self._outside, None
        if view is not None:
            opened = self._view.filter.removeprefix(view.filter).strip()
            self._take_filter(view.filter)
            self._change_view(**dict(view))
            if opened in self._rows.keys:
                self.query_one(RowTable).move_cursor(self._rows.keys.index(opened))
