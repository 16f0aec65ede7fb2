"""The commands `runs list`, `show` and so on: saved runs found, shown, steered and annotated."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.completion import one_of, several_of
from cifar_tui.console.flags import (
    ANY_BACKEND,
    RUN,
    RUNS,
    AnyRuns,
    Json,
    OnBackend,
    RunsDir,
    Tags,
    Which,
)
from cifar_tui.console.help import examples
from cifar_tui.console.printing import id_column, output_width, print_json, put
from cifar_tui.errors import UserError
from cifar_tui.query.fields import ALIASES, FIELDS, Field, Line, find_field, in_order
from cifar_tui.query.filter import parse
from cifar_tui.query.groups import STATS, find_groups, find_metric, group_runs, sorted_groups
from cifar_tui.query.view import View, recall
from cifar_tui.queue.choices import withdraw
from cifar_tui.runs.control import order
from cifar_tui.runs.disk import size_of, size_text
from cifar_tui.runs.folder import Order
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.runs.notes import annotate, clean_notes
from cifar_tui.spec.naming import to_toml
from cifar_tui.table import Column, Table, cut_end, cut_middle, figures

Filter = Annotated[
    str | None,
    Parameter(
        allow_leading_hyphen=True,
        help="Only runs like this: `lr>=0.05 bn model=resnet -tag:bad val_acc>0.7 age<2d`.",
        metavar="FILTER",
        completer=several_of(FIELDS, " "),
    ),
]
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
    bool,
    Parameter(negative=(), help="Filter, columns, order and groups as History was left."),
]


@examples(
    'runs list --filter "bn lr>=0.05" --sort -val_acc',
    "runs list --columns name,lr,batch_norm,val_acc,time",
    "runs list --group-by lr,batch_norm --metric val_loss",
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
    """A line per group: its settings, and the metric's n, mean, std, min and max."""
    groups = group_runs(found, find_groups(shown.groups), shown.field(shown.metric))
    if sort is not None:
        groups = sorted_groups(groups, sort.removeprefix("-"), sort.startswith("-"))
    if json:
        print_json([group.to_dict() for group in groups])
    elif not groups:
        print("There are no runs to group.")
    else:
        rows = [(group.title, *map(group.text, STATS)) for group in groups]
        table = Table(["group", *figures(*STATS)], rows)
        members = sum(len(group.runs) for group in groups)
        put(table, f"{groups[0].metric.help} of {members} runs in {len(groups)} groups")


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


@examples(
    "runs show best",
    "runs show best --spec > again.toml",
)
def runs_show(
    run: Which,
    /,
    *,
    spec: Annotated[bool, Parameter(negative=(), help="Print its settings as TOML.")] = False,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show one run: settings, figures and epochs."""
    found = Runs(runs).find(run)
    if spec:
        if found.spec is None:
            raise UserError(f"{found.id} has no readable settings: {found.problem}.")
        print(to_toml(found.spec), end="")
    elif json:
        print_json(printing.run_details(found))
    else:
        printing.print_run(found)


@examples("runs watch", "runs watch last")
def runs_watch(
    run: Annotated[
        str | None, RUN, Parameter(help="Without it, all runs that train, until none does.")
    ] = None,
    /,
    *,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> int:
    """Follow a run until it ends, whoever trains it; Ctrl-C leaves it alone."""
    from cifar_tui.console.progress import train_printer
    from cifar_tui.queue import headless

    printer = train_printer(json)
    if run is None:
        return headless.watch_all(runs, printer)
    return headless.watch(Runs(runs).find(run), runs, printer)


@examples(
    "runs stop last",
)
def runs_stop(run: Which, /, *, json: Json = False, runs: RunsDir = RUNS) -> None:
    """Stop a run between two batches; it can be resumed from its last whole epoch."""
    _order(run, "stop", json, runs)


@examples(
    "runs pause last",
)
def runs_pause(run: Which, /, *, json: Json = False, runs: RunsDir = RUNS) -> None:
    """Hold a run until it is resumed or stopped."""
    _order(run, "pause", json, runs)


def _order(wanted: str, what: Order, json: bool, runs: Path) -> None:
    found = Runs(runs).find(wanted)
    order(found, what)
    done = what == "stop" and withdraw(found)
    sentence = f"{found.name} is stopped." if done else f"{found.name} was asked to {what}."
    printing.say({"id": found.id, "order": what}, sentence, json)


@examples(
    "runs resume last",
    "runs resume last --devices cuda:1",
)
def runs_resume(
    run: Which,
    /,
    *,
    on: OnBackend = ANY_BACKEND,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Let a paused run go on, or train an unfinished one further in the background."""
    from cifar_tui.queue import headless

    found = Runs(runs).find(run)
    sentence = headless.resume(found, runs, on.wish())
    printing.say({"id": found.id, "from_epoch": found.summary.epochs_done}, sentence, json)


@examples(
    "runs note last --name baseline --tags lab1,slow",
    'runs note best --note "to be handed in" --pin',
)
def runs_note(
    run: Which,
    /,
    *,
    name: Annotated[str | None, Parameter(help="A new name.", metavar="TEXT")] = None,
    tags: Tags = None,
    note: Annotated[str | None, Parameter(help="A remark.", metavar="TEXT")] = None,
    pin: Annotated[bool | None, Parameter(help="Mark it, and keep it from bulk deletion.")] = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Rename, tag or annotate a run."""
    known = Runs(runs)
    found = known.find(run)
    changes = clean_notes(name=name, tags=tags, note=note)
    changes |= {} if pin is None else {"pinned": pin}
    annotate(found.path, **changes)
    changed = known.get(found.id)
    told = {
        "name": f"is called {changed.name}",
        "tags": f"has the tags {', '.join(changed.tags)}" if changed.tags else "has no tags",
        "note": f"has the note '{changed.notes.note}'" if changed.notes.note else "has no note",
        "pinned": "is pinned" if changed.notes.pinned else "is not pinned",
    }
    words = [words for name, words in told.items() if name in changes] or ["is as it was"]
    printing.say(changed.to_dict(), f"{changed.id} {', '.join(words)}.", json)


COMMANDS = {
    "runs list": runs_list,
    "runs fields": runs_fields,
    "runs show": runs_show,
    "runs watch": runs_watch,
    "runs stop": runs_stop,
    "runs pause": runs_pause,
    "runs resume": runs_resume,
    "runs note": runs_note,
}
