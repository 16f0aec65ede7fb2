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


@dataclass(frozen=True)
class Look:
    """How a field looks in the list; width 0 takes what the others leave."""

    header: str
    width: int
    text: Callable[[Run, datetime], str]
    right: bool = False


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
    "tag": Look("tags", 12, lambda run, _: ", ".join(run.tags)),
}
"""Where the list says more, or the same shorter, than the field's own text."""


def look_of(asked: Field) -> Look:
    """How a field looks in the list."""
    plainly = Look(asked.name, asked.width, lambda run, _: asked.text(run), asked.kind == "number")
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
    wide = [look for look in looks if not look.width]
    found = []
    for look in looks:
        width = look.width
        if not width:
            share = max(0, room) // len(wide)
            wide.pop()
            room -= share
            width = LEAST + share
        found.append((look, TableColumn(look.header, width, look.right)))
    return found


def best_words(run: Run, room: int) -> str:
    """The best run in a first line: its name in at most `room` cells, and its figure."""
    name = plain(run.name)
    if len(name) > room:
        name = name[: room - 1] + "…"
    return f"best {name} {at_epoch(run.summary.best)}{' demo' if run.synthetic else ''}"
