"""The rows and columns of the table of runs, what has room, and what of it is chosen."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cifar_tui.query.fields import FIELDS, Field, Line, find_field, in_order
from cifar_tui.query.groups import STATS, Group, group_runs, sorted_groups
from cifar_tui.query.view import View
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.ids import by_time
from cifar_tui.runs.listing import Run
from cifar_tui.table import Column
from cifar_tui.text import age, at_epoch, plain

LEAST = 18
"""Cells that a column gets which takes what the others leave."""
MOST = 60
"""Cells that it takes at most; then texts of the others get what is left."""


@dataclass(frozen=True)
class FieldFormat:
    """How a field looks in the list; width 0 takes what the others leave."""

    header: str
    width: int
    text: Callable[[Run, datetime], str]
    right: bool = False
    grows: bool = False
    """Whether its texts may be longer, and are shown so where there is room."""


def _epochs(run: Run, now: datetime) -> str:
    return f"{run.summary.epochs_done}/{run.summary.epochs}" if run.summary.epochs else "-"


def _age(run: Run, now: datetime) -> str:
    return age(FIELDS["started"].value(run), now)


def _status(run: Run, now: datetime) -> str:
    return f"{run.status}{' edited' * bool(run.edited)}{' demo' * run.synthetic}"


FORMATS = {
    "val_acc": FieldFormat("best val_acc", 13, lambda run, _: at_epoch(run.summary.best)),
    "last_val_acc": FieldFormat("last val_acc", 13, lambda run, _: at_epoch(run.summary.last)),
    "epochs_done": FieldFormat("done", 8, _epochs, right=True),
    "started": FieldFormat("age", 5, _age, right=True),
    "status": FieldFormat("status", 14, _status),
    "tag": FieldFormat("tags", 12, lambda run, _: ", ".join(run.tags), grows=True),
}
"""Where the list says more, or the same shorter, than the field's own text."""


def format_of(asked: Field) -> FieldFormat:
    """How a field looks in the list."""
    number, long = asked.kind == "number", asked.name in ("id", "note")
    plainly = FieldFormat(asked.name, asked.width, lambda run, _: asked.text(run), number, long)
    return FORMATS.get(asked.name, plainly)


def fitting(fields: Iterable[Field], room: int) -> list[tuple[FieldFormat, Column]]:
    """The first of the fields that have room in so many cells, and their columns."""
    looks: list[FieldFormat] = []
    for look in map(format_of, fields):
        need = look.width or LEAST
        if looks and need > room:
            break
        looks.append(look)
        room -= need
    widths = {look.header: look.width or LEAST for look in looks}
    for growing in ([look for look in looks if not look.width], [k for k in looks if k.grows]):
        for place, look in enumerate(growing):
            more = max(0, room) // (len(growing) - place)
            more = min(more, MOST - widths[look.header])
            widths[look.header] += more
            room -= more
    return [(look, Column(look.header, widths[look.header], look.right)) for look in looks]


def best_words(run: Run, room: int) -> str:
    """The best run in a first line: its name in at most `room` cells, and its figure."""
    name = plain(run.name)
    if len(name) > room:
        name = name[: room - 1] + "…"
    return f"best {name} {at_epoch(run.summary.best)}{' demo' if run.synthetic else ''}"


SORTED_FIRST = ("started", "val_acc")
"""What `o` sorts by before the other columns."""
MARK, MARK_SOME = "*", "+"
PIN, PIN_MARKED = "p", "P"
MARK_WIDTH = 2
MARK_COLUMN = Column("", MARK_WIDTH)
SCROLLBAR = 1
STAT_WIDTH = 9
SIDE_BY_SIDE = 4
"""Most runs whose weights or loss surfaces are shown at a time."""


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
        header = format_of(self._view.field(self._view.sort)).header
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
        self.columns = [MARK_COLUMN, Column("group", max(LEAST, left))]
        self.columns += [Column(s, w, True) for s, w in zip(STATS, cells, strict=True)]

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
        metric = format_of(self.metric).header
        order = f"{metric} by group" if self._stat == "group" else f"by {self._stat} of {metric}"
        return f"{order}{' reversed' if self._backwards else ''}"


def _titles(groups: Sequence[Group], room: int) -> dict[str, str]:
    """The groups' titles by key; short ones where those that say all have no room."""
    titles = [group.title for group in groups]
    if max(map(len, titles), default=0) >= room:
        short = [group.short_title for group in groups]
        titles = short if len(set(short)) == len(short) else titles
    return {group.query: title for group, title in zip(groups, titles, strict=True)}


def next_sort(rows: RunRows | GroupRows, now: str) -> str:
    """What to sort by after `now`: the columns in turn, age and val_acc first."""
    names = list(rows.sorts.values())
    cycle = list(dict.fromkeys([*(n for n in SORTED_FIRST if n in names), *names]))
    return cycle[(cycle.index(now) + 1) % len(cycle) if now in cycle else 0]


def group_of(rows: RunRows | GroupRows, key: str | None) -> Group | None:
    """The group on a row; None on a run's row, or on none."""
    return rows.groups.get(key or "") if isinstance(rows, GroupRows) else None


class Refusal(Exception):
    """What is said instead of an action that the selection does not fit; empty for nothing."""


@dataclass(frozen=True)
class Selection:
    """What a key acts on; each method raises Refusal where there is nothing that fits."""

    marked: list[Run]
    """In the order in which they were marked; none while the trash is shown."""
    run: Run | None
    """The run under the cursor."""
    group: Group | None
    """The group under the cursor."""
    lines: Sequence[Line]
    """All that the filter lets through."""
    in_trash: bool

    def one(self) -> Run:
        """The cursor's run."""
        if self.group is not None:
            raise Refusal("That is a group; Enter shows its runs.")
        if self.run is None:
            raise Refusal
        if self.in_trash:
            raise Refusal(f"{plain(self.run.name)} is in the trash; z restores it.")
        return self.run

    def some(self) -> list[Run]:
        """The marked runs, else the cursor's or its group's."""
        if self.marked or self.group is None:
            return self.marked or [self.one()]
        return list(self.group.runs)

    def two_or_more(self, purpose: str) -> list[Run]:
        """The marked runs; a single one with the cursor's, none a whole group's."""
        runs = self.marked
        if len(runs) < 2 and self.group is not None:
            runs = list(self.group.runs)
        elif len(runs) < 2 and (run := self.one()) not in runs:
            runs = [*runs, run]
        if len(runs) < 2:
            raise Refusal(f"Mark another run with Space {purpose}.")
        return runs

    def with_weights(self) -> list[Run]:
        """The marked runs, else the cursor's, where they fit side by side and have a best.pt."""
        runs = self.marked or [self.one()]
        if len(runs) > SIDE_BY_SIDE:
            raise Refusal(f"{len(runs)} runs are marked; up to {SIDE_BY_SIDE} fit side by side.")
        for run in runs:
            if not RunFolder(run.path).best.exists():
                raise Refusal(f"{plain(run.name)} has no best.pt: no epoch was finished.")
        return runs

    def marked_or_shown(self, least: int = 1) -> list[Run]:
        """The marked runs if there are at least that many, else all that are shown."""
        if self.in_trash:
            self.one()
        runs = self.marked if len(self.marked) >= least else [line.run for line in self.lines]
        if not runs:
            raise Refusal
        return runs
