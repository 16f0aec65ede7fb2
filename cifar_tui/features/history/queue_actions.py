"""What History's keys do with the queue: set up anew, resume, move."""

from cifar_tui.errors import UserError
from cifar_tui.features.history.actions import do_each
from cifar_tui.features.history.run_list import RunList
from cifar_tui.features.history.selection import Refusal
from cifar_tui.runs.control import left_behind
from cifar_tui.text import plain


def new_from(runs: RunList) -> None:
    """Fill the form with the run's settings."""
    run = runs.selection.run
    if run is not None:
        runs.cifar.new_from(run)


def resume(runs: RunList) -> None:
    """Queue the runs again, to go on from their last whole epochs."""
    chosen = runs.selection.some()
    if len(chosen) > 1:
        do_each(runs, chosen, runs.cifar.launcher.queue_again, "queued to go on")
    else:
        runs.cifar.launcher.resume(chosen[0])
        runs.read_soon()


def resume_left(runs: RunList) -> None:
    """Queue all runs that a program which ended has left queued."""

    def look() -> None:
        own = runs.cifar.worker.own
        try:
            left = [run for run in left_behind(runs.cifar.runs.all()) if run.id not in own]
        except UserError as error:
            runs.app.call_from_thread(runs.cifar.complain, error)
            return
        if left:
            again = runs.cifar.launcher.queue_again
            runs.app.call_from_thread(do_each, runs, left, again, "resumed")
        else:
            runs.app.call_from_thread(runs.tell, "No run was left behind.")

    runs.run_worker(look, thread=True)


def move(runs: RunList, step: int) -> None:
    """Move a queued run backwards in the queue, or forwards where `step` is negative."""
    run, worker = runs.selection.one(), runs.cifar.worker
    if run.id not in worker.queued:
        raise Refusal(f"{plain(run.name)} does not wait in this program's queue.")
    worker.move(run.id, step)
    place = worker.queued.index(run.id) + 1 if run.id in worker.queued else 0
    runs.tell(f"{plain(run.name)} is number {place} of {len(worker.queued)} in the queue.")
