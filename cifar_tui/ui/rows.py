"""What the table of runs has on its rows: runs, or groups of runs, in order."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from cifar_tui.runs.fields import find_field, in_order
from cifar_tui.runs.groups import STATS, Group, group_runs, sorted_groups
from cifar_tui.runs.line import Line
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import by_time
from cifar_tui.runs.view import View
from cifar_tui.ui.columns import LEAST, fitting, look_of
from cifar_tui.ui.table import TableColumn

SORTED_FIRST = ("started", "val_acc")
"""What `o` sorts by before the other columns."""
MARK, MARK_SOME = "*", "+"
PIN, PIN_MARKED = "p", "P"
MARK_WIDTH = 2
MARK_COLUMN = TableColumn("", MARK_WIDTH)
SCROLLBAR = 1
STAT_WIDTH = 9


def _sign(run: Run, marked: bool) -> str:
    """What stands before a run: whether it is marked, and whether it is pinned."""
    if run.notes.pinned:
        return PIN_MARKED if marked else PIN
    return MARK if marked else ""


class RunRows:
    """A row per run, as the view has it."""

    def __init__(self, lines: Iterable[Line], view: View, width: int) -> None:
        self._view = view
        newest_first = sorted(lines, key=lambda line: by_time(line.run.id), reverse=True)
        by = view.field(view.sort)
        ordered = in_order(
            newest_first, lambda line: line.value(by), by.falling is not view.backwards
        )
        self._lines = {line.run.id: line for line in ordered}
        self.keys = list(self._lines)
        """The rows' keys in order: the runs' ids."""
        shown = fitting(view.shown(), width - MARK_WIDTH - SCROLLBAR)
        self._looks = [look for look, _ in shown]
        self.columns = [MARK_COLUMN, *(column for _, column in shown)]

    def texts(self, key: str, marks: Collection[str], now: datetime) -> tuple[str, ...]:
        """A row's texts, one per column."""
        run = self._lines[key].run
        return (_sign(run, key in marks), *(look.text(run, now) for look in self._looks))

    def runs(self, key: str) -> Sequence[str]:
        """Ids of the runs on a row."""
        return (key,)

    @property
    def sorts(self) -> dict[str, str]:
        """What the columns that are shown sort by: header to name."""
        fields = zip(self._view.shown(), self._looks, strict=False)
        last = "last_" if self._view.last else ""
        return {look.header: field.name.removeprefix(last) for field, look in fields}

    @property
    def order_words(self) -> str:
        """What they are sorted by, in words."""
        header = look_of(self._view.field(self._view.sort)).header
        last = "last epoch, " if self._view.last else ""
        return f"{last}by {header}{' reversed' if self._view.backwards else ''}"


class GroupRows:
    """A row per group of runs with the spread of the view's metric."""

    def __init__(
        self, lines: Iterable[Line], view: View, width: int, sort: tuple[str, bool]
    ) -> None:
        self.metric = view.field(view.metric)
        by = [find_field(name) for name in view.groups]
        stat, self._backwards = sort
        falling = {"group": False, "n": True, "std": False}.get(stat, self.metric.falling)
        groups = sorted_groups(
            group_runs(lines, by, self.metric),
            stat,
            falling is not self._backwards,
        )
        self._stat = stat
        self.groups = {group.query: group for group in groups}
        """The groups in order; a group's key is the filter that finds its runs."""
        self.keys = list(self.groups)
        cells = [6, *[STAT_WIDTH] * (len(STATS) - 1)]
        left = width - MARK_WIDTH - SCROLLBAR - sum(cells)
        self._titles = _titles(groups, left)
        self.columns = [MARK_COLUMN, TableColumn("group", max(LEAST, left))]
        self.columns += [TableColumn(s, w, True) for s, w in zip(STATS, cells, strict=True)]

    def texts(self, key: str, marks: Collection[str], now: datetime) -> tuple[str, ...]:
        """A row's texts, one per column."""
        group = self.groups[key]
        marked = sum(run.id in marks for run in group.runs) if marks else 0
        mark = "" if not marked else MARK if marked == len(group.runs) else MARK_SOME
        return (mark, self._titles[key], *map(group.text, STATS))

    def runs(self, key: str) -> Sequence[str]:
        """Ids of the runs on a row."""
        return [run.id for run in self.groups[key].runs]

    @property
    def sorts(self) -> dict[str, str]:
        """What the columns that are shown sort by: header to name."""
        return {name: name for name in ("mean", "group", "n", "std", "min", "max")}

    @property
    def order_words(self) -> str:
        """What they are sorted by, in words."""
        metric = look_of(self.metric).header
        order = f"{metric} by group" if self._stat == "group" else f"by {self._stat} of {metric}"
        return f"{order}{' reversed' if self._backwards else ''}"


def _titles(groups: Sequence[Group], room: int) -> dict[str, str]:
    """The groups' titles by key; short ones where those that say all have no room."""
    titles = [group.title for group in groups]
    if max(map(len, titles), default=0) >= room:
        short = [group.short_title for group in groups]
        titles = short if len(set(short)) == len(short) else titles
    return {group.query: title for group, title in zip(groups, titles, strict=True)}


def group_of(rows: RunRows | GroupRows, key: str | None) -> Group | None:
    """The group on a row; None on a run's row, or on none."""
    return rows.groups.get(key or "") if isinstance(rows, GroupRows) else None
