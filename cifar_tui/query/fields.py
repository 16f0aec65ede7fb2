"""What can be asked of a run: every setting, figure and note by name, declared once.

Columns, sorting, filters, groups and tables for programs all speak of these fields.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal, TypeVar, get_args

from cifar_tui.errors import UserError
from cifar_tui.runs.ids import started_at
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import Point, Status
from cifar_tui.spec.checks import SETTINGS, Setting, format_value, with_role
from cifar_tui.spec.naming import brief, given_name, model_name
from cifar_tui.text import accuracy, clock, learning_rate, loss, plain

Item = TypeVar("Item")
Kind = Literal["number", "word", "switch", "words", "time"]
Value = Any
"""A number, str, bool, tuple of str or datetime, as the field's kind says; None where unknown."""


@dataclass(frozen=True)
class Field:
    """One thing that can be asked of a run."""

    name: str
    kind: Kind
    help: str
    value: Callable[[Run], Value]
    show: Callable[[Value], str] = str
    width: int = 9
    """Cells of a column, the gap included; 0 takes what the others leave."""
    falling: bool = False
    """Whether a list sorted by it has the largest first."""
    setting: bool = False
    """Whether it was chosen before the run, not measured in it."""
    choices: tuple[str, ...] = ()
    """The words it can be, where they are known."""
    unit: str = ""
    """`s` for a length of time in seconds, `%` for a share from 0 to 1."""

    @property
    def head(self) -> str:
        """The head of its column."""
        return SHORT_NAMES.get(self.name, self.name)

    def text(self, run: Run) -> str:
        """The run's value as people read it; a dash where there is none."""
        value = self.value(run)
        return "-" if value is None else plain(self.show(value))


def settings_text(run: Run) -> str:
    """What differs from the defaults, or the model's name; for an unreadable run, its problem."""
    if run.spec is None:
        return run.problem
    values = run.changed
    model = model_name(vars(run.spec))
    if "model" in values or not values:
        return f"{model} {brief(values)}".strip()
    return brief(values)


def in_force(run: Run, name: str) -> Value:
    """A setting's value; None where it is not known, or without effect beside the others."""
    if run.spec is None or name in run.summary.unknown:
        return None
    if not SETTINGS[name].applies(vars(run.spec)):
        return None
    return getattr(run.spec, name)


def _setting_field(setting: Setting) -> Field:
    annotation = setting.info.annotation
    kind: Kind = "switch" if setting.is_bool else "word"
    if annotation in (int, float):
        kind = "number"
    elif setting.is_list:
        kind = "words"
    name = setting.name
    show = learning_rate if name == "lr" else format_value
    width = max(len(name), 7) + 1
    help = setting.help.partition(";")[0]
    return Field(
        name,
        kind,
        help,
        lambda run: in_force(run, name),
        show,
        width,
        setting=True,
        choices=setting.choices,
    )


def _point_field(name: str, metric: str, at: Literal["best", "last"]) -> Field:
    show = accuracy if metric.endswith("acc") else loss

    def value(run: Run) -> Value:
        point: Point | None = getattr(run.summary, at)
        return None if point is None else getattr(point, metric)

    where = "at the best epoch" if at == "best" else "after the last epoch"
    share = metric.endswith("acc")
    width, unit = max(len(name), 8) + 1, "%" * share
    return Field(name, "number", f"{metric} {where}", value, show, width, share, unit=unit)


METRICS = ("val_acc", "val_loss", "train_acc", "train_loss")
"""The figures of an epoch that a summary keeps, at the best and at the last one."""


def _seconds(run: Run) -> Value:
    return run.summary.seconds if run.summary.epochs_done else None


def _speed(run: Run) -> Value:
    """Seconds per epoch."""
    done = run.summary.epochs_done
    return run.summary.seconds / done if done else None


_OWN = (
    Field("name", "word", "The run's name", lambda run: run.name, width=0),
    Field("settings", "word", "What differs from the defaults", settings_text, width=0),
    Field("id", "word", "The run's folder", lambda run: run.id, width=40),
    Field(
        "status",
        "word",
        "What became of it",
        lambda run: run.status,
        width=14,
        choices=(*get_args(Status), "unreadable"),
    ),
    *(_point_field(metric, metric, "best") for metric in METRICS),
    *(_point_field(f"last_{metric}", metric, "last") for metric in METRICS),
    Field(
        "best_epoch",
        "number",
        "The epoch with the best val_acc",
        lambda run: run.summary.best.epoch if run.summary.best else None,
        width=11,
    ),
    Field(
        "epochs_done",
        "number",
        "Epochs that were finished",
        lambda run: run.summary.epochs_done,
        width=12,
        falling=True,
    ),
    Field(
        "time",
        "number",
        "Seconds in training, without waiting for a device and pauses",
        _seconds,
        clock,
        9,
        True,
        unit="s",
    ),
    Field("epoch_time", "number", "Seconds per epoch", _speed, "{:.1f}".format, 11, unit="s"),
    Field(
        "parameters",
        "number",
        "Parameters of the model",
        lambda run: run.summary.parameters,
        "{:,}".format,
        11,
    ),
    Field(
        "initial_loss",
        "number",
        "Loss before training",
        lambda run: run.summary.initial_loss,
        loss,
        13,
    ),
    Field(
        "started",
        "time",
        "When it was created",
        lambda run: started_at(run.id),
        "{:%Y-%m-%d %H:%M}".format,
        17,
        True,
    ),
    Field("trained_on", "word", "Its device", lambda run: run.summary.device or None, width=11),
    Field("images", "word", "course, official or demo", lambda run: run.summary.source or None),
    Field("tag", "words", "The user's tags", lambda run: run.tags, ", ".join, 12),
    Field("note", "word", "The user's note", lambda run: run.notes.note or None, width=24),
    Field("pinned", "switch", "Pinned by the user", lambda run: run.notes.pinned, format_value),
)

