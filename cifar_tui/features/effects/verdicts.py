"""How sure it is that a factor matters: effects of several factors on one figure, judged together.

An effect is the distance between the means of a factor's best and worst level. Where runs are
enough, these are the means of the additive model over all factors, so that each is adjusted for the
others, and its p is the F test's; else each factor is taken by itself. Where every level has one
run, a rank correlation decides. A verdict is clear when p, corrected for the number of factors
(Holm 1979), lies below 0.05.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import variance
from typing import Literal

import numpy as np

from cifar_tui.features.effects.model import Additive, Numbers, f_tail

FEWEST = 5
"""With fewer runs nothing is said."""
LEAST_FREEDOM = 3
"""The fewest degrees of freedom that must be left for the noise."""
CHANCE, UNASKED = 0.05, 0.01
"""From which p on a thing is called chance: what was asked about, and what comes up besides."""
SHUFFLES, SHUFFLED = 2000, 50
"""Up to SHUFFLED runs, a rank correlation is compared with those of SHUFFLES shuffled orders."""

Verdict = Literal["clear", "unclear", "could be chance", "confounded", "too few runs"]
VERDICTS: tuple[Verdict, ...] = (
    *("clear", "confounded", "unclear"),
    *("could be chance", "too few runs"),
)
"""In the order in which people want to see them."""


Split = tuple[int, ...]
"""Which runs share a level."""


@dataclass(frozen=True)
class Factor:
    """A setting among the runs that have the figure."""

    name: str
    levels: tuple[int, ...]
    """Which of its levels each run has, from 0 without gaps; -1 where it is not in force."""
    numbers: tuple[float | None, ...] | None = None
    """Its values, if they are numbers."""

    @property
    def count(self) -> int:
        """How many levels there are."""
        return max(self.levels, default=-1) + 1

    @property
    def repeated(self) -> bool:
        """Whether some level has several runs."""
        return Counter(level for level in self.levels if level >= 0).most_common(1)[0][1] > 1

    @cached_property
    def split(self) -> Split:
        """Which runs share a level, the same for all factors that split the runs alike."""
        seen: dict[int, int] = {}
        return tuple(seen.setdefault(level, len(seen)) for level in self.levels)

    def alone(self, figures: Sequence[float]) -> "tuple[list[float], Factor]":
        """The figures of the runs where it is in force, and the factor among these."""
        inside = [i for i, level in enumerate(self.levels) if level >= 0]
        numbers = tuple(self.numbers[i] for i in inside) if self.numbers else None
        factor = Factor(self.name, tuple(self.levels[i] for i in inside), numbers)
        return [figures[i] for i in inside], factor


@dataclass(frozen=True)
class Judgement:
    """What one factor does to the figure, and how sure that is."""

    verdict: Verdict = "too few runs"
    why: str = ""
    spread: float | None = None
    """Distance between the means of its best and its worst level."""
    margin: float | None = None
    """Half width of the spread's 95 % interval, corrected for choosing the two among all."""
    best: int | None = None
    means: tuple[float, ...] = ()
    """Of each level, all other factors at their average; none where not adjusted."""
    p: float | None = None
    """The chance of a factor without effect to do as much; not yet corrected."""
    rho: float | None = None
    """Spearman's rank correlation with the figure, for numbers."""
    rho_p: float | None = None
    together: tuple[str, ...] = ()
    """The factors that always change with it."""


def judge(figures: Sequence[float], factors: Sequence[Factor], rising: bool) -> list[Judgement]:
    """One judgement per factor; `rising` says that a larger figure is the better one."""
    if len(figures) < FEWEST:
        return [Judgement(why=_too_few(len(figures))) for _ in factors]
    found = [_judge_one(figures, factor, factors, rising) for factor in factors]
    splits = [factor.split for factor in factors]
    asked = {s: one.p for s, one in zip(splits, found, strict=True) if one.p is not None}
    corrected = _holm(asked)
    return [
        one if one.p is None else _with_verdict(one, corrected[split], len(asked))
        for split, one in zip(splits, found, strict=True)
    ]


@dataclass(frozen=True)
class Noise:
    """How much runs vary for no reason that the additive model knows."""

    repeated: float | None = None
    """Standard deviation between runs of the same settings; None without such runs."""
    missed: float | None = None
    """Standard deviation that the model leaves; None where runs are too few for it."""
    interplay: bool = False
    """Whether the model misses clearly more than repeated runs vary (F test of lack of fit)."""


def noise(figures: Sequence[float], factors: Sequence[Factor], cells: Sequence[object]) -> Noise:
    """What is left unexplained; runs of the same settings share a cell."""
    if len(figures) < FEWEST:
        return Noise()
    groups: dict[object, list[float]] = defaultdict(list)
    for cell, figure in zip(cells, figures, strict=True):
        groups[cell].append(figure)
    freedom = len(figures) - len(groups)
    squares = sum(variance(g) * (len(g) - 1) for g in groups.values() if len(g) > 1)
    repeated = (squares / freedom) ** 0.5 if freedom else None
    model = Additive(figures, [factor.levels for factor in _distinct(factors)])
    if model.freedom < LEAST_FREEDOM:
        return Noise(repeated)
    more, lacking = model.freedom - freedom, model.missed - squares
    if not repeated or more <= 0 or lacking <= 0:
        return Noise(repeated, model.sd)
    chance = f_tail(lacking / more / repeated**2, more, freedom)
    return Noise(repeated, model.sd, chance < UNASKED)


