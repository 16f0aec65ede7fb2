"""The heartbeat of a queue on a cluster: one file beside the runs, for all that wait in it."""

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from cifar_tui.runs.files import read_json, write_json
from cifar_tui.runs.record import Line, Worker, waiting_job

BEAT = ".queue.json"
QUEUE = "queue:"
"""How the name begins by which a waiting run's progress file names its queue."""
READ_EVERY = 1.0
"""Seconds between two looks at the file, however many runs wait."""


class Beat(BaseModel):
    """Which queue is kept, by which process; `counter` grows while it is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    queue: Line
    worker: Worker
    counter: int = Field(ge=1)
    written: float = 0.0
    """When, by the clock of the process's machine."""


def waits_in(queue: str) -> Worker:
    """Who holds a run that waits in a queue, whichever process keeps that at the time."""
    return waiting_job(QUEUE + queue)


def write_beat(runs: Path, beat: Beat) -> None:
    """Replace the heartbeat; not worth waiting for the disk."""
    write_json(runs / BEAT, beat.model_dump(mode="json"), durable=False)


def read_beat(runs: Path) -> Beat | None:
    """The last heartbeat, or None."""
    try:
        return Beat.model_validate(read_json(runs / BEAT))
    except (OSError, ValueError):
        return None


class Beats:
    """The heartbeat for those who look at many runs."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._seen: tuple[float, Beat | None] = (-READ_EVERY, None)

    def last(self) -> Beat | None:
        """The last heartbeat, not older than a moment."""
        now = time.monotonic()
        if now - self._seen[0] >= READ_EVERY:
            self._seen = now, read_beat(self._runs)
        return self._seen[1]
