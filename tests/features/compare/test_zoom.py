"""Zooming and moving along an axis, in numbers."""

import pytest

from cifar_tui.features.compare.core import next_stop, panned, showing, zoomed

WHOLE = (0.0, 100.0)


def test_zooming_keeps_the_place_it_is_about() -> None:
    assert zoomed(None, WHOLE, 0.5, None, 1) == (25, 75)
    low, high = zoomed((0.0, 50.0), WHOLE, 0.5, 40.0, 1)
    assert high - low == pytest.approx(25)
    assert (40 - low) / (high - low) == pytest.approx(0.8)
    assert zoomed(None, WHOLE, 0.5, 100.0, 1) == (50, 100)
    assert zoomed((20.0, 30.0), WHOLE, 0.5, 99.0, 1) == (22.5, 27.5), "out of sight"


def test_zooming_ends_at_the_least_and_at_the_whole() -> None:
    assert zoomed((10.0, 12.0), WHOLE, 0.5, None, 2) == (10, 12)
    assert zoomed((10.0, 60.0), WHOLE, 2, None, 2) is None
    assert zoomed((80.0, 100.0), WHOLE, 2, None, 2) == (60, 100)


def test_moving_stays_within_the_whole() -> None:
    assert panned((10.0, 30.0), WHOLE, 0.25) == (15, 35)
    assert panned((2.0, 22.0), WHOLE, -0.25) == (0, 20)
    assert panned((90.0, 98.0), WHOLE, 1) == (92, 100)
    assert panned(None, WHOLE, 1) is None


def test_the_window_follows_the_cursor() -> None:
    assert showing((10.0, 20.0), WHOLE, 25.0) == (15, 25)
    assert showing((10.0, 20.0), WHOLE, 5.0) == (5, 15)
    assert showing((10.0, 20.0), WHOLE, 12.0) == (10, 20)
    assert showing(None, WHOLE, 12.0) is None


def test_the_cursor_goes_from_value_to_value() -> None:
    stops = [1.0, 2.0, 3.0, 10.0]
    assert next_stop(stops, 2.0, 1, 0) == 3
    assert next_stop(stops, 2.0, -1, 0) == 1
    assert next_stop(stops, 10.0, 1, 0) == 10
    assert next_stop(stops, 1.0, 10, 5) == 10
    assert next_stop(stops, 10.0, -10, 8) == 2
