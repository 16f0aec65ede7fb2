"""The rows and columns of the table of runs or groups, and which of them have room."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial

from cifar_tui.query.fields import (
    FIELDS,
    Field,
    Line,
    Value,
    find_field,
    in_order,
)
from cifar_tui.query.groups import STATS, Group, group_runs, sorted_groups
from cifar_tui.query.telling import telling
from cifar_tui.query.view import COLUMNS, View
from cifar_tui.runs.listing import Run
from cifar_tui.table import Column
from cifar_tui.text import age, at_epoch, plain, status_text, tone_of

MOST = 60
"""Cells that a column takes at most."""
SETTINGS_LEAST = 18
"""Cells of the settings that vary before the columns behind them get theirs."""
SETTING_MOST = 14
CURVE = 12
"""Bars of a run's curve."""
GROWING = {"name": 18, "status": 16, "tag": 12, "note": 24, "id": 24}
"""Fields as wide as their longest text, and the cells below which they are left out."""
EXTRAS = ("last_val_acc", "curve", "val_loss", "time", "trained_on", "tag")
"""Columns that give way to the settings that vary."""
DEMO = "demo"
RISING, FALLING = "↑", "↓"
"""What stands behind the header of the column by which rows are sorted."""


@dataclass(frozen=True)
class FieldFormat:
    """How a field looks in the list; widths are in cells, the gap included."""

    header: str
    width: int
    text: Callable[[Run, datetime], str]
    right: bool = False
    tone: Callable[[str], str] | None = None
    """The theme's colour of a text."""
    more: int = 0
    """Cells beyond `width` that its texts would fill."""
    sort: str = ""
    """The field by which a click on the header sorts."""
    extra: bool = False
    """Whether it is left out before a setting that varies."""

    def column(self, cells: int) -> Column:
        """The table's column of so many cells."""
        return Column(self.header, cells, self.right, tone=self.tone)


def _epochs(run: Run, now: datetime) -> str:
    return f"{run.summary.epochs_done}/{run.summary.epochs}" if run.summary.epochs else "-"


def _age(run: Run, now: datetime) -> str:
    return age(FIELDS["started"].value(run), now)


def _status(run: Run, now: datetime, *, images: bool = True) -> str:
    """The status, and that a run is unlike what its row seems to say."""
    problem = f": {run.problem}" if run.problem else ""
    demo = f" {DEMO}" * (images and run.synthetic)
    return f"{status_text(run.status)}{problem}{' edited' * bool(run.edited)}{demo}"


FORMATS = {
    "val_acc": FieldFormat("best val_acc", 13, lambda run, _: at_epoch(run.summary.best)),
    "last_val_acc": FieldFormat("last val_acc", 13, lambda run, _: at_epoch(run.summary.last)),
    "epochs_done": FieldFormat("done", 8, _epochs, right=True),
    "started": FieldFormat("age", 5, _age, right=True),
    "status": FieldFormat("status", 14, _status, tone=tone_of),
    "tag": FieldFormat("tags", 12, lambda run, _: ", ".join(run.tags)),
}
"""Where the list says more, or the same shorter, than the field's own text."""


def format_of(asked: Field) -> FieldFormat:
    """How a field looks in the list."""
    plainly = FieldFormat(
        asked.head, asked.width, lambda run, _: asked.text(run), asked.kind == "number"
    )
    return FORMATS.get(asked.name, plainly)


def with_room(
    columns: Iterable[Sequence[FieldFormat]], room: int
) -> tuple[list[Sequence[FieldFormat]], int]:
    """The first columns for which there are so many cells, and the cells that are left.

    Each is given as the formats that it can show: `settings` is a column for each that varies.
    """
    kept: list[Sequence[FieldFormat]] = []
    wanted = 0
    for formats in columns:
        need = _need(formats)
        extra = any(format.extra for format in formats)
        if any(kept) and need > room - wanted * extra:
            break
        kept.append(formats)
        room -= need
        wanted += sum(format.width for format in formats) - need
    return kept, room


def _need(formats: Sequence[FieldFormat]) -> int:
    if len(formats) == 1:
        return formats[0].width
    return min(SETTINGS_LEAST, sum(format.width for format in formats))


def fitting(
    columns: Iterable[Sequence[FieldFormat]], room: int
) -> list[tuple[FieldFormat, Column]]:
    """What is shown in so many cells; of the settings those that tell most, as many as fit."""
    kept, room = with_room(columns, room)
    shown: list[FieldFormat] = []
    for formats in kept:
        room += _need(formats)
        for format in formats:
            if format.width <= room or len(formats) == 1:
                shown.append(format)
                room -= format.width
    found = []
    for format in shown:
        more = max(0, min(room, format.more))
        room -= more
        found.append((format, format.column(format.width + more)))
    return found


