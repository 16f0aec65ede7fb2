"""What mattered: how much a figure of some runs depends on each setting that varies among them."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.features.effects.model import student
from cifar_tui.features.effects.verdicts import VERDICTS, Factor, Judgement, Noise, judge, noise
from cifar_tui.query.fields import METRICS, Field, Value, find_field, sort_key, varying
from cifar_tui.runs.listing import Run
from cifar_tui.spec.checks import identity, with_role
from cifar_tui.spec.settings import RunSpec

MOST_LEVELS = 8
"""A number with more values than this is taken in RANGES ranges of about as many runs each."""
RANGES = 4
FROM_ELSEWHERE = "imported"
"""The reason of runs whose training nobody here has seen: their settings are guesses."""


@dataclass(frozen=True)
class Level:
    """One value of a setting, or a range of them, with the figures of its runs."""

    text: str
    figures: tuple[float, ...]
    diverged: int
    adjusted: float | None = None
    """The mean with all other settings at their average."""

    @property
    def mean(self) -> float | None:
        """The mean as it is; None without figures."""
        return fmean(self.figures) if self.figures else None

    @property
    def sd(self) -> float | None:
        """The standard deviation; None for fewer than two runs."""
        return stdev(self.figures) if len(self.figures) > 1 else None

    @property
    def margin(self) -> float | None:
        """Half width of the mean's 95 % interval (Student's t); None for fewer than two runs."""
        if self.sd is None:
            return None
        return student(len(self.figures) - 1) * self.sd / len(self.figures) ** 0.5

    def to_dict(self) -> dict[str, Any]:
        return {
            "value": self.text,
            "n": len(self.figures),
            "diverged": self.diverged,
            "mean": self.mean,
            "std": self.sd,
            "margin": self.margin,
            "adjusted_mean": self.adjusted,
        }


@dataclass(frozen=True)
class Effect:
    """What one setting does to the figure."""

    setting: Field
    levels: tuple[Level, ...]
    found: Judgement

    @property
    def measured(self) -> tuple[Level, ...]:
        """The levels that have figures."""
        return tuple(level for level in self.levels if level.figures)

    @property
    def best(self) -> str:
        """The value with the best mean; empty where nothing can be said."""
        return "" if self.found.best is None else self.measured[self.found.best].text

    @property
    def range(self) -> str:
        """From the first to the last of the values that were compared."""
        first, last = self.measured[0].text, self.measured[-1].text
        if self.setting.kind != "number":
            return ", ".join(level.text for level in self.measured)
        return f"{first.split('..')[0]}..{last.split('..')[-1]}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "setting": self.setting.name,
            "effect": self.found.spread,
            "margin": self.found.margin,
            "best": self.best or None,
            "verdict": self.found.verdict,
            "why": self.found.why,
            "p": self.found.p,
            "adjusted": bool(self.found.means),
            "rank_correlation": self.found.rho,
            "rank_correlation_p": self.found.rho_p,
            "changes_with": list(self.found.together),
            "values": [level.to_dict() for level in self.levels],
        }


@dataclass(frozen=True)
class Study:
    """The effects of all settings that vary in some runs on the same images, clear ones first."""

    images: str
    metric: Field
    runs: tuple[Run, ...]
    """Those that have the figure."""
    figures: tuple[float, ...]
    effects: tuple[Effect, ...]
    diverged: int
    """How many diverged, with a figure or without."""
    left_out: Mapping[str, int]
    """Why runs do not count, and how many."""
    noise: Noise

    def to_dict(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "synthetic": self.images == "demo",
            "metric": self.metric.name,
            "runs": len(self.runs),
            "diverged": self.diverged,
            "left_out": dict(self.left_out),
            "std_over_seeds": self.noise.repeated,
            "std_unexplained": self.noise.missed,
            "interplay": self.noise.interplay,
            "settings": [effect.to_dict() for effect in self.effects],
        }


def find_metric(name: str) -> Field:
    """The figure of that name; raises UserError for what is no figure of a run."""
    field = find_field(name)
    if field.setting or field.kind != "number":
        known = ", ".join([*METRICS, *(f"last_{metric}" for metric in METRICS)])
        raise UserError(f"{field.name} is not a figure that runs end with; {known} are.")
    return field


def rising(metric: Field) -> bool:
    """Whether the larger figure is the better one."""
    return metric.name.endswith("acc")


def figure_of(run: Run, metric: Field) -> float | None:
    """The run's figure; None where there is none, or none that is finite."""
    value = metric.value(run)
    return float(value) if value is not None and math.isfinite(value) else None


def studies(runs: Sequence[Run], metric: str = "val_acc") -> list[Study]:
    """One study per kind of images, real ones first: figures on different images never mix."""
    field = find_metric(metric)
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.summary.source].append(run)
    unknown = groups.pop("", []) if len(groups) > 1 else []
    ordered = sorted(groups, key=lambda images: (images == "demo", -len(groups[images])))
    found = [_study(images, groups[images], field) for images in ordered]
    if unknown:
        aside = _sifted(unknown, field)[1]
        found[0] = replace(found[0], left_out=Counter(found[0].left_out) + aside)
    return found


