"""What trains and what waits in a folder of runs, whoever does it, and what has ended meanwhile."""

import heapq
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_tui.runs.control import in_training
from cifar_tui.runs.listing import Run, Runs

EVERY, IDLE_EVERY = 2.0, 10.0
"""Seconds between two looks while something trains or waits, and while nothing does."""
LATEST = 20
"""How many runs the first screen waits for; their ids begin with their time."""
SHARE = 20
"""A look that takes long is followed by a rest of this many times its own time."""


@dataclass(frozen=True)
class Activity:
    """The runs that have not ended, as the last look saw them, oldest first."""

    training: tuple[Run, ...] = ()
    waiting: tuple[Run, ...] = ()
    """Queued by a program that still lives."""
    known: tuple[Run, ...] = ()
    """All runs, whatever became of them."""

    @property
    def ids(self) -> set[str]:
        """All of them."""
        return {run.id for run in (*self.training, *self.waiting)}


def activity_of(runs: Sequence[Run]) -> Activity:
    """What these runs do."""
    waiting = (run for run in runs if run.status == "queued" and not run.left_behind)
    return Activity(tuple(in_training(runs)), tuple(waiting), tuple(runs))


def is_busy(folder: Path) -> bool:
    """Whether something trains or waits among the latest runs of a folder."""
    runs = Runs(folder)
    try:
        with os.scandir(folder) as entries:
            names = heapq.nlargest(LATEST, (e.name for e in entries if e.name[0] != "."))
        return bool(activity_of([runs.get(name) for name in names]).ids)
    except OSError:
        return False


class ActivityWatch:
    """Looks at all runs now and then, in any thread, and remembers those that ended in between."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._looking = threading.Lock()
        self._next = 0.0
        self.now = Activity()

    @property
    def due(self) -> bool:
        """Whether it is time for another look, and none is under way."""
        return time.monotonic() >= self._next and not self._looking.locked()

    def soon(self) -> None:
        """Let the next look be due at once, as something has begun or ended."""
        self._next = 0.0

    def look(self) -> list[Run]:
        """Look again; returns the runs that have ended since the last look. Raises UserError."""
        with self._looking:
            began = time.monotonic()
            self._next = began + IDLE_EVERY
            runs = self._runs.all()
            before, self.now = self.now.ids, activity_of(runs)
            took = time.monotonic() - began
            rest = EVERY if self.now.ids else IDLE_EVERY
            self._next = time.monotonic() + max(rest, SHARE * took)
            return [run for run in runs if run.id in before and run.ended]