def value_words(field: Field, value: Value) -> str:
    """A setting's value, or a dash where it is not in force."""
    return "-" if value is None else plain(field.show(value))


def setting_format(field: Field, values: Iterable[Value], mark: str = "") -> FieldFormat:
    """A setting's column, as wide as its values."""
    format = _marked(format_of(field), mark)
    texts = (value_words(field, value) for value in set(values))
    width = min(SETTING_MOST, max(map(len, (format.header, *texts)))) + 1
    return replace(format, width=width, sort=field.name)


def _marked(format: FieldFormat, mark: str) -> FieldFormat:
    """With a mark behind the header, for which there is room."""
    header = format.header + mark
    return replace(format, header=header, width=max(format.width, len(header) + 1))


SORTED_FIRST = ("started", "val_acc", "mean", "group")
"""What `o` sorts by before the other columns."""
MARK, MARK_SOME = "*", "+"
PIN, PIN_MARKED = "p", "P"
MARK_WIDTH = 2
MARK_COLUMN = Column("", MARK_WIDTH)
SCROLLBAR = 1
STAT_WIDTHS = dict.fromkeys(STATS, 9) | {"n": 6}
LEAST_STATS = ("n", "mean", "std")
"""What groups show of their figures before their settings have room."""


def _sign(run: Run, marked: bool) -> str:
    """What stands before a run: whether it is marked, and whether it is pinned."""
    if run.notes.pinned:
        return PIN_MARKED if marked else PIN
    return MARK if marked else ""


class RunRows:
    """A row per run, as the view has it; `lines` are the oldest first.

    `curve` draws a run's val_acc, which is shown beside the usual columns where it has room.
    """

    def __init__(
        self,
        lines: Iterable[Line],
        view: View,
        width: int,
        curve: Callable[[Run], str] = lambda run: "",
    ) -> None:
        self._view = view
        self._curve = curve
        by = view.field(view.sort)
        self._falls = by.falling is not view.backwards
        ordered = in_order([*lines][::-1], lambda line: line.value(by), self._falls)
        self._lines = {line.run.id: line for line in ordered}
        self.keys = list(self._lines)
        """The rows' keys in order: the runs' ids."""
        self.varying = telling(ordered)
        """The settings in which the runs differ."""
        self._mixed = len({line.run.synthetic for line in ordered}) > 1
        self._few_named = 2 * sum(bool(line.given_name) for line in ordered) < len(ordered)
        """Whether a name tells less than the settings do."""
        self._room = width - MARK_WIDTH - SCROLLBAR
        self._formats = cache(self._formats_of)
        names = list(view.columns)
        if view.columns == COLUMNS:
            names.insert(names.index("last_val_acc") + 1, "curve")
            if self._few_named:
                names.insert(names.index("started"), names.pop(names.index("name")))
        shown = fitting(map(self._formats, dict.fromkeys(map(self._twin, names))), self._room)
        self._looks = [format for format, _ in shown]
        self.columns = [MARK_COLUMN, *(column for _, column in shown)]

    def have_room(self, names: Sequence[str]) -> list[str]:
        """The first of these columns, those that have room."""
        kept, _ = with_room(map(self._formats, map(self._twin, names)), self._room)
        return list(names[: len(kept)])

    def _twin(self, name: str) -> str:
        return name if name == "curve" else self._view.field(name).name

    def _formats_of(self, name: str) -> Sequence[FieldFormat]:
        """What a column shows; nothing where all of it would be empty."""
        lines, sort = self._lines.values(), self._view.field(self._view.sort).name
        if name == "settings":
            return [
                setting_format(
                    field, (line.value(field) for line in lines), self._mark(field.name == sort)
                )
                for field in self.varying
            ]
        if name == "curve":
            drawn = FieldFormat("curve", CURVE + 1, lambda run, _: self._curve(run), extra=True)
            return [drawn]
        format = _marked(format_of(FIELDS[name]), self._mark(name == sort, name == "started"))
        format = replace(format, sort=name.removeprefix("last_" if self._view.last else "\0"))
        format = replace(format, extra=name in EXTRAS or (name == "name" and self._few_named))
        if name == "name":
            format = replace(format, text=lambda run, _: plain(self._lines[run.id].given_name))
        if name == "status":
            format = replace(format, text=partial(_status, images=self._mixed))
        if name not in GROWING:
            return [format]
        now = datetime.now().astimezone()
        longest = max((len(format.text(line.run, now)) for line in lines), default=0)
        if not longest:
            return []
        whole = max(min(MOST, longest), len(format.header)) + 1
        width = min(GROWING[name], whole)
        return [replace(format, width=width, more=whole - width)]

    def _mark(self, sorts: bool, counts_back: bool = False) -> str:
        """What says that a column is the one that rows are sorted by."""
        return (FALLING if self._falls is not counts_back else RISING) * sorts

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
        return {look.header: look.sort for look in self._looks if look.sort}

    @property
    def order_words(self) -> str:
        """What they are sorted by, where no header shows it."""
        if self._view.sort in self.sorts.values():
            return ""
        header = format_of(self._view.field(self._view.sort)).header
        return f"by {header}{' reversed' if self._view.backwards else ''}"


