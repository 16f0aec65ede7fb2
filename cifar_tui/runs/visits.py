"""When a person last looked at a folder of runs, and what has ended there since."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from cifar_tui.runs.listing import Run


def mark_visit(runs: Path) -> None:
    """Remember that this person looks at the folder now; not where it cannot be written."""
    with contextlib.suppress(OSError):
        mark = _mark(runs)
        mark.touch()


def ended_since_visit(runs: Sequence[Run], folder: Path) -> list[Run]:
    """The runs that have ended since this person last looked; none before the first visit.

    Times are those of the folder's file system. A run that crashed has written its heartbeat last.
    """
    try:
        then = _mark(folder).stat().st_mtime
    except OSError:
        return []
    return [run for run in runs if run.ended and _written(run.path) > then]


def _mark(runs: Path) -> Path:
    """An empty file of this person's own, whose time is that of the last visit."""
    return runs / f".visited-by-{os.getuid()}"


def _written(run: Path) -> float:
    """When its training last wrote into a run's folder."""
    times = [0.0]
    for name in ("summary.json", "progress.json"):
        with contextlib.suppress(OSError):
            times.append((run / name).stat().st_mtime)
    return max(times)
