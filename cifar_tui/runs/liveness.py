"""Whether a run is still in somebody's hands: its process, its lock and its heartbeat are asked."""

import os
import tempfile
import time
from pathlib import Path
from typing import Literal

from cifar_tui.locks import is_held
from cifar_tui.runs.record import Progress, boot_id, is_alive, is_gone

PROGRESS = "progress.json"
STALE_AFTER = 30.0
"""Seconds without a heartbeat after which a process that cannot be asked counts as gone."""


class Liveness:
    """Looks at the runs of a folder again and again."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._beats: dict[str, tuple[int, float]] = {}

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
        if progress.worker.job.startswith("queue:"):  # as early versions wrote with Ray
            return True
        alive, beats = is_alive(progress.worker), progress.counter and not progress.worker.job
        silent = (
            alive is None
            and beats
            and self._is_silent(run_id, progress.counter, self._runs / run_id / PROGRESS)
        )
        return alive is False or bool(silent)

    def _is_silent(self, run_id: str, counter: int, beat: Path) -> bool:
        """Whether a counter has not advanced for long, by this process's own clock.

        At the first look the age of the file that holds it tells, for commands that look once.
        """
        now = time.monotonic()
        seen, since = self._beats.get(run_id, (None, now))
        if seen == counter:
            return now - since > STALE_AFTER
        age = seconds_old(beat) if seen is None else 0.0
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
