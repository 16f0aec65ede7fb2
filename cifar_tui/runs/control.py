"""What a person may ask of a run, from any process: stop, pause, go on, resume."""

import os
import pwd
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from cifar_tui.errors import UserError
from cifar_tui.locks import ASKED, Lock, changing, is_held
from cifar_tui.runs.events import Ended
from cifar_tui.runs.folder import Order, RunFolder
from cifar_tui.runs.listing import Run, read_run
from cifar_tui.runs.origin import require_images
from cifar_tui.runs.record import ENDED, Status, is_alive

BY_USER = "stopped by the user"
"""Why a run ended that a person ordered to stop: by a key, a command or Ctrl-C."""


RESUMABLE = ("stopped", "crashed", "failed", "stale")
"""How a run ends, or seems to, that can go on."""


def by_signal(number: int) -> str:
    """Why a run ends when its program gets this signal; SIGINT is Ctrl-C."""
    name = signal.Signals(number).name
    return BY_USER if number == signal.SIGINT else f"its program was ended by {name}"


def order(run: Run, wanted: Order) -> None:
    """Leave an order in the run's control file; raises UserError when nobody would obey it.

    A stop stands until it is obeyed, whatever is ordered after it. A run whose files were damaged
    while it trains obeys, too.
    """
    folder = RunFolder(run.path)
    obeyed = ("running", "paused", *(("queued", "stale") if wanted == "stop" else ()))
    if run.status not in obeyed and not (run.status == "unreadable" and is_taken(folder)):
        raise UserError(f"{run.name} is {run.status}; there is nothing to {wanted}.")
    if wanted != "stop" and folder.read_order() == "stop":
        raise UserError(f"{run.name} was asked to stop; `runs resume` lets it go on once it has.")
    try:
        folder.write_order(wanted)
    except OSError as error:
        raise UserError(f"Cannot leave an order in {run.path}: {error.strerror}.") from None


def is_taken(folder: RunFolder) -> bool:
    """Whether some process trains the run."""
    return bool(is_held(folder.path / "lock"))


def requeue(run: Run, *, keep_order: bool = False) -> RunFolder:
    """Mark an unfinished run as queued, to go on from its last whole epoch; raises UserError.

    Of several that do so at the same time, one does. With `keep_order`, what was ordered and not
    yet obeyed is obeyed then.
    """
    require_resumable(run, anywhere=keep_order)
    folder = RunFolder(run.path)
    if run.status == "stale" and is_taken(folder):
        raise UserError(f"{run.name} is silent, but a process still holds it; look on its host.")
    _require_writable(run)
    died_as = ("running", "paused") if run.status in ("crashed", "stale") else ()
    try:
        with changing(run.path):
            now = read_run(run.path)
            if not keep_order:
                if now.status not in (run.status, *died_as):
                    raise UserError(f"{run.name} is {now.status} already.")
                folder.clear_order()
            folder.write_summary(now.summary.model_copy(update={"status": "queued", "reason": ""}))
    except OSError as error:
        raise UserError(f"Cannot write {run.path}: {error.strerror}.") from None
    return folder


def _require_writable(run: Run) -> None:
    """Raise UserError where this user may not train the run, as it is another's."""
    for path in (run.path, run.path / "lock", run.path / "events.jsonl"):
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise UserError(
                f"{run.name} cannot be resumed by you, as you may not write {path}, "
                f"which belongs to {user_name(path.stat().st_uid)}."
            )


def user_name(number: int) -> str:
    """Who a user id belongs to."""
    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return f"user {number}"


def require_resumable(run: Run, *, anywhere: bool = False) -> None:
    """Raise UserError for a run that cannot go on, as far as is known without reading images.

    With `anywhere`, its images are not looked for: they may be where it is trained.
    """
    if run.status in ("running", "paused"):
        raise UserError(f"{run.name} is {run.status} already.")
    if run.status in ("finished", "diverged", "unreadable"):
        raise UserError(f"{run.name} is {run.status}; there is nothing to resume.")
    if run.edited:
        raise UserError(edited_words(run, run.edited))
    if only_best(run):
        raise UserError(only_best_words(run))
    if not anywhere:
        require_images(run)


def only_best_words(run: Run) -> str:
    """Why a run without last.pt cannot go on."""
    return f"{run.name} kept only best.pt and cannot be resumed; train it anew."


def edited_words(run: Run, edited: str) -> str:
    """Why a run whose settings were changed after epochs were trained cannot go on."""
    return (
        f"{run.name} was {edited}; put the old values back to resume it, or train a new run "
        f"with `cifar-tui train --spec {run.path / 'spec.toml'}`."
    )


def lost(run: Run, reason: str = "") -> Run:
    """The run as a process that is gone leaves it, ready to be queued again."""
    changes = {"status": "crashed", "reason": reason}
    return replace(run, summary=run.summary.model_copy(update=changes))


def only_best(run: Run) -> bool:
    """Whether a run that was begun has given up last.pt, without which it would start again."""
    folder = RunFolder(run.path)
    return run.summary.epochs_done > 0 and folder.best.exists() and not folder.last.exists()


def end(folder: RunFolder, status: Status, reason: str) -> bool:
    """Record the end of a run that nobody trains; tells whether it was so."""
    with Lock(folder.path / "lock") as mine:
        run = read_run(folder.path)
        if run.problem or run.status in ENDED or not mine.take(within=ASKED):
            return False
        summary = run.summary.model_copy(update={"status": status, "reason": reason})
        told = summary.model_dump(mode="json")
        event = Ended(status, reason, summary=told, time=round(time.time(), 3))
        folder.clear_order()
        folder.mend_events()
        folder.append(event, durable=True)
        folder.write_summary(summary)
        return True


def waits_unseen(run: Run) -> bool:
    """Whether a run waits in a process that cannot be asked, as of a container that is no more."""
    worker = run.progress.worker if run.progress else None
    return run.status == "queued" and bool(worker and not worker.job and is_alive(worker) is None)


def left_behind(runs: Sequence[Run]) -> list[Run]:
    """The queued runs whose process is gone, oldest first."""
    return [run for run in runs if run.status == "queued" and run.left_behind]


def is_in_training(run: Run) -> bool:
    """Whether some process trains it at this moment."""
    return run.status in ("running", "paused")


def in_training(runs: Sequence[Run]) -> list[Run]:
    """The runs that some process trains at this moment."""
    return list(filter(is_in_training, runs))


Reason = tuple[str, Callable[[Run], bool]]
STAY: tuple[Reason, ...] = (("in training", is_in_training), ("pinned", lambda r: r.notes.pinned))
"""Why a run is not moved to the trash with others."""


def without(runs: Sequence[Run], reasons: Sequence[Reason]) -> tuple[list[Run], str]:
    """The runs for which no reason holds, and in words how many were left out for which."""
    kept, left = list(runs), []
    for why, holds in reasons:
        count = sum(map(holds, kept))
        kept = [run for run in kept if not holds(run)]
        left += [f"{count} {why}"] * bool(count)
    return kept, f" Left out: {', '.join(left)}." if left else ""
