"""What is kept of Ray's queue beside its runs, so that it outlives its dispatcher and cluster."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cifar_tui.files import dump_json, open_regular, parse_json, write_atomic
from cifar_tui.locks import Lock
from cifar_tui.runs.liveness import Beat, waits_in, write_beat
from cifar_tui.runs.record import Worker, this_host, this_worker

STORE, LOCK = ".ray.json", ".ray.lock"
BEAT_EVERY = 5.0
"""Seconds between two heartbeats, by which others see that the runs that wait are held."""


@dataclass(frozen=True)
class Need:
    """What one run takes of the cluster; GPUs may be a fraction."""

    cpus: int = 1
    gpus: float = 0.0


def settle(need: dict[str, Any]) -> Need:
    """A need whose GPUs may be left open: one where the cluster has any."""
    if need["gpus"] is not None:
        return Need(**need)
    import ray

    return Need(need["cpus"], 1.0 if ray.cluster_resources().get("GPU") else 0.0)


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
        self.damaged: Path | None = None
        """Where a queue that could not be read was set aside."""
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

    def release(self) -> None:
        """Let another keep the queue."""
        self._lock.release()

    def load(self) -> Held:
        """What the last dispatcher kept; what is damaged is set aside. Raises OSError."""
        path = self._runs / STORE
        try:
            with open_regular(path) as file:
                stored = parse_json(file.read())
            training, waiting = (_entries(stored[name]) for name in ("training", "waiting"))
            self._queue = str(stored["queue"])
            both = {entry.run_id for entry in training}
            return Held(training, [e for e in waiting if e.run_id not in both], stored["held"])
        except FileNotFoundError:
            return Held()
        except (ValueError, KeyError, TypeError, RecursionError):
            self.damaged = path.with_name(f"{STORE}.damaged")
            path.rename(self.damaged)
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
            beat = Beat(
                queue=self._queue,
                worker=this_worker(),
                counter=self._beats,
                written=time.time(),
            )
            write_beat(self._runs, beat)


def _entries(stored: Any) -> list[Entry]:
    """Runs as stored, each once; raises what a damaged store does."""
    found = (Entry(Path(e["run_id"]).name, Need(**e["need"]), str(e["cwd"])) for e in stored)
    return list({entry.run_id: entry for entry in found}.values())
