"""An additive model of one figure over several factors, by least squares.

figure = mean + one term per factor + noise. Each factor has a level per run, or -1 where it is not
in force; its terms sum to 0 over the runs in force, so that what it is nested in is compared at its
average. Interplay of factors is not in the model and counts as noise.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cifar_tui.effects.inference import f_tail, student

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
