"""Runs and their curves as tables in CSV, JSON and Markdown, for other programs and for papers."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.query.fields import FIELDS, Field, find_field, varying
from cifar_tui.runs.events import EPOCH_METRICS, read_epochs
from cifar_tui.runs.listing import Run
from cifar_tui.spec.checks import SETTINGS, format_value
from cifar_tui.table import Table
from cifar_tui.text import accuracy, learning_rate, loss, plain, rate

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""
MARKDOWN = re.compile(r"[\\`*\[\]<>|~&]|(?<!\w)_|_(?!\w)")
"""What would be taken for markup, an underscore only at the edge of a word."""
RESULTS = (
    *("val_acc", "best_epoch", "val_loss", "train_acc", "train_loss", "epochs_done"),
    *("time", "status", "images", "tag", "note"),
)
CURVE_KEYS = ("id", "name", "images")
"""What stands in each row of the curves to say whose epoch it is."""
CURVE_FIGURES: dict[str, Callable[[Any], str]] = {
    "epoch": str,
    **dict.fromkeys(EPOCH_METRICS, loss),
    "lr": learning_rate,
    "train_acc": accuracy,
    "val_acc": accuracy,
    "train_seconds": "{:.1f}".format,
    "val_seconds": "{:.1f}".format,
    "images_per_second": rate,
    "time": "{:.0f}".format,
}
"""What is known of an epoch, in this order; `time` is when it ended, in seconds since 1970."""


@dataclass(frozen=True)
class SavedTable:
    """Values in rows; `shows` makes of each column's what people read."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    shows: tuple[Callable[[Any], str], ...]


def run_table(runs: Sequence[Run], columns: Sequence[str] = ()) -> SavedTable:
    """A row per run; by default the settings that vary and the usual figures.

    A table with demo runs always says which images; raises UserError for an unknown column.
    """
    names = columns or _usual(runs)
    fields = _with_images([find_field(name) for name in names], runs)
    rows = [tuple(field.value(run) for field in fields) for run in runs]
    return SavedTable(tuple(f.name for f in fields), rows, tuple(f.show for f in fields))


def _usual(runs: Sequence[Run]) -> list[str]:
    settings = [field.name for field in telling(runs)]
    return ["id", "name", *(settings or ["settings"]), *RESULTS]


def telling(runs: Sequence[Run]) -> list[Field]:
    """The settings that vary, but for defaults that are merely not in force in all runs."""
    known = [run for run in runs if run.spec]
    return [
        field
        for field in varying(known)
        if {field.value(run) for run in known} - {None, SETTINGS[field.name].default}
    ]


def _with_images(fields: Sequence[Field], runs: Sequence[Run]) -> list[Field]:
    also = [FIELDS["images"]] if any(run.synthetic for run in runs) else []
    return list({field.name: field for field in [*fields, *also]}.values())


def curve_table(runs: Sequence[Run], columns: Sequence[str] = ()) -> SavedTable:
    """A row per run and epoch, with all figures unless `columns` name some.

    Columns may be fields of the run too; a name that is both, like lr, means the epoch's figure.
    Raises UserError for an unknown column.
    """
    chosen = [name for name in columns if name in CURVE_FIGURES and name != "epoch"]
    wanted = ["epoch", *chosen] if chosen else list(CURVE_FIGURES)
    own = [*CURVE_KEYS, *(name for name in columns if name not in CURVE_FIGURES)]
    fields = list({field.name: field for field in map(find_field, own)}.values())
    rows = [
        (*values, *(getattr(epoch, name) for name in wanted))
        for run in runs
        for values in [[field.value(run) for field in fields]]
        for epoch in read_epochs(run.path)
    ]
    shows = (*(field.show for field in fields), *(CURVE_FIGURES[name] for name in wanted))
    return SavedTable((*(field.name for field in fields), *wanted), rows, shows)


def render(table: SavedTable, format: str) -> str:
    """The table as csv, tsv, json or md text."""
    try:
        return {"csv": to_csv, "tsv": to_tsv, "json": to_json, "md": to_markdown}[format](table)
    except KeyError:
        raise UserError(f"There is no table as {format}; csv, json and md there are.") from None


def to_csv(table: SavedTable) -> str:
    """Comma-separated values with full precision, lines ended by LF; nothing where unknown.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.names)
    writer.writerows([_csv_cell(value) for value in row] for row in table.rows)
    return file.getvalue()


def to_tsv(table: SavedTable) -> str:
    """The same cells between tabs, in which nothing is quoted."""
    rows = [["" if v is None else str(_csv_cell(v)) for v in row] for row in table.rows]
    return "".join("\t".join(row) + "\n" for row in [table.names, *rows])


def _csv_cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, int | float):
        return value
    text = plain(format_value(_simple(value)))
    return f"'{text}" if text.startswith(FORMULA) else text


def to_json(table: SavedTable) -> str:
    """An array with an object per row; null where unknown."""
    rows = [dict(zip(table.names, map(_simple, row), strict=True)) for row in table.rows]
    return json.dumps(rows, indent=1, allow_nan=False) + "\n"


def _simple(value: Any) -> Any:
    return value.isoformat(" ") if isinstance(value, datetime) else value


def to_markdown(table: SavedTable) -> str:
    """A table to paste into a report, with the precision that the screens have."""
    rows = [
        ["-" if v is None else show(v) for v, show in zip(row, table.shows, strict=True)]
        for row in table.rows
    ]
    return markdown_table(Table(table.names, rows)) + "\n"


def markdown_text(text: str) -> str:
    """A text on one line for a Markdown document, in which nothing is markup."""
    return MARKDOWN.sub(r"\\\g<0>", plain(text))


def markdown_table(table: Table) -> str:
    """A table in Markdown, in whose texts nothing is markup."""
    head, *rows = ([markdown_text(cell) for cell in line] for line in (table.names, *table.rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))
