"""What can be asked of a run: every setting, figure and note by name, declared once.

Columns, sorting, filters, groups and tables for programs all speak of these fields.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from cifar_tui.errors import UserError
from cifar_tui.formats import accuracy, clock, learning_rate, loss, plain
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import Point, started_at
from cifar_tui.settings import SETTINGS, Setting, changed, format_value
from cifar_tui.spec import RunSpec
from cifar_tui.wording import brief, model_name

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

    def text(self, run: Run) -> str:
        """The run's value as people read it; a dash where there is none."""
        value = self.value(run)
        return "-" if value is None else plain(self.show(value))


def settings_text(run: Run) -> str:
    """What differs from the defaults, or the model's name; for an unreadable run, its problem."""
    if run.spec is None:
        return run.problem
    values = changed(run.spec)
    model = model_name(run.spec.model_dump())
    if "model" in values or not values:
        return f"{model} {brief(values)}".strip()
    return brief(values)


def in_force(run: Run, name: str) -> Value:
    """A setting's value; None where it has no effect beside the run's other settings."""
    if run.spec is None or not _applies(SETTINGS[name], run.spec):
        return None
    return getattr(run.spec, name)


def _applies(setting: Setting, spec: RunSpec) -> bool:
    return all(getattr(spec, name) in allowed for name, allowed in setting.extra["when"].items())


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
    return Field(name, kind, help, lambda run: in_force(run, name), show, width, setting=True)


def _point_field(name: str, metric: str, at: Literal["best", "last"]) -> Field:
    show = accuracy if metric.endswith("acc") else loss

    def value(run: Run) -> Value:
        point: Point | None = getattr(run.summary, at)
        return None if point is None else getattr(point, metric)

    where = "at the best epoch" if at == "best" else "after the last epoch"
    falling = metric.endswith("acc")
    return Field(name, "number", f"{metric} {where}", value, show, max(len(name), 8) + 1, falling)


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
    Field("status", "word", "What became of it", lambda run: run.status, width=14),
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
    Field("time", "number", "Seconds from start to end", _seconds, clock, 9, True),
    Field("epoch_time", "number", "Seconds per epoch", _speed, "{:.1f}".format, 11),
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
    name: _setting_field(setting)
    for name, setting in SETTINGS.items()
    if name not in ("name", "tags")
}
"""Every field by name, the run's own first, then the settings in the order of declaration."""

ALIASES = {
    "acc": "val_acc",
    "age": "started",
    "aug": "augment",
    "best": "val_acc",
    "bn": "batch_norm",
    "loss": "val_loss",
    "tags": "tag",
    "wd": "l2",
    "weight_decay": "l2",
}
"""Other words that people use for a field."""


def find_field(name: str) -> Field:
    """The field of that name or alias, in any case, dashes for underscores; raises UserError."""
    wanted = name.casefold().replace("-", "_")
    wanted = ALIASES.get(wanted, wanted)
    if wanted in FIELDS:
        return FIELDS[wanted]
    near = get_close_matches(wanted, FIELDS, n=1)
    hint = f"did you mean {near[0]}?" if near else "`cifar-tui runs fields` lists what there is."
    raise UserError(f"There is no field '{plain(name)}'; {hint}")


def sort_key(value: Value) -> Any:
    """What a value sorts by: words without regard to case."""
    return value.casefold() if isinstance(value, str) else value


def varying(runs: list[Run]) -> list[Field]:
    """The settings that are not the same in all runs, but for names, tags, device and images."""
    aside = ("data", "device", "val_batch_size")
    return [
        field
        for field in FIELDS.values()
        if field.setting and field.name not in aside and len({field.value(run) for run in runs}) > 1
    ]
