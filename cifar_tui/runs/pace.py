"""How long a run will take, by the pace of finished runs like it."""

import math
from collections.abc import Sequence

from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_run
from cifar_tui.spec import RunSpec

LIKE = ("data", "model", "depth", "precision", "subset")
"""Settings that decide an epoch's time; runs that agree in them keep about the same pace."""


def seconds_left(spec: RunSpec, done: int, known: Sequence[Run]) -> float | None:
    """Seconds for the epochs still to be done, by the newest run like it; None without any."""
    for run in reversed(known):
        epochs = run.summary.epochs_done
        if run.spec and epochs and all(getattr(run.spec, n) == getattr(spec, n) for n in LIKE):
            return run.summary.seconds / epochs * (spec.epochs - done)
    return None


def longest_first(folders: Sequence[RunFolder], known: Sequence[Run]) -> list[RunFolder]:
    """Queued runs in the order in which several devices are done soonest: the longest first.

    Those whose time is not known come before, in their order, as any may be long.
    """
    times: list[float] = []
    for folder in folders:
        run = read_run(folder.path)
        left = seconds_left(run.spec, run.summary.epochs_done, known) if run.spec else None
        times.append(math.inf if left is None else left)
    places = sorted(range(len(folders)), key=lambda i: -times[i])
    return [folders[i] for i in places]
