"""The commands `runs list` and `runs fields`: saved runs found, sorted and grouped."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, Parameter

from cifar_tui.commands import printing, printing_finding
from cifar_tui.commands.flags import RUNS, AnyRuns, Json, RunsDir
from cifar_tui.errors import UserError
from cifar_tui.runs.contents import size_text
from cifar_tui.runs.fields import find_field, in_order
from cifar_tui.runs.groups import find_groups, find_metric, group_runs, sorted_groups
from cifar_tui.runs.line import Line
from cifar_tui.runs.listing import Runs
from cifar_tui.runs.query import parse
from cifar_tui.runs.space import size_of
from cifar_tui.runs.view import View, recall

Filter = Annotated[
    str | None,
    Parameter(
        allow_leading_hyphen=True,
        help="Only runs like this: `lr>=0.05 bn model=resnet -tag:bad val_acc>0.7 age<2d`.",
    ),
]
Sort = Annotated[
    str | None,
    Parameter(
        allow_leading_hyphen=True,
        help="A field, smallest first; with a minus largest first: `-val_acc`.",
    ),
]
Columns = Annotated[str | None, Parameter(help="Fields to show: `name,lr,val_acc`.")]
GroupBy = Annotated[
    str | None,
    Parameter(help="Settings whose runs are one row with mean and spread: `lr,batch_norm`."),
]
Metric = Annotated[str | None, Parameter(help="What groups have the mean of. [default val_acc]")]
Last = Annotated[
    bool, Parameter(negative=(), help="Metrics of the last epoch instead of the best.")
]
Viewed = Annotated[
    bool,
    Parameter(negative=(), help="Filter, columns, order and groups as History was left."),
]


def register(runs_app: App) -> None:
    """Add the commands to `runs`."""
    runs_app.command(runs_list, name="list")
    runs_app.command(runs_fields, name="fields")


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
    trash: Annotated[bool, Parameter(negative=(), help="List the trash instead.")] = False,
    runs: RunsDir = RUNS,
) -> None:
    """List the saved runs, oldest first, or those that a filter finds, or groups of them."""
    shown = _view(recall(runs).view if view else View(), filter, columns, group_by, metric, last)
    query = parse(shown.filter)
    all_runs = Runs(runs).trashed() if trash else Runs(runs).all()
    lines = query.found(map(Line, all_runs))
    if shown.groups:
        _print_groups(lines, shown, sort, json)
        return
    found = [line.run for line in _sorted(lines, shown, sort, view)]
    if view or columns is not None:
        fields = shown.shown()
        if json:
            printing.print_json([printing_finding.values(run, fields) for run in found])
        else:
            printing_finding.print_columns(found, fields, len(all_runs), runs)
    elif json:
        printing.print_json([run.to_dict() for run in found])
    elif all_runs and not found:
        printing_finding.print_columns([], (), len(all_runs), runs)
    else:
        printing.print_runs(found, runs)
        if trash and found:
            space = size_text(sum(size_of(run.path) for run in found))
            print(f"They take {space}; `cifar-tui runs empty-trash` frees what is in the trash.")


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
        changes["columns"] = tuple(find_field(name).name for name in _names(columns))
        changes["groups"] = ()
        if not changes["columns"]:
            raise UserError("--columns needs fields, like name,lr,val_acc.")
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


def _print_groups(found: list[Line], shown: View, sort: str | None, json: bool) -> None:
    groups = group_runs(found, find_groups(shown.groups), shown.field(shown.metric))
    if sort is not None:
        groups = sorted_groups(groups, sort.removeprefix("-"), sort.startswith("-"))
    if json:
        printing.print_json([group.to_dict() for group in groups])
    else:
        printing_finding.print_groups(groups)


def runs_fields(*, json: Json = False, runs: AnyRuns = RUNS) -> None:
    """List the fields that filters, columns, orders and groups speak of."""
    printing_finding.print_fields(json)
