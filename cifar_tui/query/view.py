"""What the list of runs shows, remembered beside the runs: columns, order, groups and filters."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cifar_tui.config import Config, NamedView
from cifar_tui.errors import UserError
from cifar_tui.files import config_path, read_json, write_json
from cifar_tui.locks import changing
from cifar_tui.query import fields
from cifar_tui.query.filter import parse
from cifar_tui.query.groups import find_groups, find_metric
from cifar_tui.runs.record import Line
from cifar_tui.text import plain

Part = TypeVar("Part")
FILE = ".history.json"
COLUMNS = (
    *("name", "settings", "val_acc", "status", "epochs_done", "started"),
    *("last_val_acc", "val_loss", "time", "trained_on", "tag"),
)
"""The columns unless others are chosen, in order of importance: a narrow window has the first."""
FILTERS_KEPT = 50
LONGEST_FILTER = 1000


def _with(find: Callable[[Any], Any]) -> AfterValidator:
    """A check that what `find` looks up is there."""

    def check(value: Any) -> Any:
        try:
            return find(value)
        except UserError as error:
            raise ValueError(str(error)) from None

    return AfterValidator(check)


Name = Annotated[str, _with(lambda name: fields.find_field(name).name)]
Metric = Annotated[str, _with(lambda name: find_metric(name).name)]
Groups = Annotated[
    tuple[str, ...], _with(lambda names: tuple(field.name for field in find_groups(names)))
]
Filter = Annotated[Line, Field(max_length=LONGEST_FILTER)]


class View(BaseModel):
    """What is shown of which runs, and in which order."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    columns: Annotated[tuple[Name, ...], Field(min_length=1)] = COLUMNS
    sort: Name = "started"
    backwards: bool = False
    last: bool = False
    """Whether metrics are those of the last epoch, not of the best."""
    groups: Groups = ()
    metric: Metric = "val_acc"
    """What groups have the mean of."""
    filter: Filter = ""
    since: Line = ""
    """When the filter was typed, as in a run's id; it hides no run launched later."""

    def changed(self, **changes: Any) -> "View":
        """The same with some parts changed."""
        return self.model_copy(update=changes)

    def field(self, name: str) -> fields.Field:
        """The field that is shown under this name: the last epoch's twin of a metric, if so."""
        twin = f"last_{name}"
        return fields.FIELDS[twin if self.last and twin in fields.FIELDS else name]

    def shown(self) -> list[fields.Field]:
        """The fields of the columns, in order."""
        return list(dict.fromkeys(map(self.field, self.columns)))


def usual_columns(config: Config) -> tuple[str, ...]:
    """What History shows until others are chosen; raises UserError that names the entry."""
    return _part("columns", lambda: columns_of(config.columns)) if config.columns else COLUMNS


def named_view(config: Config, name: str) -> View:
    """A view of the configuration; raises UserError that names the entry that is wrong."""
    if name not in config.views:
        known = ", ".join(config.views)
        hint = f"there are {known}" if known else "`cifar-tui config` says how to make one"
        raise UserError(f"There is no view '{plain(name)}'; {hint}.")
    view, entry = config.views[name], f"views.{name}"
    changes: dict[str, Any] = {"columns": usual_columns(config), "filter": view.filter}
    _part(f"{entry}.filter", lambda: parse(view.filter))
    if view.columns:
        changes["columns"] = _part(f"{entry}.columns", lambda: columns_of(view.columns))
    if view.sort:
        changes |= _part(f"{entry}.sort", lambda: _order_of(view.sort))
    return View().changed(**changes)


def check_views(config: Config) -> None:
    """Raise UserError for an entry of the configuration that speaks of what is not there."""
    usual_columns(config)
    for name in config.views:
        named_view(config, name)


def view_words(view: NamedView) -> str:
    """What a view shows, on one line: `filter 'bn' sort '-val_acc'`."""
    parts = (f"{name} '{text}'" for name, text in view.model_dump().items() if text)
    return plain(" ".join(parts))


def columns_of(text: str) -> tuple[str, ...]:
    """The fields of `name,lr,val_acc`; raises UserError."""
    names = tuple(fields.find_field(n.strip()).name for n in text.split(",") if n.strip())
    if not names:
        raise UserError("Columns need fields, like name,lr,val_acc.")
    return names


def _order_of(text: str) -> dict[str, Any]:
    field = fields.find_field(text.removeprefix("-"))
    return {"sort": field.name, "backwards": field.falling is not text.startswith("-")}


def _part(entry: str, read: Callable[[], Part]) -> Part:
    try:
        return read()
    except UserError as error:
        raise UserError(f"{config_path()}: {plain(entry)}: {error}") from None


class Memory(BaseModel):
    """The view as it was left, and the last filters, the latest first."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    view: View = View()
    filters: tuple[Filter, ...] = ()

    def with_filter(self, text: str) -> "Memory":
        """The same with one more filter at the front."""
        others = [known for known in self.filters if known != text]
        return self.model_copy(update={"filters": (text, *others)[:FILTERS_KEPT]})


def recall(folder: Path, columns: tuple[str, ...] = COLUMNS) -> Memory:
    """What was remembered beside the runs in `folder`; the defaults for what is damaged.

    `columns` are shown where no others were chosen.
    """
    memory = Memory()
    try:
        found = read_json(folder / FILE)
    except (OSError, ValueError):
        found = {}
    for part in ("view", "filters"):
        try:
            sound = Memory.model_validate({part: found[part]})
        except (KeyError, ValidationError):
            continue
        memory = memory.model_copy(update={part: getattr(sound, part)})
    if "columns" in memory.view.model_fields_set:
        return memory
    return memory.model_copy(update={"view": memory.view.changed(columns=columns)})


def remember(folder: Path, memory: Memory, columns: tuple[str, ...] = COLUMNS) -> None:
    """Write it beside the runs, with the filters that other programs have remembered there.

    Where that is not possible, it is forgotten, as are columns that are shown anyway.
    """
    try:
        with changing(folder):
            others = recall(folder).filters
            filters = tuple(dict.fromkeys([*memory.filters, *others]))[:FILTERS_KEPT]
            kept = memory.model_copy(update={"filters": filters})
            content = kept.model_dump(mode="json", exclude_defaults=True)
            if kept.view.columns != columns:
                content.setdefault("view", {})["columns"] = kept.view.columns
            else:
                content.get("view", {}).pop("columns", None)
            write_json(folder / FILE, content, durable=False)
    except (OSError, ValueError):
        return
