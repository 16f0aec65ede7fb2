"""Tails and quantiles against printed tables (5 % points of F, two-sided points of Student's t)."""

import pytest

from cifar_tui.features.effects.model import f_tail, student


@pytest.mark.parametrize(
    ("ratio", "between", "within"),
    [(4.965, 1, 10), (3.490, 3, 12), (161.4, 1, 1), (2.606, 3, 1_000_000), (19.16, 3, 2)],
)
def test_the_tail_of_f(ratio: float, between: int, within: int) -> None:
    assert f_tail(ratio, between, within) == pytest.approx(0.05, rel=2e-2)


def test_the_ends_of_the_tail() -> None:
    assert f_tail(0, 3, 10) == 1
    assert 0 <= f_tail(1e9, 3, 300) < 1e-100


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (4, 2.776), (10, 2.228), (120, 1.980)]
)
def test_the_quantiles_of_t(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, abs=1e-3)


def test_more_confidence_reaches_further() -> None:
    assert student(10, 0.99) == pytest.approx(3.169, abs=1e-3)
