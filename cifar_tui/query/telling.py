"""What tells runs apart: the settings that vary among them, and those that all of them share."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from cifar_tui.query.fields import COMPARABLE, FIELDS, Field, Line
from cifar_tui.spec.checks import SETTINGS, with_role
from cifar_tui.spec.naming import brief, model_name

FEW = 0.1
"""Of the runs, those in which a setting varies that tells less than a seed does."""


def telling(lines: Iterable[Line]) -> list[Field]:
    """The settings that vary among readable runs, those first in which most are unlike the others.

    Seeds come after the settings that vary in more than a few runs. One that is merely not in force
    in some runs, and the default in the others, does not vary.
    """
    found, runs = {}, 0
    for name, values in _values(lines).items():
        known = values.keys() - {None}
        if len(known) > 1 or (len(values) > 1 and known != {SETTINGS[name].default}):
            runs = values.total()
            found[name] = (runs - max(values.values()), len(values))
    order = sorted(found, key=found.__getitem__, reverse=True)
    often = [name for name in order if found[name][0] >= FEW * runs]
    repeats = with_role("repeat")
    return [FIELDS[name] for name in sorted(order, key=lambda n: (n not in often, n in repeats))]


def enough(lines: Sequence[Line], aside: Collection[str] = ()) -> tuple[list[Field], list[Field]]:
    """The settings that vary, but for those set aside: those that tell all runs apart, the rest."""
    found: list[Field] = []
    rest: list[Field] = []
    kinds = 1
    for field in telling(lines):
        if field.name not in aside:
            more = len({words(line, [*found, field]) for line in lines})
            (found if more > kinds else rest).append(field)
            kinds = max(kinds, more)
    return found, rest


def words(line: Line, fields: Iterable[Field]) -> str:
    """A run's values of these settings: `resnet20 lr 0.1 bn`, with `no bn` only where alone."""
    values = {f.name: value for f in fields if (value := line.value(f)) is not None}
    said = {n: v for n, v in values.items() if v is not False or SETTINGS[n].default} or values
    named = line.run.spec is not None and not {"model", "depth"}.isdisjoint(values)
    model = model_name(vars(line.run.spec)) if named else ""
    return f"{model} {brief(said)}".strip()


def shared(lines: Iterable[Line]) -> str:
    """What readable runs have in common: `simplenn epochs 3`, the model and no other defaults."""
    same: dict[str, Any] = {}
    for name, values in _values(lines).items():
        if len(values) == 1 and (value := next(iter(values))) is not None:
            same[name] = value
    model = model_name(same) if "model" in same else ""
    rest = {n: v for n, v in same.items() if v != SETTINGS[n].default}
    return f"{model} {brief(rest)}".strip()


def _values(lines: Iterable[Line]) -> dict[str, Counter[Any]]:
    """How many of these runs have which value of each setting; None where it is not in force."""
    columns = zip(*(line.settings for line in lines if line.run.spec is not None), strict=True)
    return dict(zip(COMPARABLE, map(Counter, columns), strict=False))
