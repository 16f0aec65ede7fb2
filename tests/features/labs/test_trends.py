"""Trends: true on the figures of the report, open without figures, settled by spread alone."""

from collections.abc import Sequence

import pytest

from cifar_tui.features.labs.assignment import LABS
from cifar_tui.features.labs.experiments import Lab
from cifar_tui.features.labs.trends import (
    Figures,
    Finding,
    Trend,
    all_of,
    beats,
    interior_peak,
    reaches,
    sooner,
    stays_below,
    suffers_less,
)
from cifar_tui.text import accuracy


def find(trend: Trend, **values: Sequence[float]) -> Finding | None:
    return trend(Figures(values, dict.fromkeys(values, 0.01), accuracy))


def holds(trend: Trend, **values: Sequence[float]) -> tuple[bool, bool]:
    found = find(trend, **values)
    assert found is not None
    return found.holds, found.settled


@pytest.mark.parametrize(
    "lab", [lab for lab in LABS if lab.arms[0].report is not None], ids=lambda lab: lab.name
)
def test_every_trend_holds_for_the_figures_of_the_report(lab: Lab) -> None:
    figures = {arm.label: (arm.report,) for arm in lab.arms if arm.report is not None}
    found = lab.trend(Figures(figures, lab.seed_sds, lab.measure.show))
    assert found is not None and found.holds == lab.expected, found


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_a_trend_names_settings_that_exist_and_is_open_without_figures(lab: Lab) -> None:
    assert lab.trend(Figures({}, {}, accuracy)) is None
    every = {arm.label: (0.5,) for arm in lab.arms}
    assert lab.trend(Figures(every, lab.seed_sds, accuracy)) is not None


def test_one_seed_each_settles_only_what_a_point_of_spread_cannot_explain() -> None:
    trend = beats("a", "b")
    assert holds(trend, a=(0.72,), b=(0.70,)) == (True, False)
    assert holds(trend, a=(0.74,), b=(0.70,)) == (True, True)
    assert holds(trend, a=(0.70,), b=(0.74,)) == (False, True)


def test_with_more_seeds_their_own_spread_decides() -> None:
    trend = beats("a", "b")
    close = {"a": (0.721, 0.720, 0.722), "b": (0.711, 0.710, 0.712)}
    wide = {"a": (0.72, 0.60, 0.84), "b": (0.62, 0.50, 0.74)}
    assert holds(trend, **close) == (True, True)
    assert holds(trend, **wide) == (True, False)
    # Student's t for 4 degrees of freedom, by hand: 2.776 * 0.001 * sqrt(2 / 3).
    margin = Figures(close, {}, accuracy).margin({"a": 1, "b": -1})
    assert margin == pytest.approx(2.776 * 0.001 * (2 / 3) ** 0.5, rel=1e-3)


def test_a_difference_must_exceed_what_is_asked() -> None:
    assert holds(beats("a", "b", by=0.1), a=(0.88,), b=(0.71,)) == (True, True)
    assert holds(beats("a", "b", by=0.1), a=(0.80,), b=(0.74,)) == (False, True)


def test_bars_and_ceilings() -> None:
    assert holds(reaches("a", 0.9), a=(0.93,)) == (True, True)
    assert holds(reaches("a", 0.9), a=(0.905,)) == (True, False)
    assert holds(stays_below("a", 0.2), a=(0.1,)) == (True, True)
    assert holds(stays_below("a", 0.2), a=(0.3,)) == (False, True)
    assert holds(sooner("a", "b"), a=(0.1,), b=(0.5,)) == (True, True)


def test_suffering_less_compares_two_losses() -> None:
    trend = suffers_less(robust=("a", "b"), fragile=("c", "d"))
    assert holds(trend, a=(0.72,), b=(0.69,), c=(0.71,), d=(0.49,)) == (True, True)
    assert holds(trend, a=(0.72,), b=(0.60,), c=(0.71,), d=(0.69,)) == (False, True)
    assert find(trend, a=(0.72,), b=(0.69,), c=(0.71,)) is None


PEAK = interior_peak("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ((0.1, 0.6, 0.7, 0.6), (True, True)),
        ((0.1, 0.7, 0.71, 0.705), (True, False)),
        ((0.1, 0.5, 0.6, 0.7), (False, True)),
        ((0.7, 0.695, 0.6, 0.5), (False, False)),
        ((0.1, 0.7, 0.5, 0.6), (False, True)),
    ],
    ids=["peak", "end too near", "rising", "first two too near", "two peaks"],
)
def test_a_peak_lies_between_the_ends_and_is_the_only_one(
    figures: tuple[float, ...], expected: tuple[bool, bool]
) -> None:
    values = {label: (value,) for label, value in zip("abcd", figures, strict=True)}
    assert holds(PEAK, **values) == expected


def test_a_peak_is_not_settled_while_a_setting_lacks() -> None:
    assert holds(PEAK, a=(0.1,), b=(0.9,), d=(0.1,)) == (True, False)
    assert find(PEAK, a=(0.1,), b=(0.9,)) is None


def test_all_trends_must_hold_and_one_clear_failure_is_enough() -> None:
    trend = all_of(beats("a", "b"), beats("a", "c"))
    assert holds(trend, a=(0.9,), b=(0.5,), c=(0.5,)) == (True, True)
    assert holds(trend, a=(0.9,), b=(0.5,)) == (True, False)
    assert holds(trend, a=(0.9,), b=(0.5,), c=(0.895,)) == (True, False)
    assert holds(trend, a=(0.5,), b=(0.9,)) == (False, True)
