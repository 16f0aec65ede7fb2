"""What tells runs apart: the settings that vary among them, and those that all of them share."""

from collections.abc import Iterable
from typing import Any

from cifar_tui.query.fields import COMPARABLE, FIELDS, Field, Line
from cifar_tui.spec.checks import SETTINGS, with_role
from cifar_tui.spec.naming import brief, model_name


def telling(lines: Iterable[Line]) -> list[Field]:
    """The settings that vary among readable runs, those with the most values first, seeds last.

    One that is merely not in force in some runs, and the default in the others, does not vary.
    """
    found = {}
    for name, values in _values(lines).items():
        known = values - {None}
        if len(known) > 1 or (len(values) > 1 and known != {SETTINGS[name].default}):
            found[name] = len(values)
    repeats = with_role("repeat")
    return [FIELDS[n] for n in sorted(found, key=lambda n: (n in repeats, -found[n]))]


def shared(lines: Iterable[Line]) -> str:
    """What readable runs have in common: `simplenn epochs 3`, the model and no other defaults."""
    same: dict[str, Any] = {}
    for name, values in _values(lines).items():
        if len(values) == 1 and (value := next(iter(values))) is not None:
            same[name] = value
    model = model_name(same) if "model" in same else ""
    rest = {n: v for n, v in same.items() if v != SETTINGS[n].default}
    return f"{model} {brief(rest)}".strip()


def _values(lines: Iterable[Line]) -> dict[str, set[Any]]:
    """The values of each setting in these runs; None where it is not in force."""
    columns = zip(*(line.settings for line in lines if line.run.spec is not None), strict=True)
    return dict(zip(COMPARABLE, map(set, columns), strict=False))
