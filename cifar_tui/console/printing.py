"""What the commands print: tables and progress for people, JSON for programs."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from rich.text import Text

from cifar_tui.query.fields import Line
from cifar_tui.query.telling import shared, telling
from cifar_tui.runs.disk import contents, size_text, total
from cifar_tui.runs.events import EpochDone, read_epochs, read_events, to_json
from cifar_tui.runs.listing import Run, best_run, read_meta
from cifar_tui.spec.naming import spec_text
from cifar_tui.table import Column, Table, cut_middle, figures, prefix
from cifar_tui.text import (
    EPOCH_COLUMNS,
    at_epoch,
    epoch_cells,
    plain,
    runs_text,
    status_text,
    tone_of,
)

STAMP = len("20261126-183321-481756")
"""Of the characters of an id, those that say when a run was made."""


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json_text(value, indent=2))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Standard JSON in ASCII, so that no text in it can steer a terminal."""
    return json.dumps(value, indent=indent, allow_nan=False).replace("\x7f", "\\u007f")


def one_line(text: str) -> str:
    """Text on one line, ending with a full stop."""
    line = " ".join(text.split())
    return line if line.endswith((".", "?", "!")) else line + "."


def say(value: Mapping[str, Any], sentence: str, as_json: bool) -> None:
    """The outcome of a command, as JSON or as a sentence."""
    if as_json:
        print_json(value)
    else:
        print("\n".join(map(plain, sentence.split("\n"))))


def output_width() -> int | None:
    """Cells of a line on standard output; None in a pipe or file, unless COLUMNS is set."""
    columns = os.environ.get("COLUMNS", "")
    if sys.stdout.isatty() or (columns.isdecimal() and int(columns)):
        return shutil.get_terminal_size().columns
    return None


def put(*things: str | Text | Table) -> None:
    """Print texts, which a terminal breaks between words, and tables."""
    width = output_width()
    console = Console(highlight=False, width=width)
    coloured = console.color_system is not None and not console.no_color
    for thing in things:
        lines = thing.printed_lines(width) if isinstance(thing, Table) else [thing]
        for line in lines:
            text = line if isinstance(line, Text) else Text(plain(line))
            if text.no_wrap and not text.style:
                print(_painted(text) if coloured else text.plain)  # of 100,000 rows, at once
                continue
            console.print(text, soft_wrap=width is None or bool(text.no_wrap))


STYLES = {"primary": "cyan", "success": "green", "warning": "yellow", "error": "bold red"}
"""The terminal's colours for those of a theme."""


def _painted(text: Text) -> str:
    """A row of a table with the colours of its cells, as a terminal takes them."""
    shown, end = "", 0
    for span in text.spans:
        cell = Style.parse(STYLES[str(span.style)]).render(
            text.plain[span.start : span.end], color_system=ColorSystem.STANDARD
        )
        shown += text.plain[end : span.start] + cell
        end = span.end
    return shown + text.plain[end:]


def print_runs(runs: Sequence[Run], folder: Path) -> None:
    """The list of runs, a line each; on a terminal with a column for each setting that varies.

    A pipe has the same columns whatever the runs are, as another value that somebody tries must
    not break the script that reads them.
    """
    if not runs:
        print(f"No runs in {folder}. `cifar-tui train` makes one.")
        return
    width, lines = output_width(), list(map(Line, runs))
    if width is None:
        told, table = [f"{runs_text(len(runs))} in {folder}"], _table_for_scripts(runs)
    else:
        same = "demo images" * all(run.synthetic for run in runs)
        told = [runs_text(len(runs)), *filter(None, [same, shared(lines)])]
        told[0] += f" in {folder}"
        table = _table_for_people(lines)
    best = best_run(list(runs))
    told += [f"best {best.id} {at_epoch(best.summary.best)}"] if best else []
    put(table, ", ".join(told))


def _table_for_scripts(runs: Sequence[Run]) -> Table:
    texts = ("id", "name", "settings", "best val_acc")
    return Table((*texts, *figures("epochs"), "status"), map(_run_row, runs))


