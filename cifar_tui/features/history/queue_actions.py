"""What History's keys do with the queue: set up anew, resume, move, empty."""

from functools import partial

from cifar_tui.errors import UserError
from cifar_tui.features.history.actions import ask, complaining, do_each
from cifar_tui.features.history.run_list import RunList
from cifar_tui.features.history.selection import Refusal
from cifar_tui.queue.choices import stop
from cifar_tui.runs.control import BY_USER, end, left_behind, requeue
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain, runs_text


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


def empty_queue(runs: RunList) -> None:
    """Stop all runs that wait, in whichever program, after asking; what trains goes on."""

    def look() -> None:
        try:
            waiting = [run for run in runs.cifar.runs.all() if run.status == "queued"]
        except UserError as error:
            runs.app.call_from_thread(runs.cifar.complain, error)
            return
        runs.app.call_from_thread(offer, waiting)

    def offer(waiting: list[Run]) -> None:
        if not waiting:
            runs.tell("No run waits.")
            return
        question = (
            f"Stop the {runs_text(len(waiting))} that wait{'s' * (len(waiting) == 1)}? "
            "What trains goes on; r queues a stopped run again."
        )
        ask(
            runs, question, "stop", partial(do_each, runs, waiting, partial(_stop, runs), "stopped")
        )

    runs.run_worker(look, thread=True)


def _stop(runs: RunList, run: Run) -> None:
    if runs.cifar.worker.drop(run.id):
        end(RunFolder(run.path), "stopped", BY_USER)
    else:
        stop(run)