def _study(images: str, runs: Sequence[Run], metric: Field) -> Study:
    taken, left_out = _sifted(runs, metric)
    figures = [figure_of(run, metric) for run in taken]
    kept = [i for i, figure in enumerate(figures) if figure is not None]
    known = tuple(figure for figure in figures if figure is not None)
    settings = [f for f in varying(taken) if f.name not in with_role("repeat")]
    values = {field.name: [field.value(run) for run in taken] for field in settings}
    split = {field.name: levels(field, values[field.name]) for field in settings}
    settings = [field for field in settings if len(split[field.name][0]) > 1]
    factors = [_factor(f, values[f.name], split[f.name][1], kept) for f in settings]
    cells = list(zip(*values.values(), strict=True)) or [()] * len(taken)
    effects = [
        Effect(field, _filled(*split[field.name], taken, figures, judged.means), judged)
        for field, judged in zip(settings, judge(known, factors, rising(metric)), strict=True)
    ]
    effects.sort(key=lambda e: (VERDICTS.index(e.found.verdict), -(e.found.spread or 0)))
    return Study(
        images,
        metric,
        tuple(taken[i] for i in kept),
        known,
        tuple(effects),
        sum(run.status == "diverged" for run in taken),
        left_out,
        noise(known, factors, [cells[i] for i in kept]),
    )


def _sifted(runs: Sequence[Run], metric: Field) -> tuple[list[Run], Counter[str]]:
    """The runs that count, and why the others do not.

    Those that diverged count, with or without a figure; a run that repeats another one exactly,
    with the same seed, would only look like evidence.
    """
    taken: dict[object, Run] = {}
    left_out: Counter[str] = Counter()
    for run in runs:
        reason = _reason(run, metric)
        key = (*_identity(run.spec), figure_of(run, metric)) if run.spec else run.id
        if not reason and key in taken:
            reason = "the same as another, seed and all"
        if reason:
            left_out[reason] += 1
        else:
            taken[key] = run
    return list(taken.values()), left_out


def _reason(run: Run, metric: Field) -> str:
    """Why a run does not count; empty if it does."""
    summary = run.summary
    whole = run.status == "finished" or 0 < summary.epochs <= summary.epochs_done
    if run.spec is None:
        return "unreadable"
    if run.edited:
        return "edited after training"
    if summary.reason == FROM_ELSEWHERE:
        return FROM_ELSEWHERE
    if run.status == "diverged":
        return ""
    if not whole:
        return run.status
    return "" if figure_of(run, metric) is not None else f"without {metric.name}"


def _identity(spec: RunSpec) -> tuple[object, ...]:
    """Everything that decides a run's figures."""
    return identity(spec), *(getattr(spec, name) for name in with_role("repeat"))


def levels(field: Field, values: Sequence[Value]) -> tuple[list[str], list[int]]:
    """The texts of a setting's values in order, and the place of each run's; -1 for no value."""
    known = sorted((value for value in values if value is not None), key=sort_key)
    different = list(dict.fromkeys(known))
    if field.kind == "number" and len(different) > MOST_LEVELS:
        return _ranges(field, values, known)
    texts = [field.show(value) for value in different]
    return texts, [-1 if value is None else different.index(value) for value in values]


def _ranges(
    field: Field, values: Sequence[Value], known: Sequence[Value]
) -> tuple[list[str], list[int]]:
    """The same for ranges that hold about as many runs each; equal values share one."""
    count = Counter(known)
    before, wanted = 0, {}
    for value in dict.fromkeys(known):
        wanted[value] = int((before + count[value] / 2) / len(known) * RANGES)
        before += count[value]
    used = sorted(set(wanted.values()))
    members = [[value for value in wanted if wanted[value] == place] for place in used]
    texts = [
        field.show(m[0]) if len(m) == 1 else f"{field.show(m[0])}..{field.show(m[-1])}"
        for m in members
    ]
    return texts, [-1 if value is None else used.index(wanted[value]) for value in values]


def _factor(
    field: Field, values: Sequence[Value], places: Sequence[int], kept: Sequence[int]
) -> Factor:
    """The setting among the runs that have the figure, its levels numbered without gaps."""
    used = sorted({places[i] for i in kept} - {-1})
    levels = tuple(used.index(places[i]) if places[i] >= 0 else -1 for i in kept)
    numbers = tuple(values[i] for i in kept) if field.kind == "number" else None
    return Factor(field.name, levels, numbers)


def _filled(
    texts: Sequence[str],
    places: Sequence[int],
    runs: Sequence[Run],
    figures: Sequence[float | None],
    means: Sequence[float],
) -> tuple[Level, ...]:
    """Each level with its runs' figures; `means` has one for each that has figures, or none."""
    own: list[list[float]] = [[] for _ in texts]
    diverged = [0] * len(texts)
    for place, run, figure in zip(places, runs, figures, strict=True):
        if place >= 0:
            diverged[place] += run.status == "diverged"
            if figure is not None:
                own[place].append(figure)
    left = iter(means)
    return tuple(
        Level(text, tuple(mine), bad, next(left, None) if mine else None)
        for text, mine, bad in zip(texts, own, diverged, strict=True)
    )
