"""The commands `runs list` and `runs fields`: runs found, sorted, grouped and written as tables."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from cifar_tui.config import read_config
from cifar_tui.console import printing
from cifar_tui.console.completion import one_of, several_of, views_known
from cifar_tui.console.flags import (
    RUNS,
    AnyRuns,
    Filter,
    Json,
    RunsDir,
)
from cifar_tui.console.help import examples
from cifar_tui.console.printing import id_column, output_width, print_json, put
from cifar_tui.features.save.tables import SavedTable, render, run_table
from cifar_tui.query.fields import ALIASES, FIELDS, Field, Line, find_field, in_order
from cifar_tui.query.filter import parse
from cifar_tui.query.groups import STATS, Group, find_groups, find_metric, group_runs, sorted_groups
from cifar_tui.query.view import View, columns_of, named_view, recall, usual_columns
from cifar_tui.runs.disk import size_of, size_text
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.spec.checks import format_value
from cifar_tui.table import Column, Table, cut_end, cut_middle, figures

Sort = Annotated[
    str | None,
    Parameter(
        allow_leading_hyphen=True,
        help="A field, smallest first; with a minus largest first: `-val_acc`.",
        metavar="FIELD",
        completer=one_of(FIELDS),
    ),
]
Columns = Annotated[
    str | None,
    Parameter(
        help="Fields to show: `name,lr,val_acc`.",
        metavar="FIELD,FIELD,...",
        completer=several_of(FIELDS),
    ),
]
GroupBy = Annotated[
    str | None,
    Parameter(
        help="Settings whose runs are one row with mean and spread: `lr,batch_norm`.",
        metavar="FIELD,FIELD,...",
        completer=several_of(name for name, field in FIELDS.items() if field.setting),
    ),
]
Metric = Annotated[
    str | None,
    Parameter(
        help="What groups have the mean of. [default val_acc]",
        metavar="FIELD",
        completer=one_of(name for name, field in FIELDS.items() if field.kind == "number"),
    ),
]
Last = Annotated[
    bool, Parameter(negative=(), help="Metrics of the last epoch instead of the best.")
]
Viewed = Annotated[
    bool | str,
    Parameter(
        negative=(),
        metavar="[NAME]",
        help="A view of the configuration; without a name filter, columns, order and groups as "
        "History was left.",
        completer=views_known,
    ),
]

Format = Annotated[
    Literal["csv", "tsv", "md", "json"] | None,
    Parameter(
        help="Print a table for other programs or a report: csv and tsv have all fields, "
        "md those that tell the runs apart, unless --columns names some."
    ),
]
ALL_FIELDS = ("id", *(name for name in FIELDS if name not in ("id", "settings")))
"""What programs get: the same columns whatever the runs are, each setting in its own."""


@examples(
    'runs list --filter "bn lr>=0.05" --sort -val_acc',
    "runs list --columns name,lr,batch_norm,val_acc,time",
    "runs list --group-by lr,batch_norm --metric val_loss",
    "runs list --view best",
    "runs list --format csv > runs.csv",
)
def runs_list(
    *,
    filter: Filter = None,
    sort: Sort = None,
    columns: Columns = None,
    group_by: GroupBy = None,
    metric: Metric = None,
    last: Last = False,
    view: Viewed = False,
    json: Json = False,
    format: Format = None,
    trash: Annotated[bool, Parameter(negative=(), help="List the trash instead.")] = False,
    runs: RunsDir = RUNS,
) -> None:
    """List the saved runs, oldest first, or those that a filter finds, or groups of them."""
    shown = _view(_viewed(view, runs), filter, columns, group_by, metric, last)
    query, json = parse(shown.filter), json or format == "json"
    all_runs = Runs(runs).trashed() if trash else Runs(runs).all()
    lines = query.found(map(Line, all_runs))
    if shown.groups:
        _print_groups(lines, shown, sort, json, format)
        return
    found = [line.run for line in _sorted(lines, shown, sort, bool(view))]
    fields = shown.shown() if view or columns is not None else []
    if format and not json:
        usual = () if format == "md" else ALL_FIELDS
        print(render(run_table(found, [f.name for f in fields] or usual), format), end="")
    elif fields:
        if json:
            print_json([_values(run, fields) for run in found])
        else:
            _print_columns(found, fields, len(all_runs), runs)
    elif json:
        print_json([run.to_dict() for run in found])
    elif all_runs and not found:
        _print_columns([], (), len(all_runs), runs)
    else:
        printing.print_runs(found, runs)
        if trash and found:
            space = size_text(sum(size_of(run.path) for run in found))
            print(f"They take {space}; `cifar-tui runs empty-trash` frees what is in the trash.")


def _viewed(view: bool | str, runs: Path) -> View:
    """What is shown without other flags."""
    if not view:
        return View()
    config = read_config()
    if view is True:
        return recall(runs, usual_columns(config)).view
    return named_view(config, str(view))


def _view(
    view: View,
    filter: str | None,
    columns: str | None,
    group_by: str | None,
    metric: str | None,
    last: bool,
) -> View:
    """The view with what was given as flags; raises UserError for what does not exist."""
    changes: dict[str, Any] = {"last": last or view.last}
    if filter is not None:
        changes["filter"] = filter
    if columns is not None:
        changes["columns"], changes["groups"] = columns_of(columns), ()
    if group_by is not None:
        changes["groups"] = tuple(field.name for field in find_groups(_names(group_by)))
    if metric is not None:
        changes["metric"] = find_metric(metric).name
    return view.changed(**changes)


def _names(text: str | None) -> Sequence[str]:
    return [name for part in (text or "").split(",") if (name := part.strip())]


def _sorted(found: list[Line], shown: View, sort: str | None, view: bool) -> list[Line]:
    if sort is not None:
        largest_first = sort.startswith("-")
        field = shown.field(find_field(sort.removeprefix("-")).name)
    elif view:
        field = shown.field(shown.sort)
        largest_first = field.falling is not shown.backwards
        found = found[::-1]
    else:
        return found
    return in_order(found, lambda line: line.value(field), largest_first)


def _print_groups(
    found: list[Line], shown: View, sort: str | None, json: bool, format: str | None
) -> None:
    """A line per group: its settings, and the metric's n, mean, std, min and max."""
    groups = group_runs(found, find_groups(shown.groups), shown.field(shown.metric))
    if sort is not None:
        groups = sorted_groups(groups, sort.removeprefix("-"), sort.startswith("-"))
    if json:
        print_json([group.to_dict() for group in groups])
    elif format:
        print(render(group_table(groups), format), end="")
    elif not groups:
        print("There are no runs to group.")
    else:
        rows = [(group.title, *map(group.text, STATS)) for group in groups]
        table = Table(["group", *figures(*STATS)], rows)
        members = sum(len(group.runs) for group in groups)
        put(table, f"{groups[0].metric.help} of {members} runs in {len(groups)} groups")