FIELDS: dict[str, Field] = {field.name: field for field in _OWN} | {
    name: _setting_field(setting) for name, setting in SETTINGS.items() if setting.role != "label"
}
"""Every field by name, the run's own first, then the settings in the order of declaration."""

SOME_FIELDS = "lr, bn, model, val_acc, status, age, tag"
"""Those that people ask for most, for who named one that is not there."""

ALIASES = {
    "acc": "val_acc",
    "accuracy": "val_acc",
    "act": "activation",
    "age": "started",
    "aug": "augment",
    "batch": "batch_size",
    "best": "val_acc",
    "bn": "batch_norm",
    "created": "started",
    "date": "started",
    "done": "epochs_done",
    "duration": "time",
    "learning_rate": "lr",
    "loss": "val_loss",
    "params": "parameters",
    "tags": "tag",
    "wd": "l2",
    "weight_decay": "l2",
}
"""Other words that people use for a field."""
SHORT_NAMES = {"batch_norm": "bn", "augment": "aug", "activation": "act", "batch_size": "batch"}
"""Shorter ones for the heads of columns."""


def find_field(name: str) -> Field:
    """The field of that name or alias, in any case, dashes for underscores; raises UserError."""
    field = field_named(name)
    if field is not None:
        return field
    near = get_close_matches(name.casefold().replace("-", "_"), FIELDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {SOME_FIELDS} and others."
    raise UserError(f"There is no field '{plain(name)}'; {hint}")


def field_named(name: str) -> Field | None:
    """The same, but None where there is no such field."""
    wanted = name.casefold().replace("-", "_")
    return FIELDS.get(ALIASES.get(wanted, wanted))


def sort_key(value: Value) -> Any:
    """What a value sorts by: words without regard to case."""
    return value.casefold() if isinstance(value, str) else value


def in_order(
    items: Iterable[Item], value: Callable[[Item], Value], largest_first: bool
) -> list[Item]:
    """The items sorted by a value, those without one last either way, equal ones as they were."""
    values = [(item, value(item)) for item in items]
    known = [(item, found) for item, found in values if found not in (None, ())]
    known.sort(key=lambda pair: sort_key(pair[1]), reverse=largest_first)
    return [item for item, _ in known] + [item for item, found in values if found in (None, ())]


COMPARABLE = with_role("result", "repeat")
"""The settings by which runs are told apart: all but where they ran and what they are called."""


def varying(runs: list[Run]) -> list[Field]:
    """The settings whose values in force differ among the runs, but for where those ran."""
    fields = (FIELDS[name] for name in COMPARABLE)
    return [field for field in fields if len({field.value(run) for run in runs} - {None}) > 1]


@dataclass(frozen=True)
class Line:
    """One run in a list; what is made of it is made when it is first asked for."""

    run: Run
    _values: dict[str, Value] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def searched(self) -> str:
        """What plain words of a filter look at, in lower case; one thing on each line."""
        run = self.run
        words = [run.name, run.id, self.value(FIELDS["settings"]), *run.tags]
        words += [run.status, run.notes.note]
        if run.spec is not None:
            words.append(model_name(vars(run.spec)))
        if run.synthetic:
            words.append("demo")
        if run.edited:
            words.append("edited")
        return "\n".join(words).casefold()

    @cached_property
    def given_name(self) -> str:
        """What a person calls it; an unreadable run's folder; else nothing."""
        run = self.run
        if run.notes.name or run.spec is None:
            return run.name
        return given_name(run.name, run.spec)

    @cached_property
    def settings(self) -> tuple[Value, ...]:
        """The values in force of `COMPARABLE`, in that order; all None without settings."""
        return tuple(in_force(self.run, name) for name in COMPARABLE)

    def value(self, asked: Field) -> Value:
        """The run's value of a field."""
        try:
            return self._values[asked.name]
        except KeyError:
            return self._values.setdefault(asked.name, asked.value(self.run))


def make_line(run: Run, before: Line | None) -> Line:
    """The run's line; `before` itself where nothing changed."""
    return before if before is not None and before.run is run else Line(run)


def same_lines(found: dict[str, Line], before: dict[str, Line]) -> bool:
    """Whether nothing changed since the look before: the lines are the same ones."""
    both = zip(found.values(), before.values(), strict=False)
    return len(found) == len(before) and all(now is then for now, then in both)
