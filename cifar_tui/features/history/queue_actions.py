"""What History's keys do with the queue: set up anew, resume, move."""

from functools import partial

from cifar_tui.errors import UserError
from cifar_tui.features.history.actions import complaining, do_each
from cifar_tui.features.history.run_list import RunList
from cifar_tui.features.history.selection import Refusal
from cifar_tui.runs.control import left_behind, requeue
from cifar_tui.runs.listing import Run
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
        do_each(runs, chosen, partial(_resume, runs), "queued to go on")
        return
    run = chosen[0]
    with complaining(runs):
        _resume(runs, run)
        done, epochs = run.summary.epochs_done, run.summary.epochs
        runs.tell(f"{plain(run.name)} is queued and goes on after epoch {done} of {epochs}.")


def _resume(runs: RunList, run: Run) -> None:
    worker = runs.cifar.worker
    if run.id in worker.own:
        raise UserError(f"{run.name} is in the queue already.")
    worker.add(requeue(runs.cifar.runs.get(run.id)))


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
            resume_one = partial(_resume, runs)
            runs.app.call_from_thread(do_each, runs, left, resume_one, "resumed")
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
