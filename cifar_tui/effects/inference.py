"""What chance alone would do: the tail of F and the quantiles of Student's t, without a library."""

import math
from functools import lru_cache

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