class GroupRows:
    """A row per group of runs with the spread of the view's metric."""

    def __init__(
        self, lines: Iterable[Line], view: View, width: int, sort: tuple[str, bool]
    ) -> None:
        self.metric = view.field(view.metric)
        self._by = [find_field(name) for name in view.groups]
        stat, backwards = sort
        falls = {"group": False, "n": True, "std": False}.get(stat, self.metric.falling)
        self._falls = falls is not backwards
        groups = sorted_groups(group_runs(lines, self._by, self.metric), stat, self._falls)
        self._stat = stat
        self.groups = {group.query: group for group in groups}
        """The groups in order; a group's key is the filter that finds its runs."""
        self.keys = list(self.groups)
        self._shown, self.columns = self._fit(width - MARK_WIDTH - SCROLLBAR)

    def _fit(self, room: int) -> tuple[list[str], list[Column]]:
        """The settings and figures that have room, and the table's columns."""
        groups, found = self.groups.values(), {}
        for field in self._by:
            mark = self._mark * (self._stat == "group" and field is self._by[0])
            values = (group.settings[field.name] for group in groups)
            found[field.name] = setting_format(field, values, mark)
        if any(group.mixed for group in groups):
            found["images"] = FieldFormat("images", 7, _nothing)
        for stat, width in STAT_WIDTHS.items():
            header = stat + self._mark * (stat == self._stat)
            found[stat] = FieldFormat(header, width, _nothing, right=True)
        room -= sum(STAT_WIDTHS[stat] for stat in LEAST_STATS)
        shown = []
        for name, format in found.items():
            if name in LEAST_STATS or format.width <= room:
                shown.append(name)
                room -= format.width * (name not in LEAST_STATS)
        self.sorts = {found[n].header: n if n in STATS else "group" for n in shown}
        return shown, [MARK_COLUMN, *(found[n].column(found[n].width) for n in shown)]

    @property
    def _mark(self) -> str:
        return FALLING if self._falls else RISING

    def texts(self, key: str, marks: Collection[str], now: datetime) -> tuple[str, ...]:
        """A row's texts, one per column."""
        group = self.groups[key]
        marked = sum(run.id in marks for run in group.runs) if marks else 0
        mark = "" if not marked else MARK if marked == len(group.runs) else MARK_SOME
        return (mark, *(_group_text(group, name) for name in self._shown))

    def runs(self, key: str) -> Sequence[str]:
        """Ids of the runs on a row."""
        return [run.id for run in self.groups[key].runs]

    @property
    def order_words(self) -> str:
        """What the figures are of."""
        return f"mean of {format_of(self.metric).header}"


def _nothing(run: Run, now: datetime) -> str:
    return ""


def _group_text(group: Group, name: str) -> str:
    if name in STATS:
        return group.text(name)
    if name == "images":
        return DEMO * group.synthetic
    return value_words(FIELDS[name], group.settings[name])


def next_sort(rows: RunRows | GroupRows, now: str) -> str:
    """What to sort by after `now`: the columns in turn, age and val_acc first."""
    names = list(rows.sorts.values())
    cycle = list(dict.fromkeys([*(n for n in SORTED_FIRST if n in names), *names]))
    return cycle[(cycle.index(now) + 1) % len(cycle) if now in cycle else 0]


def group_of(rows: RunRows | GroupRows, key: str | None) -> Group | None:
    """The group on a row; None on a run's row, or on none."""
    return rows.groups.get(key or "") if isinstance(rows, GroupRows) else None
