"""The columns of the list of runs: what each shows, how it sorts, and when there is room."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from cifar_tui.formats import age, at_epoch, clock, loss, plain
from cifar_tui.runs.fields import settings_text
from cifar_tui.runs.filter import searchable
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import started_at
from cifar_tui.ui.table import TableColumn

NAME_SHARE = 0.5
"""Of the room left by the other columns; the settings have the rest."""


@dataclass(frozen=True)
class Line:
    """One run as the list shows it; what is made of it is made when it is first asked for."""

    run: Run

    @cached_property
    def searched(self) -> str:
        """What is found by a filter."""
        return searchable(self.run)

    @cached_property
    def started(self) -> datetime | None:
        """When the run was created."""
        return started_at(self.run.id)

    @cached_property
    def settings(self) -> str:
        """What differs from the defaults."""
        return settings_text(self.run)


@dataclass(frozen=True)
class RunColumn:
    """One column; `value` is what it sorts by, None last, and `falling` says largest first."""

    name: str
    width: int
    text: Callable[[Line, datetime], str]
    value: Callable[[Line], Any]
    falling: bool = False
    right: bool = False
    least: int = 0
    """Width of the screen from which the column is shown."""


def _best_loss(line: Line) -> float | None:
    best = line.run.summary.best
    return None if best is None else best.val_loss


def _best_acc(line: Line) -> float | None:
    return line.run.best_val_acc if line.run.best_val_acc >= 0 else None


def _epochs(line: Line, now: datetime) -> str:
    summary = line.run.summary
    return f"{summary.epochs_done}/{summary.epochs}" if summary.epochs else "-"


def _status(line: Line, now: datetime) -> str:
    return f"{line.run.status} demo" if line.run.synthetic else line.run.status


COLUMNS: tuple[RunColumn, ...] = (
    RunColumn("name", 0, lambda line, _: line.run.name, lambda line: line.run.name.casefold()),
    RunColumn("settings", 0, lambda line, _: line.settings, lambda line: line.settings),
    RunColumn(
        "best val_acc",
        13,
        lambda line, _: at_epoch(line.run.summary.best),
        _best_acc,
        falling=True,
    ),
    RunColumn(
        "val_loss", 9, lambda line, _: loss(_best_loss(line)), _best_loss, right=True, least=120
    ),
    RunColumn(
        "epochs",
        8,
        _epochs,
        lambda line: line.run.summary.epochs_done,
        falling=True,
        right=True,
        least=70,
    ),
    RunColumn(
        "time",
        9,
        lambda line, _: clock(line.run.summary.seconds),
        lambda line: line.run.summary.seconds,
        falling=True,
        right=True,
        least=120,
    ),
    RunColumn(
        "age",
        5,
        lambda line, now: age(line.started, now),
        lambda line: line.started,
        falling=True,
        right=True,
        least=70,
    ),
    RunColumn("status", 14, _status, lambda line: line.run.status),
    RunColumn(
        "device",
        8,
        lambda line, _: line.run.summary.device,
        lambda line: line.run.summary.device,
        least=120,
    ),
    RunColumn(
        "tags",
        12,
        lambda line, _: ", ".join(line.run.tags),
        lambda line: line.run.tags or None,
        least=120,
    ),
)
BY_NAME = {column.name: column for column in COLUMNS}
SORT_CYCLE = ("age", "best val_acc", "name", "epochs", "status")


def make_line(run: Run, before: Line | None) -> Line:
    """The run's line; `before` itself where nothing changed."""
    return before if before is not None and before.run is run else Line(run)


def same_lines(found: dict[str, Line], before: dict[str, Line]) -> bool:
    """Whether nothing changed since the look before: the lines are the same ones."""
    both = zip(found.values(), before.values(), strict=False)
    return len(found) == len(before) and all(now is then for now, then in both)


def in_order(lines: Iterable[Line], column: RunColumn, backwards: bool) -> list[Line]:
    """The lines sorted by a column, those without a value last either way, equal ones by id."""
    by_id = sorted(lines, key=lambda line: line.run.id, reverse=True)
    known = [line for line in by_id if column.value(line) is not None]
    known.sort(key=column.value, reverse=column.falling != backwards)
    return known + [line for line in by_id if column.value(line) is None]


def fitting(width: int, taken: int) -> list[tuple[int, TableColumn]]:
    """The columns for a screen of this width of which some is taken, and their place in COLUMNS."""
    shown = [(i, column) for i, column in enumerate(COLUMNS) if width >= column.least]
    free = width - taken - sum(column.width for _, column in shown)
    name = int(free * NAME_SHARE)
    shares = {"name": name, "settings": free - name}
    return [(i, TableColumn(c.name, shares.get(c.name, c.width), c.right)) for i, c in shown]


def texts_of(
    line: Line, columns: Sequence[tuple[int, TableColumn]], now: datetime
) -> tuple[str, ...]:
    """The line's texts for the columns that are shown."""
    return tuple(COLUMNS[place].text(line, now) for place, _ in columns)


def best_words(run: Run, room: int) -> str:
    """The best run in a first line: its name in at most `room` cells, and its figure."""
    name = plain(run.name)
    if len(name) > room:
        name = name[: room - 1] + "…"
    return f"best {name} {at_epoch(run.summary.best)}{' demo' if run.synthetic else ''}"
