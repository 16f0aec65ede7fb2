"""Whether a run is still in somebody's hands: its process, its lock and its heartbeat are asked."""

import os
import tempfile
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cifar_tui.files import read_json, write_json
from cifar_tui.locks import is_held
from cifar_tui.runs.record import Line, Progress, Worker, boot_id, is_alive, is_gone, waiting_job

PROGRESS = "progress.json"
STALE_AFTER = 30.0
"""Seconds without a heartbeat after which a process that cannot be asked counts as gone."""


class Liveness:
    """Looks at the runs of a folder again and again."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._beats: dict[str, tuple[int, float]] = {}
        self._queue = Beats(runs)

    def lost(self, run_id: str, progress: Progress) -> Literal["crashed", "stale"] | None:
        """What became of a run in training whose process is gone; None while that may be there.

        A free lock says that no process of this machine trains the run, also where its pid tells
        nothing, as once a container was started anew; on others only the heartbeat tells.
        """
        folder = self._runs / run_id
        worker, held, beat = progress.worker, is_held(folder / "lock"), folder / PROGRESS
        alive = is_alive(worker)
        if alive is False or (alive is None and is_gone(worker)):
            if held:
                return None
            return "stale" if alive is None else "crashed"
        if (alive and held is not False) or not self._is_silent(run_id, progress.counter, beat):
            return None
        free = held is False and worker.boot == boot_id() and not worker.job
        return "crashed" if alive or free else "stale"

    def is_left(self, run_id: str, progress: Progress) -> bool:
        """Whether whoever queued a run is gone; elsewhere, one that has beaten and beats no more.

        A cluster's job beats only once it has begun.
        """
        if progress.worker.job.startswith(QUEUE):
            return self._is_queue_left(run_id, progress.worker.job)
        alive, beats = is_alive(progress.worker), progress.counter and not progress.worker.job
        silent = (
            alive is None
            and beats
            and self._is_silent(run_id, progress.counter, self._runs / run_id / PROGRESS)
        )
        return alive is False or bool(silent)

    def _is_queue_left(self, run_id: str, queue: str) -> bool:
        """Whether a queue on a cluster, which beats for its runs, is kept no more.

        Its process may be started anew, within the time that silence may last.
        """
        beat = self._queue.last()
        if beat is None:
            return self._is_silent(run_id, -1)
        if queue != QUEUE + beat.queue:
            return True
        alive = is_alive(beat.worker)
        if alive is None:
            return self._is_silent(run_id, beat.counter)
        return not alive and not 0 <= time.time() - beat.written < STALE_AFTER

    def _is_silent(self, run_id: str, counter: int, beat: Path | None = None) -> bool:
        """Whether a counter has not advanced for long, by this process's own clock.

        At the first look the age of the file that holds it tells, for commands that look once.
        """
        now = time.monotonic()
        seen, since = self._beats.get(run_id, (None, now))
        if seen == counter:
            return now - since > STALE_AFTER
        age = seconds_old(beat) if beat is not None and seen is None else 0.0
        self._beats[run_id] = (counter, now - age)
        return age > max(STALE_AFTER, 0)


def seconds_old(path: Path) -> float:
    """Seconds since a file was written, by the clock of its file system.

    That need not be this machine's; a file is made beside it to learn the time. 0 where none can.
    """
    try:
        with tempfile.TemporaryFile(dir=path.parent, prefix=".time-") as now:
            return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime
    except OSError:
        return 0.0


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