def _table_for_people(lines: Sequence[Line]) -> Table:
    """The settings that tell least apart are left out first."""
    varying = telling(lines)
    names = [field.head for field in varying]
    named = ["name"] * any(line.given_name for line in lines)
    mixed = len({line.run.synthetic for line in lines}) > 1
    columns: list[Column | str] = [
        id_column([line.run for line in lines]),
        *(Column(name, cut=cut_middle) for name in named),
        *(
            Column(name, right=field.kind == "number", least=len(name))
            for name, field in zip(names, varying, strict=True)
        ),
        "best val_acc",
        *figures("done"),
        Column("status", least=13, tone=tone_of),
    ]
    drop = (*names[:0:-1], *named, "done", *names[:1], "best val_acc")
    rows = (
        (
            line.run.id,
            *(line.given_name for _ in named),
            *(field.text(line.run) for field in varying),
            *_figures(line.run),
            _told(line.run, status_text(line.run.status), images=mixed, colon=":"),
        )
        for line in lines
    )
    return Table(columns, rows, drop=drop, keep=("status",))


def _run_row(run: Run) -> tuple[str, ...]:
    settings = "" if run.spec is None else spec_text(run.spec, run.summary.unknown)
    return (run.id, run.name, settings, *_figures(run), _told(run, run.status))


def _figures(run: Run) -> tuple[str, str]:
    return at_epoch(run.summary.best), f"{run.summary.epochs_done}/{run.summary.epochs}"


def _told(run: Run, status: str, *, images: bool = True, colon: str = "") -> str:
    """The status, and what else is to be known of a run before it is compared with others."""
    marks = " edited" * bool(run.edited) + " demo" * (images and run.synthetic)
    marks += " pinned" * run.notes.pinned
    return f"{status}{marks}{colon * bool(run.problem)} {run.problem}".strip()


def id_column(runs: Sequence[Run]) -> Column:
    """The column of their ids, of which enough is left to name one."""
    ids = {run.id for run in runs}
    longest = max(map(len, ids), default=0)
    unique = (n for n in range(STAMP, longest) if len({i[:n] for i in ids}) == len(ids))
    return Column("id", cut=prefix, least=next(unique, longest))


def run_details(run: Run) -> dict[str, Any]:
    """One run for programs: its summary with `spec`, all its events, `meta`, and its files."""
    return run.to_dict() | {
        "epochs_planned": run.summary.epochs,
        "epochs": [to_json(epoch) for epoch in read_epochs(run.path)],
        "events": [to_json(e) for e in read_events(run.path) if not isinstance(e, EpochDone)],
        "files": [{"name": plain(f.name), "bytes": f.size} for f in contents(run.path)],
        "meta": read_meta(run.path),
    }


def print_run(run: Run) -> None:
    """One run: state, settings that differ from the defaults, epochs."""
    summary = run.summary
    lines = [
        f"{run.name}  {run.status}" + (f": {summary.reason}" if summary.reason else ""),
        f"id        {run.id}",
        f"settings  {spec_text(run.spec, run.summary.unknown) if run.spec else run.problem}",
        f"best      val_acc {at_epoch(summary.best)}",
        f"device    {summary.device}   parameters {summary.parameters or 0:,}   "
        f"images {summary.source}{' (synthetic)' if run.synthetic else ''}",
    ]
    lines += [f"{label:<10}{text}" for label, text in run.remarks.items()]
    files = contents(run.path)
    lines.append(f"files     {size_text(total(files))} in {len(files)} files")
    epochs = Table(figures(*EPOCH_COLUMNS), map(epoch_cells, read_epochs(run.path)))
    put(*lines, "", epochs)


@contextmanager
def progress(label: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar of what is done and in all, on a terminal, with the time left."""
    from rich.progress import Progress

    hidden = quiet or not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def complain(sentence: str) -> None:
    """Print one sentence to stderr."""
    print(f"cifar-tui: {plain(sentence)}", file=sys.stderr)
