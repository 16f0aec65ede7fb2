"""Runs that share some settings as one group: the spread of a figure over them, as over seeds."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.query.fields import FIELDS, Field, Line, Value, find_field, in_order, sort_key
from cifar_tui.query.filter import term_text
from cifar_tui.runs.events import LARGEST_FIGURE
from cifar_tui.runs.listing import Run
from cifar_tui.spec.checks import SETTINGS
from cifar_tui.spec.naming import brief, model_name
from cifar_tui.text import plain

STATS = ("n", "mean", "std", "min", "max")


@dataclass(frozen=True)
class Group:
    """The runs with these settings, and a metric's value in those that have one.

    Runs on the synthetic demo set are never in one group with others.
    """

    settings: dict[str, Value]
    metric: Field
    runs: tuple[Run, ...]
    synthetic: bool = False
    mixed: bool = False
    """Whether there are groups of demo runs and of others."""

    @cached_property
    def values(self) -> list[float]:
        """The metric in each run that has it."""
        found = map(self.metric.value, self.runs)
        return [value for value in found if value is not None and abs(value) < LARGEST_FIGURE]

    @property
    def n(self) -> int:
        """How many runs have the metric."""
        return len(self.values)

    @property
    def mean(self) -> float | None:
        """Mean over the runs; None without any."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def std(self) -> float | None:
        """Standard deviation over the runs, from n - 1; None below two."""
        return statistics.stdev(self.values) if self.n > 1 else None

    @property
    def min(self) -> float | None:
        """The smallest value."""
        return min(self.values, default=None)

    @property
    def max(self) -> float | None:
        """The largest value."""
        return max(self.values, default=None)

    @property
    def title(self) -> str:
        """Its settings that are in force on one short line: `lr 0.1 bn`."""
        known = {name: value for name, value in self.settings.items() if value not in (None, ())}
        return self._line(known) or " ".join(f"{name} -" for name in self.settings)

    @property
    def short_title(self) -> str:
        """The same without the settings that are as by default, but for the model."""
        differing = {
            name: value
            for name, value in self.settings.items()
            if value not in (None, ())
            and (
                name in ("model", "depth")
                or name not in SETTINGS
                or value != SETTINGS[name].default
            )
        }
        return self._line(differing) or self.title

    def _line(self, settings: dict[str, Value]) -> str:
        words = [model_name(settings)] if "model" in settings else []
        for name, value in settings.items():
            if name == "depth" and "model" not in settings:
                words.append(f"depth {value}")
            elif FIELDS[name].setting:
                words.append(brief({name: value}))
            else:
                words.append(f"{name} {FIELDS[name].show(value)}")
        words += ["demo"] if self.synthetic else []
        return plain(" ".join(filter(None, words)))

    @property
    def query(self) -> str:
        """The filter that finds its runs."""
        terms = [term_text(FIELDS[name], value) for name, value in self.settings.items()]
        if self.mixed:
            terms.append("images=demo" if self.synthetic else "-images=demo")
        return " ".join(terms)

    def text(self, stat: str) -> str:
        """One of `STATS` as people read it."""
        value = getattr(self, stat)
        if stat == "n":
            return str(value)
        return "-" if value is None else self.metric.show(value)

    def words(self) -> str:
        """The group on one line: `lr 0.1 bn  n 3  mean 0.7102 std 0.0021 min 0.7080 max 0.7121`."""
        return f"{self.title}  n {self.n}  {self.figures}"

    @property
    def figures(self) -> str:
        """The metric's spread: `mean 0.7102 std 0.0021 min 0.7080 max 0.7121`."""
        return " ".join(f"{stat} {self.text(stat)}" for stat in STATS[1:])

    def to_dict(self) -> dict[str, Any]:
        """The group for programs."""
        return {
            "settings": self.settings,
            "metric": self.metric.name,
            **{stat: getattr(self, stat) for stat in STATS},
            "synthetic": self.synthetic,
            "runs": [run.id for run in self.runs],
        }


def group_runs(lines: Iterable[Line], by: Sequence[Field], metric: Field) -> list[Group]:
    """The readable runs in groups that share the fields in `by`, the best mean first.

    Those whose settings were edited after epochs were trained with others belong to none.
    """
    found: dict[tuple[Value, ...], list[Run]] = {}
    for line in lines:
        if line.run.spec is not None and not line.run.edited:
            key = (line.run.synthetic, *map(line.value, by))
            found.setdefault(key, []).append(line.run)
    names = [field.name for field in by]
    mixed = len({synthetic for synthetic, *_ in found}) > 1
    groups = [
        Group(dict(zip(names, key[1:], strict=True)), metric, tuple(members), key[0], mixed)
        for key, members in found.items()
    ]
    return sorted_groups(groups, "mean", metric.falling)


def sorted_groups(groups: Iterable[Group], stat: str, largest_first: bool) -> list[Group]:
    """The groups sorted by one of `STATS`, or by `group`, their settings; raises UserError."""
    if stat == "group":
        return in_order(groups, _by_settings, largest_first)
    if stat not in STATS:
        allowed = ", ".join(("group", *STATS[:-1]))
        raise UserError(f"Groups sort by {allowed} or {STATS[-1]}; got '{plain(stat)}'.")
    return in_order(groups, lambda group: getattr(group, stat), largest_first)


def find_metric(name: str) -> Field:
    """The field of that name, if groups can have its mean; raises UserError."""
    field = find_field(name)
    if field.kind != "number":
        raise UserError(f"{field.name} is no number; groups need one, like val_acc.")
    return field


def find_groups(names: Iterable[str]) -> list[Field]:
    """The fields of these names, if runs can be grouped by them; raises UserError."""
    fields = list(dict.fromkeys(map(find_field, names)))
    for field in fields:
        if not field.setting and field.kind in ("number", "time"):
            raise UserError(f"{field.name} was measured; runs are grouped by settings, like lr.")
    return fields


def _by_settings(group: Group) -> tuple[Any, ...]:
    """Sorts by one setting after the other, those without a value last."""
    return tuple(
        (value is None, 0 if value is None else sort_key(value))
        for value in group.settings.values()
    )
