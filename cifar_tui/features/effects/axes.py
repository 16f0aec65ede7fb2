"""Axes of parallel coordinates: where each run stands on each setting and on the figure."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cifar_tui.features.effects.study import MOST_LEVELS, Study, levels, rising
from cifar_tui.features.effects.tables import figure
from cifar_tui.query.fields import Field, Value
from cifar_tui.text import plain

FAN = 0.2
"""Share of a value's stretch of its axis over which its runs are spread, so that each is seen."""
DECADES = 1.5
"""From so many on, positive numbers stand on a log scale."""
MARGIN = 0.02
"""Of an axis, kept free at both ends."""


@dataclass(frozen=True)
class Axis:
    """One setting, or the figure: a place from 0 to 1, and a text, for each run."""

    name: str
    places: tuple[float, ...]
    texts: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]
    """Texts at places of the axis."""
    parts: tuple[int, ...]
    """Which runs are alike on this axis: the same value, or the same range of values."""
    part_texts: tuple[str, ...]


def best_first(study: Study) -> list[int]:
    """The places of the runs in `study.runs`, the best figure first."""
    numbers = range(len(study.figures))
    return sorted(numbers, key=study.figures.__getitem__, reverse=rising(study.metric))


def axes_of(study: Study) -> list[Axis]:
    """The settings, those that matter most first, and the figure as the last axis."""
    order = best_first(study)
    fields = [effect.setting for effect in study.effects]
    found = [_axis(field, [field.value(run) for run in study.runs], order) for field in fields]
    metric = replace(study.metric, show=partial(figure, study.metric))
    return [*found, _axis(metric, study.figures, order)]


def _axis(field: Field, values: Sequence[Value], order: Sequence[int]) -> Axis:
    names, parts = levels(field, values)
    texts = tuple("-" if value is None else plain(field.show(value)) for value in values)
    if -1 in parts:
        names, parts = ["-", *names], [part + 1 for part in parts]
    exact = len(set(values)) <= MOST_LEVELS + 1 or field.kind != "number"
    if exact:
        places = _fanned(parts, len(names), order)
        ticks = [((part + 0.5) / len(names), plain(name)) for part, name in enumerate(names)]
    else:
        places, ticks = _scaled(field, values)
    return Axis(field.name, tuple(places), texts, tuple(ticks), tuple(parts), tuple(names))


def _fanned(parts: Sequence[int], count: int, order: Sequence[int]) -> list[float]:
    """Runs of one value side by side, the best on top."""
    members: dict[int, list[int]] = defaultdict(list)
    for run in reversed(order):
        members[parts[run]].append(run)
    places = [0.0] * len(parts)
    for part, runs in members.items():
        for rank, run in enumerate(runs):
            aside = FAN * (rank / (len(runs) - 1) - 0.5) if len(runs) > 1 else 0.0
            places[run] = (part + 0.5 + aside) / count
    return places


def _scaled(field: Field, values: Sequence[Value]) -> tuple[list[float], list[tuple[float, str]]]:
    """Numbers on a line, or on a log scale; what has none stands at the foot."""
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    wide = low > 0 and math.log10(high / low) >= DECADES
    scale: Callable[[float], float] = math.log if wide else float
    foot = 0.1 if len(known) < len(values) else MARGIN
    room = (1 - MARGIN - foot) / (scale(high) - scale(low))
    places = [
        0.0 if value is None else foot + (scale(value) - scale(low)) * room for value in values
    ]
    ticks = [(1 - MARGIN, plain(field.show(high))), (foot, plain(field.show(low)))]
    return places, [*ticks, (0.0, "-")] if len(known) < len(values) else ticks