def group_table(groups: Sequence[Group]) -> SavedTable:
    """A row per group: its settings, whether its images are demo ones, and the metric's figures."""
    first = groups[:1]
    names = [name for group in first for name in group.settings]
    rows = [
        (*g.settings.values(), g.synthetic, g.metric.name, *(getattr(g, s) for s in STATS))
        for g in groups
    ]
    show = [group.metric.show for group in first] * (len(STATS) - 1)
    shows: tuple[Callable[[Any], str], ...] = (
        *(FIELDS[name].show for name in names),
        format_value,
        str,
        str,
        *show,
    )
    return SavedTable((*names, "synthetic", "metric", *STATS), rows, shows)


@examples(
    "runs fields",
)
def runs_fields(*, json: Json = False, runs: AnyRuns = RUNS) -> None:
    """List the fields that filters, columns, orders and groups speak of."""
    others = {name: [a for a, meant in ALIASES.items() if meant == name] for name in FIELDS}
    if json:
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


def _values(run: Run, fields: Sequence[Field]) -> dict[str, Any]:
    """The run's values of these fields by name, for programs."""
    found = {field.name: field.value(run) for field in fields}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in found.items()
    }


def _print_columns(runs: Sequence[Run], fields: Sequence[Field], of: int, folder: Path) -> None:
    """A line per run with the chosen fields, those on the demo set with a word about it."""
    demo = [""] if any(run.synthetic for run in runs) else []
    rows = (
        [*(field.text(run) for field in fields), *("demo" * run.synthetic for _ in demo)]
        for run in runs
    )
    table = Table([*(_column(field, runs) for field in fields), *demo], rows, keep=demo)
    put(*([table] if runs else []), f"{len(runs)} of {of} runs in {folder}")


def _column(field: Field, runs: Sequence[Run]) -> Column:
    if field.name == "id":
        return id_column(runs)
    cut = cut_middle if field.name == "name" else cut_end
    return Column(field.name, right=field.kind == "number", cut=cut)


def _kind(field: Field) -> str:
    return "length of time" if field.unit == "s" else field.kind
