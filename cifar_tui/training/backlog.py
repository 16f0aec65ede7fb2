"""What a device was given to do and has not done yet, kept short."""

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import torch

AHEAD = 0.05
"""Seconds of work that a device may be given ahead: it never runs dry and obeys soon."""
LEAST = 2
"""Batches that it may always be given ahead, however long they take."""


class Mark(Protocol):
    """A point in the work of a device, as a recorded `torch.cuda.Event` is."""

    def query(self) -> bool:
        """Whether the device has come as far as this."""

    def synchronize(self) -> None:
        """Wait until it has."""


def marker(device: torch.device) -> Callable[[], Mark] | None:
    """What marks how far a device was given work; None where that is done once it is given."""
    if device.type != "cuda":
        return None

    def mark() -> Mark:
        event = torch.cuda.Event(blocking=True)
        event.record(torch.cuda.current_stream(device))
        return event

    return mark


class Backlog:
    """The batches that a device was given and has not trained yet.

    Python hands a GPU its steps many times faster than it takes them: without a bound a whole epoch
    would wait in its queue, and neither orders nor progress would reach the run meanwhile.
    """

    def __init__(
        self, mark: Callable[[], Mark] | None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._mark = mark
        self._clock = clock
        self._began = clock()
        self._waiting: deque[tuple[Mark, int]] = deque()
        self._batches = 0
        self._images = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, images: int) -> int:
        """Note that the device was given one more batch, and so `images` in all.

        Waits while it has too much to do; returns how many images it has trained.
        """
        if self._mark is None:
            return images
        self._waiting.append((self._mark(), images))
        while self._waiting and self._waiting[0][0].query():
            self._take()
        while len(self._waiting) > self._most():
            self.wait()
        return self._images

    def wait(self) -> int:
        """Wait for the oldest batch; returns how many images are trained."""
        self._waiting[0][0].synchronize()
        self._take()
        return self._images

    def settle(self) -> None:
        """Wait until all is done."""
        while self._waiting:
            self.wait()

    def _take(self) -> None:
        _, self._images = self._waiting.popleft()
        self._batches += 1

    def _most(self) -> float:
        """How many batches last as long as the device may be ahead, by its speed so far."""
        seconds = self._clock() - self._began
        return max(LEAST, AHEAD * self._batches / seconds) if seconds > 0 else LEAST
