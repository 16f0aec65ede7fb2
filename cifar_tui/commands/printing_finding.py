"""What `runs list` and `runs fields` print: chosen columns, groups, and the fields there are."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from textwrap import fill
from typing import Any

from cifar_tui.commands.printing import id_column, print_json, put
from cifar_tui.commands.table import Column, Table, cut_end, cut_middle, output_width
from cifar_tui.runs.fields import ALIASES, FIELDS, Field
from cifar_tui.runs.groups import STATS, Group
from cifar_tui.runs.listing import Run


def values(run: Run, fields: Sequence[Field]) -> dict[str, Any]:
    """The run's values of these fields by name, for programs."""
    found = {field.name: field.value(run) for field in fields}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in found.items()
    }


def print_columns(runs: Sequence[Run], fields: Sequence[Field], of: int, folder: Path) -> None:
    """A line per run with the chosen fields, those on the demo set with a word about it."""
    demo = [""] if any(run.synthetic for run in runs) else []
    right = [field.name for field in fields if field.kind == "number"]
    table = Table(*(_column(field, runs) for field in fields), *demo, right=right, keep=demo)
    for run in runs:
        said = ["demo" if run.synthetic else ""] if demo else []
        table.add(*(field.text(run) for field in fields), *said)
    put(*([table] if runs else []), f"{len(runs)} of {of} runs in {folder}")


def _column(field: Field, runs: Sequence[Run]) -> Column:
    if field.name == "id":
        return id_column(runs)
    return Column(field.name, cut=cut_middle if field.name == "name" else cut_end)


def print_groups(groups: Sequence[Group]) -> None:
    """A line per group: its settings, and the metric's n, mean, std, min and max."""
    if not groups:
        print("There are no runs to group.")
        return
    table = Table("group", *STATS, right=STATS)
    for group in groups:
        table.add(group.title, *map(group.text, STATS))
    members = sum(len(group.runs) for group in groups)
    put(table, f"{groups[0].metric.help} of {members} runs in {len(groups)} groups")


def print_fields(as_json: bool) -> None:
    """Each field with its kind, what it is, and the other words for it."""
    others = {name: [a for a, meant in ALIASES.items() if meant == name] for name in FIELDS}
    if as_json:
        print_json(
            [
                {"name": field.name, "kind": field.kind, "help": field.help}
                | {"choices": list(field.choices), "aliases": others[field.name]}
                | {"setting": field.setting}
                for field in FIELDS.values()
            ]
        )
        return
    names, kinds = max(map(len, FIELDS)), max(map(len, map(_kind, FIELDS.values())))
    for field in FIELDS.values():
        choices = f" ({', '.join(field.choices)})" if field.choices else ""
        also = f"; also {', '.join(others[field.name])}" if others[field.name] else ""
        line = f"{field.name:<{names}}  {_kind(field):<{kinds}}  {field.help}{choices}{also}"
        print(fill(line, output_width() or len(line), subsequent_indent=" " * (names + kinds + 4)))


def _kind(field: Field) -> str:
    return "length of time" if field.unit == "s" else field.kind
