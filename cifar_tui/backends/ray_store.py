"""What is kept of Ray's queue beside its runs, so that it outlives its dispatcher and cluster."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cifar_tui.runs.beat import Beat, waits_in, write_beat
from cifar_tui.runs.files import dump_json, read_json, write_atomic
from cifar_tui.runs.lock import Lock
from cifar_tui.runs.record import Worker, this_host, this_worker

STORE, LOCK = ".ray.json", ".ray.lock"
BEAT_EVERY = 5.0
"""Seconds between two heartbeats, by which others see that the runs that wait are held."""


@dataclass(frozen=True)
class Need:
    """What one run takes of the cluster; GPUs may be a fraction."""

    cpus: int = 1
    gpus: float = 0.0


@dataclass(frozen=True)
class Entry:
    """A run in the queue or in training: what it needs, and where its relative paths begin."""

    run_id: str
    need: Need
    cwd: str


@dataclass(frozen=True)
class Held:
    """A queue: the runs in training, those that wait in order, and whether these are held back."""

    training: Sequence[Entry] = field(default=())
    waiting: Sequence[Entry] = field(default=())
    held: bool = False


class Store:
    """The queue's file, its heartbeat, and the lock that only one dispatcher has."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._lock = Lock(runs / LOCK)
        self._queue = uuid.uuid4().hex
        self._stored: Held | None = None
        self._beats = 0
        self._next_beat = 0.0

    def take(self) -> bool:
        """Try to be the one that keeps the queue; raises OSError where the runs are not seen."""
        return self._lock.take(this_host())

    def keeper(self) -> str:
        """The host of the one that does."""
        return self._lock.word()

    @property
    def holder(self) -> Worker:
        """Who has a run that waits: the queue, not the process that keeps it at the time."""
        return waits_in(self._queue)

    def load(self) -> Held:
        """What the last dispatcher kept; an empty queue where it cannot be read."""
        try:
            stored = read_json(self._runs / STORE)
            training, waiting = (
                [Entry(Path(e["run_id"]).name, Need(**e["need"]), str(e["cwd"])) for e in entries]
                for entries in (stored["training"], stored["waiting"])
            )
            self._queue = str(stored["queue"])
            return Held(training, waiting, bool(stored["held"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Held()

    def save(self, now: Held) -> None:
        """Write the queue down if it has changed; raises OSError."""
        if now != self._stored:
            kept: dict[str, Any] = {"queue": self._queue, "held": now.held}
            for name, entries in (("training", now.training), ("waiting", now.waiting)):
                kept[name] = [vars(entry) | {"need": vars(entry.need)} for entry in entries]
            write_atomic(self._runs / STORE, dump_json(kept))
            self._stored = now

    def beat(self) -> None:
        """Now and then: say that the queue is kept; raises OSError."""
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + BEAT_EVERY
            self._beats += 1
            write_beat(
                self._runs, Beat(queue=self._queue, worker=this_worker(), counter=self._beats)
            )
