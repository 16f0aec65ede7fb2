"""An additive model of one figure over several factors, and what chance alone would do."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

NORMAL = 1.960
"""97.5 % quantile of the normal distribution."""
STEPS = 300
"""Of the continued fraction at most; a few dozen are usual."""
TINY = 1e-300


def f_tail(ratio: float, between: int, within: int) -> float:
    """P(F >= ratio) for these degrees of freedom, when chance alone is at work."""
    if ratio <= 0:
        return 1.0
    return _beta(within / (within + between * ratio), within / 2, between / 2)


@lru_cache(maxsize=1024)
def student(freedom: int, confidence: float = 0.95) -> float:
    """How many standard errors a two-sided interval of this confidence reaches to each side."""
    low, high = 0.0, 1.0
    while f_tail(high**2, 1, freedom) > 1 - confidence:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if f_tail(middle**2, 1, freedom) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function (Press et al., Numerical Recipes, 6.4)."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = a * math.log(x) + b * math.log1p(-x)
    front += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """Its continued fraction, by Lentz's method."""
    above, below = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value = below
    for m in range(1, STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            below = 1 / _away(1 + term * below)
            above = _away(1 + term / above)
            value *= above * below
        if abs(above * below - 1) < 1e-12:
            break
    return value


def _away(number: float) -> float:
    """The number, kept away from 0."""
    return number if abs(number) > TINY else TINY


Numbers = NDArray[np.float64]
SMALLEST = 1e-9
"""Eigenvalues, and sums of squares, below this share of the largest count as 0."""


class Additive:
    """The model fitted to one figure per run."""

    def __init__(self, figures: Sequence[float], factors: Sequence[Sequence[int]]) -> None:
        self._mean = float(np.mean(figures))
        self._figures = np.asarray(figures, float) - self._mean
        self._levels = [np.asarray(levels) for levels in factors]
        blocks = [_terms(levels) for levels in self._levels]
        columns = np.hstack([np.zeros((len(self._figures), 0)), *blocks])
        self._places = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
        """The factor of each column."""
        self._squares, self._moments = columns.T @ columns, columns.T @ self._figures
        self.total = float(self._figures @ self._figures)
        everything = list(range(len(blocks)))
        sizes, directions = self._spanned(everything)
        self._inverse = (directions / sizes) @ directions.T
        self._terms = self._inverse @ self._moments
        self._rank = len(sizes)
        self.freedom = len(self._figures) - 1 - self._rank
        """Degrees of freedom that are left for the noise."""
        self.missed = self._missed_by(everything)
        """Sum of squares that the model leaves unexplained."""

    @property
    def sd(self) -> float | None:
        """Standard deviation of the noise; None without freedom."""
        return (self.missed / self.freedom) ** 0.5 if self.freedom > 0 else None

    def estimable(self, factor: int) -> bool:
        """Whether its effect can be told apart from those of all others."""
        return self._rank - len(self._spanned(self._but(factor))[0]) == self._wanted(factor)

    def partners(self, factor: int) -> list[int]:
        """The factors each of which, left out, would make this one's effect estimable."""
        found = []
        for other in self._but(factor):
            with_it = len(self._spanned(self._but(other))[0])
            without = len(self._spanned(self._but(factor, other))[0])
            if with_it - without == self._wanted(factor):
                found.append(other)
        return found

    def p(self, factor: int) -> float:
        """The chance of a factor without effect to explain as much as this one (F test)."""
        rest = self._but(factor)
        between = self._rank - len(self._spanned(rest)[0])
        gained = self._missed_by(rest) - self.missed
        if not between or gained <= SMALLEST * self.total:
            return 1.0
        if not self.missed:
            return 0.0
        return f_tail(gained / between / (self.missed / self.freedom), between, self.freedom)

    def means(self, factor: int) -> list[float]:
        """The figure for each of its levels, all else at its average over the runs in force."""
        levels = self._levels[factor]
        inside = levels >= 0
        terms = self._terms[self._places == factor]
        base = self._mean + self._figures[inside].mean() - terms[levels[inside]].mean()
        return [float(base + term) for term in terms]

    def margin(self, factor: int, one: int, other: int) -> float | None:
        """Half width of the 95 % interval of the difference of two levels chosen among all.

        Student's t; as any two may have been chosen, the 5 % are divided by their number
        (Bonferroni).
        """
        if self.freedom < 1:
            return None
        contrast = np.zeros(len(self._terms))
        start = int(np.argmax(self._places == factor))
        contrast[start + one], contrast[start + other] = 1, -1
        levels = self._wanted(factor) + 1
        confidence = 1 - 0.05 / (levels * (levels - 1) / 2)
        error = float(contrast @ self._inverse @ contrast) * self.missed / self.freedom
        return student(self.freedom, confidence) * max(0.0, error) ** 0.5

    def _wanted(self, factor: int) -> int:
        """Dimensions of a factor by itself: one less than its levels."""
        return int((self._places == factor).sum()) - 1

    def _but(self, *left_out: int) -> list[int]:
        return [i for i in range(len(self._levels)) if i not in left_out]

    def _spanned(self, factors: Sequence[int]) -> tuple[Numbers, Numbers]:
        """The eigenvalues above 0 of these factors' sums of squares, and their directions."""
        chosen = np.isin(self._places, factors)
        sizes, directions = np.linalg.eigh(self._squares[np.ix_(chosen, chosen)])
        kept = sizes > SMALLEST * max(sizes, default=0.0)
        return sizes[kept], directions[:, kept]

    def _missed_by(self, factors: Sequence[int]) -> float:
        """The sum of squares that these factors leave unexplained."""
        sizes, directions = self._spanned(factors)
        moments = directions.T @ self._moments[np.isin(self._places, factors)]
        left = self.total - float((moments**2 / sizes).sum())
        return left if left > SMALLEST * self.total else 0.0


def _terms(levels: NDArray[np.int_]) -> Numbers:
    """A column per level: 1 where a run has it, less its share; 0 where not in force."""
    columns = (levels[:, None] == np.arange(levels.max() + 1)).astype(float)
    inside = levels >= 0
    return np.where(inside[:, None], columns - columns[inside].mean(axis=0), 0.0)
