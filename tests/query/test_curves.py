"""Curves as numbers: axes, smoothing, means over seeds, and what is read off them."""

import math
from dataclasses import replace
from typing import Any

import pytest

from cifar_tui.query.curves import (
    METRICS,
    Spread,
    last_sample,
    mean_curve,
    positions,
    sample_at,
    samples,
    smoothed,
    thinned,
    training_seconds,
)
from cifar_tui.runs.events import EpochDone, from_json


def log(*values: float | None, seconds: float = 2.0, **more: Any) -> list[EpochDone]:
    """A run's epochs with these val_acc."""
    known = {"train_seconds": seconds - 0.5, "val_seconds": 0.5}
    known |= {"images_per_second": 45_000 / (seconds - 0.5)} | more
    return [epoch(i, val_acc=value, **known) for i, value in enumerate(values, 1)]


def epoch(number: int, **known: Any) -> EpochDone:
    read = from_json({"event": "epoch", "epoch": number, **known})
    assert isinstance(read, EpochDone)
    return read


def test_smoothing_is_an_unbiased_moving_average_as_in_tensorboard() -> None:
    assert smoothed([1.0, 2.0, 3.0], 0.5) == pytest.approx([1.0, 1.25 / 0.75, 2.125 / 0.875])
    assert smoothed([1.0, 2.0, 3.0], 0.0) == [1.0, 2.0, 3.0]
    assert smoothed([0.7] * 9, 0.95) == pytest.approx([0.7] * 9)


def test_smoothing_leaves_gaps_and_goes_on_behind_them() -> None:
    assert smoothed([1.0, None, 2.0], 0.5) == pytest.approx([1.0, None, 1.25 / 0.75])


def test_smoothing_that_would_never_move_is_refused() -> None:
    with pytest.raises(ValueError, match="weight"):
        smoothed([1.0], 1.0)


def test_epochs_steps_and_seconds() -> None:
    one = log(0.1, 0.2, 0.3, seconds=2.0)
    assert positions([one], "epoch") == {1: 1.0, 2: 2.0, 3: 3.0}
    updates = math.ceil(45_000 / 128)
    assert positions([one], "step", 128) == {i: i * updates for i in (1, 2, 3)}
    assert positions([one], "time") == pytest.approx({1: 2.0, 2: 4.0, 3: 6.0})
    assert training_seconds(one) == pytest.approx(6.0)


def test_an_epoch_that_was_not_kept_leaves_the_steps_of_the_others_right() -> None:
    assert list(positions([log(0.1, 0.2, 0.3)[1:]], "step", 45_000).values()) == [2.0, 3.0]


def test_axes_end_where_nothing_is_known() -> None:
    bare = [epoch(1, val_acc=0.5)]
    assert positions([bare], "step", 128) == {}
    assert positions([bare], "time") == {}
    broken = log(0.1, 0.2, 0.3)
    broken[1] = replace(broken[1], train_seconds=None, val_seconds=None)
    assert positions([broken], "time") == {1: 2.0}
    assert samples([bare], "val_acc", "time") == []
    hostile = log(0.1, train_seconds=-1e30, images_per_second=-1e30)
    assert positions([hostile], "step", 128) == {}
    assert positions([[]], "epoch") == {}


def test_the_time_of_a_group_never_jumps_back_where_a_run_ends_early() -> None:
    slow, fast = log(0.1, 0.2, seconds=4.0), log(0.1, 0.2, 0.3, seconds=2.0)
    assert positions([slow, fast], "time") == pytest.approx({1: 3.0, 2: 6.0, 3: 8.0})


def test_the_mean_over_seeds_and_its_spread() -> None:
    curve = mean_curve([log(0.5, 0.6), log(0.7, None), log(0.9)], "val_acc")
    assert curve[1].mean == pytest.approx(0.7)
    assert curve[1].sd == pytest.approx(0.2)
    assert (curve[1].low, curve[1].high, curve[1].n) == (0.5, 0.9, 3)
    assert curve[2] == Spread(0.6, None, 0.6, 0.6, 1)
    assert curve[1].band("sd") == pytest.approx((0.5, 0.9))
    assert curve[2].band("range") is None
    assert mean_curve([log(None)], "val_acc") == {}


def test_a_value_that_is_not_finite_is_a_gap_in_the_curve() -> None:
    curve = samples([log(0.5, None, 0.7)], "val_acc", smoothing=0.5)
    assert [s.raw for s in curve] == [0.5, None, 0.7]
    assert [s.y for s in curve] == pytest.approx([0.5, None, (0.25 * 0.5 + 0.35) / 0.75])
    assert [s.last for s in curve] == [False, False, True]
    assert samples([log(math.inf)], "val_acc")[0].y is None


def test_the_band_lies_about_the_smoothed_mean() -> None:
    logs = [log(0.4, 0.6), log(0.6, 1.0)]
    plain = samples(logs, "val_acc", band="range")
    assert [(s.low, s.y, s.high) for s in plain] == [(0.4, 0.5, 0.6), (0.6, 0.8, 1.0)]
    soft = samples(logs, "val_acc", smoothing=0.5, band="range")
    ends = [(0.5 * 0.5 * a + 0.5 * b) / 0.75 for a, b in ((0.4, 0.6), (0.6, 1.0))]
    assert (soft[1].low, soft[1].high) == pytest.approx(tuple(ends))
    assert soft[1].raw == pytest.approx(0.8), "what was measured is still told"
    assert soft[1].sd == pytest.approx(0.4 / 2**0.5)


def test_values_are_read_off_at_or_before_a_place() -> None:
    curve = samples([log(0.1, 0.2, None)], "val_acc", "time")
    assert sample_at(curve, 1.9) is None
    assert sample_at(curve, 2.0).raw == 0.1
    assert sample_at(curve, 5.9).raw == 0.2
    assert sample_at(curve, 99.0).raw is None
    assert sample_at([], 1.0) is None
    assert last_sample(curve).raw == 0.2
    assert last_sample([]) is None


def test_the_gap_is_what_training_is_better_by() -> None:
    assert METRICS["gap"].value(epoch(1, train_acc=0.9, val_acc=0.7)) == pytest.approx(0.2)
    assert METRICS["gap"].value(epoch(1, train_acc=0.9)) is None


def test_thinning_keeps_peaks_and_both_ends() -> None:
    points = [(float(x), 0.0) for x in range(10_000)]
    points[4321] = (4321.0, 9.0)
    points[4322] = (4322.0, -9.0)
    thin = thinned(points, 150)
    assert len(thin) <= 152
    assert {points[0], points[4321], points[4322], points[-1]} <= set(thin)
    assert thin == sorted(thin)
    assert thinned(points[:7], 7) == points[:7]
    assert thinned(points[:3], 1) == [points[0], points[2]]
