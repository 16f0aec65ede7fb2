"""What waits to be trained, in order, and when each run is expected to begin."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cifar_tui.queue.queue import Pace
from cifar_tui.runs.control import left_behind
from cifar_tui.runs.listing import Run
from cifar_tui.table import cut_end
from cifar_tui.text import clock, plain

if TYPE_CHECKING:
    from cifar_tui.app import CifarApp

KNOWN = 500
"""The number of latest runs by whose pace others are judged."""


@dataclass(frozen=True)
class Plan:
    """When the runs of a queue are expected to begin, in seconds from now, and to be done."""

    runs: tuple[Run, ...] = ()
    begins: tuple[float | None, ...] = ()
    """None from the first run on of which nothing is known."""
    lasts: tuple[float | None, ...] = ()
    """Seconds that each takes."""
    done: float | None = None

    @property
    def names(self) -> list[str]:
        """What the runs are called."""
        return [plain(run.name) for run in self.runs]

    def place_words(self, run: Run, now: datetime) -> str:
        """Where a run is in the queue, in a sentence; empty where it is in none."""
        ids = [one.id for one in self.runs if not one.left_behind]
        if run.id not in ids:
            return ""
        place = ids.index(run.id)
        begins, lasts = self.begins[place], self.lasts[place]
        words = (
            f"Number {place + 1} of {len(ids)} in the queue" if len(ids) > 1 else "Next to train"
        )
        when = "" if begins is None else f"; begins about {time_of_day(begins, now)}"
        return f"{words}{when}{'' if lasts is None else f', takes about {clock(lasts)}'}."


def in_queue(app: "CifarApp") -> list[Run]:
    """The runs that wait, as last seen, in the order in which they are trained; for a thread.

    This program's come first, as what others do with theirs is not known; those left behind last.
    """
    now, worker = app.activity.now, app.worker
    known = {run.id: run for run in now.known}
    begun = [run for run in map(app.runs.get, worker.training) if run.status == "queued"]
    own = [known.get(run_id) or app.runs.get(run_id) for run_id in worker.queued]
    ids = {run.id for run in own}.union(worker.training)
    others = [run for run in (*now.waiting, *left_behind(now.known)) if run.id not in ids]
    return [*begun, *own, *others]


def plan_now(app: "CifarApp", queued: Sequence[Run]) -> Plan:
    """The queue as it goes on behind what trains now; without times while it is on hold."""
    now, worker = app.activity.now, app.worker
    plan = plan_of(now.training, queued, now.known, worker.slots)
    return replace(plan, begins=(None,) * len(queued), done=None) if worker.held else plan


def plan_of(
    training: Sequence[Run], queued: Sequence[Run], known: Sequence[Run], slots: int = 1
) -> Plan:
    """The queue as it goes on where every run keeps the pace of the newest like it."""
    lefts = [run.progress.seconds_left if run.progress else None for run in training]
    lefts += [0.0] * (slots - len(lefts))
    free = [left for left in lefts if left is not None]
    is_known = len(free) == len(lefts)
    heapq.heapify(free)
    pace = Pace(known[-KNOWN:])
    begins: list[float | None] = []
    lasts: list[float | None] = []
    for run in queued:
        left = pace.seconds_left(run.spec, run.summary.epochs_done) if run.spec else None
        lasts.append(left)
        begins.append(free[0] if is_known and not run.left_behind else None)
        if run.left_behind:
            continue
        is_known = is_known and left is not None
        if left is not None and free:
            heapq.heapreplace(free, free[0] + left)
    done = max(free) if is_known and (training or queued) else None
    return Plan(tuple(queued), tuple(begins), tuple(lasts), done)


def queue_lines(plan: Plan, now: datetime, width: int, height: int) -> list[str]:
    """A line per queued run in order, with the time at which it is expected to begin."""
    most = len(plan.names) if len(plan.names) <= height else max(0, height - 1)
    lines = []
    for number, (name, begins) in enumerate(zip(plan.names, plan.begins, strict=True), 1):
        if number > most:
            lines.append(f"... and {len(plan.names) - most} more")
            break
        when = "" if begins is None else time_of_day(begins, now)
        room = width - len(when) - 5
        lines.append(f"{number:>3} {cut_end(name, room):<{room}} {when}".rstrip())
    return lines


def time_of_day(seconds: float, now: datetime) -> str:
    """The time that is so many seconds away: `05:41`, or `Sat 05:41` from tomorrow on."""
    then = now + timedelta(seconds=seconds)
    return then.strftime("%H:%M" if then.date() == now.date() else "%a %H:%M")