def _too_few(runs: int) -> str:
    return f"too few runs to say: {runs}, at least {FEWEST} are needed"


def _judge_one(
    figures: Sequence[float], factor: Factor, factors: Sequence[Factor], rising: bool
) -> Judgement:
    own, alone = factor.alone(figures)
    if alone.count < 2:
        return Judgement(why="only one of its values has the figure")
    rho, rho_p = rank_correlation(alone.numbers, own) if alone.numbers else (None, None)
    known = Judgement(rho=rho, rho_p=rho_p)
    if len(own) < FEWEST:
        return replace(known, why=_too_few(len(own)))
    split = factor.split
    others = [other for other in _distinct(factors) if other.split != split]
    model = Additive(figures, [factor.levels, *(other.levels for other in others)])
    adjusted = model.freedom >= LEAST_FREEDOM
    by_itself = Additive(own, [alone.levels])
    if adjusted and not model.estimable(0):
        names = [others[i - 1].name for i in model.partners(0)]
        known = replace(known, verdict="confounded", why=_confounded(names))
        return _of_model(by_itself, known, rising)
    if factor.repeated:
        same = [f.name for f in factors if f is not factor and f.split == split]
        known = replace(known, together=tuple(same))
    used = model if adjusted else by_itself
    found = _of_model(used, known, rising)
    if used.freedom > 0:
        found = replace(found, p=used.p(0))
    elif rho_p is not None:
        found = replace(found, p=rho_p)
    else:
        found = replace(found, why="too few runs to say: repeat them with other seeds")
    return replace(found, means=tuple(used.means(0)) if adjusted else ())


def _of_model(model: Additive, known: Judgement, rising: bool) -> Judgement:
    """Which level of the model's first factor is best, and how far the worst lies from it."""
    means = model.means(0)
    order = sorted(range(len(means)), key=means.__getitem__, reverse=rising)
    best, worst = order[0], order[-1]
    margin = model.margin(0, best, worst)
    return replace(known, best=best, spread=abs(means[best] - means[worst]), margin=margin)


def _confounded(others: Sequence[str]) -> str:
    partners = " or ".join(others) or "the other settings together"
    return f"its effect cannot be told apart from that of {partners} in these runs"


def _distinct(factors: Sequence[Factor]) -> list[Factor]:
    """One of each set of factors that split the runs alike; none without two levels."""
    found: dict[Split, Factor] = {}
    for factor in factors:
        if factor.count > 1:
            found.setdefault(factor.split, factor)
    return list(found.values())


def _holm(chances: Mapping[Split, float]) -> dict[Split, float]:
    """Each p corrected for how many were asked for (Holm 1979)."""
    found: dict[Split, float] = {}
    least = 0.0
    for place, split in enumerate(sorted(chances, key=chances.__getitem__)):
        least = max(least, min(1.0, (len(chances) - place) * chances[split]))
        found[split] = least
    return found


def _with_verdict(one: Judgement, corrected: float, asked: int) -> Judgement:
    assert one.p is not None
    verdict: Verdict = "could be chance"
    many = f" ({_chance(corrected)} corrected for {asked} settings)" if asked > 1 else ""
    why = f"p {_chance(one.p)}{many}"
    if corrected < CHANCE:
        verdict = "clear"
    elif one.p < CHANCE:
        verdict = "unclear"
    if one.together:
        why = (
            f"changes together with {' and '.join(one.together)} here, not to be told apart; {why}"
        )
    return replace(one, verdict=verdict, why=why)


def _chance(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def rank_correlation(
    numbers: Sequence[float | None], figures: Sequence[float]
) -> tuple[float | None, float | None]:
    """Spearman's rank correlation, ties at their middle rank, and its two-sided p.

    None where one side is constant. Few runs are compared with shuffled ones, always the same;
    for more, p is that of Student's t with n - 2 degrees of freedom.
    """
    one, other = _ranks(np.asarray(numbers, float)), _ranks(np.asarray(figures, float))
    scale = float(np.sqrt((one @ one) * (other @ other)))
    if not scale:
        return None, None
    rho, runs = float(one @ other) / scale, len(one)
    if runs <= SHUFFLED:
        shuffled = np.random.default_rng(0).permuted(np.tile(other, (SHUFFLES, 1)), axis=1)
        as_much = np.abs(shuffled @ one) >= abs(rho) * scale * (1 - 1e-9)
        return rho, (1 + int(as_much.sum())) / (1 + SHUFFLES)
    return rho, f_tail(rho**2 * (runs - 2) / max(1 - rho**2, 1e-300), 1, runs - 2)


def _ranks(values: Numbers) -> Numbers:
    """Ranks about their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks - ranks.mean()
