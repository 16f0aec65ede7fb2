"""The time left, which must be right from the first seconds on."""

import pytest

from cifar_tui.queue.run_writer import Rate


def test_the_first_epochs_forecast_is_steady_at_a_steady_speed() -> None:
    rate = Rate()
    forecasts = []
    for second in range(1, 11):
        rate.count(True, 1, 100 * second, 6000, float(second))
        forecasts.append(rate.seconds_left(epochs=29))
    assert forecasts[0] is None
    assert forecasts[1:] == pytest.approx([30 * 60 - second for second in range(2, 11)])


def test_whole_epochs_count_with_their_validation() -> None:
    rate = Rate()
    for epoch in (1, 2):
        for second in (1, 2, 3):
            rate.count(True, epoch, 100 * second, 300, 10.0 * epoch + second)
    assert rate.seconds_left(epochs=5) == pytest.approx(5 * 10)


def test_a_pause_is_not_counted_as_slowness() -> None:
    rate = Rate()
    rate.count(True, 1, 100, 1000, 1.0)
    rate.count(True, 1, 200, 1000, 2.0)
    rate.forget()
    rate.count(True, 1, 300, 1000, 500.0)
    rate.count(True, 1, 400, 1000, 501.0)
    assert rate.value == pytest.approx(100)
