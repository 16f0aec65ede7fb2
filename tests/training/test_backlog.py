"""A device that takes orders long before it carries them out, as a GPU does."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cifar_tui.training.device import AHEAD, Backlog
from cifar_tui.training.step import Means
from cifar_tui.training.trainer import run_epoch

GIVING = 25e-6
"""Seconds that Python takes to give one step."""


class Device:
    """Takes `seconds` for each batch, by a clock that only moves when someone works or waits."""

    def __init__(self, seconds: float) -> None:
        self.now = 0.0
        self.busy_until = 0.0
        self.idle = 0.0
        self._seconds = seconds

    def give(self) -> None:
        self.now += GIVING
        self.idle += max(0.0, self.now - self.busy_until) if self.busy_until else 0.0
        self.busy_until = max(self.now, self.busy_until) + self._seconds

    def mark(self) -> "Event":
        return Event(self, self.busy_until)

    @property
    def left(self) -> float:
        """Seconds of work that it was given and has not done."""
        return max(0.0, self.busy_until - self.now)


class Event:
    """As `torch.cuda.Event`."""

    def __init__(self, device: Device, at: float) -> None:
        self._device, self._at = device, at

    def query(self) -> bool:
        return self._device.now >= self._at

    def synchronize(self) -> None:
        self._device.now = max(self._device.now, self._at)


@pytest.mark.parametrize("seconds", [2e-4, 8e-3, 0.5], ids=["SimpleNN", "ResNet-110", "slow GPU"])
def test_a_device_is_neither_idle_nor_far_behind(seconds: float) -> None:
    device = Device(seconds)
    backlog = Backlog(device.mark, lambda: device.now)
    lefts, waits = [], []
    for number in range(1, 353):
        began = device.now
        device.give()
        done = backlog.add(number)
        assert done == number - len(backlog)
        waits.append(device.now - began)
        lefts.append(device.left)
    assert max(lefts) < max(AHEAD, 2 * seconds) + 2 * seconds
    assert max(waits[10:]) < 2 * seconds + GIVING, (
        "someone looks for orders after each batch or two"
    )
    assert device.idle == pytest.approx(0.0, abs=1e-9)
    backlog.settle()
    assert (len(backlog), device.left) == (0, 0.0)


class Step:
    """A step of one image after another on such a device."""

    def __init__(self, device: Device) -> None:
        self.model, self.means = nn.Identity(), Means(torch.device("cpu"))
        self._device = device

    def __call__(self, windows: Tensor, labels: Tensor) -> None:
        self._device.give()

    def tensors(self) -> list[Tensor]:
        return []


def batches(count: int) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(count):
        yield torch.zeros(10), torch.zeros(10)


def epoch(device: Device, tick: Callable[..., float]) -> float:
    return run_epoch(Step(device), batches(40), 400, 1, tick, device.mark)


def test_progress_is_what_the_device_has_done_up_to_the_last_batch() -> None:
    device, seen = Device(0.1), []

    def tick(phase: str, epoch: int, done: int, images: int, settle: Any) -> float:
        seen.append((done, device.left))
        return 0.0

    epoch(device, tick)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (400, 0.0)
    assert all(done <= 400 - 10 * left / 0.11 for done, left in seen)
    assert len(seen) > 40, "someone looks for orders while the last batches are waited for"


def test_an_order_while_the_last_batches_are_waited_for_is_obeyed() -> None:
    device = Device(0.1)
    looks: list[float] = []

    def stop(phase: str, epoch: int, done: int, images: int, settle: Any) -> float:
        looks.append(device.left)
        if len(looks) > 40:
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        epoch(device, stop)
    assert looks[-1] > 0


def test_a_pause_begins_when_all_that_was_given_is_done() -> None:
    device, left = Device(0.1), []

    def pause(phase: str, epoch: int, done: int, images: int, settle: Any) -> float:
        settle()
        left.append(device.left)
        return 0.0

    epoch(device, pause)
    assert set(left) == {0.0}
