"""Runs shown through their folders until they end, whoever trains them."""

import time
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.queue.headless import LOOK_EVERY, TrainPrinter, exit_code
from cifar_tui.runs.listing import Follower, Run, Runs


def watch(run: Run, runs: Path, printer: TrainPrinter) -> int:
    """Show a run through its folder until it ends; leaving does nothing to the run."""
    follower = Follower(Runs(runs), run.id)
    printer.begin(run, 1, 1)
    look = None
    try:
        while look is None or not (look.run.ended or look.run.left_behind):
            look = follower.look()
            printer.show(look)
            time.sleep(LOOK_EVERY)
    finally:
        printer.leave()
    if look.run.left_behind:
        raise UserError(f"{run.name} waits in a process that is gone; `runs resume` trains it.")
    return exit_code([look.run.status])


def watch_all(folder: Path, printer: TrainPrinter) -> int:
    """Show all runs that train, whoever trains them, until none trains or waits.

    Those that begin meanwhile are shown as well; returns as `train`.
    """
    known, printer = Runs(folder), printer.side_by_side()
    shown: dict[str, Follower] = {}
    statuses: dict[str, str] = {}
    while True:
        going = [run for run in known.all() if not (run.ended or run.left_behind)]
        for run in going:
            seen = {*shown, *statuses}
            if run.status != "queued" and run.id not in seen:
                printer.begin(run, len(seen) + 1, len(seen.union(one.id for one in going)))
                shown[run.id] = Follower(known, run.id)
        for run_id, follower in list(shown.items()):
            look = follower.look()
            printer.show(look)
            if look.run.ended or look.run.left_behind:
                statuses[run_id] = look.run.status
                del shown[run_id]
        if not (going or shown):
            break
        time.sleep(LOOK_EVERY)
    if not statuses:
        printer.note(f"Nothing is in training in {folder}.")
    return exit_code(statuses.values())
