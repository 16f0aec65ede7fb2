"""What the list of runs shows, remembered beside the runs: columns, order, groups and filters."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cifar_tui.errors import UserError
from cifar_tui.files import read_json, write_json
from cifar_tui.locks import changing
from cifar_tui.query import fields
from cifar_tui.query.groups import find_groups, find_metric
from cifar_tui.runs.record import Line

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


class Memory(BaseModel):
    """The view as it was left, and the last filters, the latest first."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    view: View = View()
    filters: tuple[Filter, ...] = ()

    def with_filter(self, text: str) -> "Memory":
        """The same with one more filter at the front."""
        others = [known for known in self.filters if known != text]
        return self.model_copy(update={"filters": (text, *others)[:FILTERS_KEPT]})


def recall(folder: Path) -> Memory:
    """What was remembered beside the runs in `folder`; the defaults for what is damaged."""
    try:
        found = read_json(folder / FILE)
    except (OSError, ValueError):
        return Memory()
    memory = Memory()
    for part in ("view", "filters"):
        try:
            sound = Memory.model_validate({part: found[part]})
            memory = memory.model_copy(update={part: getattr(sound, part)})
        except (KeyError, ValidationError):
            continue
    return memory


def remember(folder: Path, memory: Memory) -> None:
    """Write it beside the runs, with the filters that other programs have remembered there.

    Where that is not possible, it is forgotten.
    """
    try:
        with changing(folder):
            others = recall(folder).filters
            filters = tuple(dict.fromkeys([*memory.filters, *others]))[:FILTERS_KEPT]
            kept = memory.model_copy(update={"filters": filters})
            content = kept.model_dump(mode="json", exclude_defaults=True)
            write_json(folder / FILE, content, durable=False)
    except (OSError, ValueError):
        return
