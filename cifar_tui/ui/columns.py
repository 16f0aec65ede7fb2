"""The columns of the list of runs: what each shows, how wide it is, and which have room."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from cifar_tui.formats import age, at_epoch, plain
from cifar_tui.runs.fields import FIELDS, Field
from cifar_tui.runs.listing import Run
from cifar_tui.ui.table import TableColumn

LEAST = 18
"""Cells that a column gets which takes what the others leave."""
MOST = 60
"""Cells that it takes at most; then texts of the others get what is left."""


@dataclass(frozen=True)
class Look:
    """How a field looks in the list; width 0 takes what the others leave."""

    header: str
    width: int
    text: Callable[[Run, datetime], str]
    right: bool = False
    grows: bool = False
    """Whether its texts may be longer, and are shown so where there is room."""


def _epochs(run: Run, now: datetime) -> str:
    return f"{run.summary.epochs_done}/{run.summary.epochs}" if run.summary.epochs else "-"


def _status(run: Run, now: datetime) -> str:
    return f"{run.status}{' edited' * bool(run.edited)}{' demo' * run.synthetic}"


LOOKS = {
    "val_acc": Look("best val_acc", 13, lambda run, _: at_epoch(run.summary.best)),
    "last_val_acc": Look("last val_acc", 13, lambda run, _: at_epoch(run.summary.last)),
    "epochs_done": Look("done", 8, _epochs, right=True),
    "started": Look("age", 5, lambda run, now: age(FIELDS["started"].value(run), now), right=True),
    "status": Look("status", 14, _status),
    "tag": Look("tags", 12, lambda run, _: ", ".join(run.tags), grows=True),
}
"""Where the list says more, or the same shorter, than the field's own text."""


def look_of(asked: Field) -> Look:
    """How a field looks in the list."""
    number, long = asked.kind == "number", asked.name in ("id", "note")
    plainly = Look(asked.name, asked.width, lambda run, _: asked.text(run), number, long)
    return LOOKS.get(asked.name, plainly)


def fitting(fields: Iterable[Field], room: int) -> list[tuple[Look, TableColumn]]:
    """The first of the fields that have room in so many cells, and their columns."""
    looks: list[Look] = []
    for look in map(look_of, fields):
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
    return [(look, TableColumn(look.header, widths[look.header], look.right)) for look in looks]


def best_words(run: Run, room: int) -> str:
    """The best run in a first line: its name in at most `room` cells, and its figure."""
    name = plain(run.name)
    if len(name) > room:
        name = name[: room - 1] + "…"
    return f"best {name} {at_epoch(run.summary.best)}{' demo' if run.synthetic else ''}"
