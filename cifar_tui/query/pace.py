"""How long a run will take, by the pace of finished runs like it."""

import math
from collections.abc import Sequence

from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_run
from cifar_tui.spec.settings import SETTINGS
from cifar_tui.spec.spec import RunSpec


def seconds_left(spec: RunSpec, done: int, known: Sequence[Run]) -> float | None:
    """Seconds for the epochs after `done`, by the newest run that keeps its pace; None without any.

    `known` are runs on the same images, oldest first; one that was imported has no time of its own.
    """
    like = [name for name, setting in SETTINGS.items() if setting.sets_pace]
    for run in reversed(known):
        epochs, seconds = run.summary.epochs_done, run.summary.seconds
        alike = run.spec and all(getattr(run.spec, n) == getattr(spec, n) for n in like)
        if alike and epochs and seconds:
            return seconds / epochs * (spec.epochs - done)
    return None


def longest_first(folders: Sequence[RunFolder], known: Sequence[Run]) -> list[RunFolder]:
    """Queued runs in the order in which several devices are done soonest: the longest first.

    Those whose time is not known come before, in their order, as any may be long.
    """
    times = [_seconds_left(read_run(folder.path), known) for folder in folders]
    places = sorted(range(len(folders)), key=lambda i: -times[i])
    return [folders[i] for i in places]


def _seconds_left(run: Run, known: Sequence[Run]) -> float:
    """Seconds that a run still takes; infinity where nothing is known."""
    spec = run.spec
    if spec is None:
        return math.inf
    same = [other for other in known if other.spec and other.spec.data == spec.data]
    left = seconds_left(spec, run.summary.epochs_done, same)
    return math.inf if left is None else left
