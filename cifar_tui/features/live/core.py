"""What Live says of a run in words: where it is, what it waits for, and how it ended."""

from collections.abc import Sequence

from rich.text import Text

from cifar_tui.runs.events import EpochDone
from cifar_tui.runs.listing import Look, Run
from cifar_tui.spec.checks import SETTINGS
from cifar_tui.spec.naming import model_name, spec_text
from cifar_tui.table import cut_end
from cifar_tui.text import accuracy, at_epoch, clock, learning_rate, loss, plain, rate
from cifar_tui.training.schedule import lr_at

HAS = {
    "finished": "has finished",
    "stopped": "was stopped",
    "diverged": "has diverged",
    "failed": "has failed",
    "crashed": "has crashed",
    "queued": "waits in a queue",
    "unreadable": "cannot be read",
}


def headline(run: Run, width: int) -> Text:
    """The run's name, with its settings where it was given another, and its best figure."""
    best = f"best val_acc {at_epoch(run.summary.best)} "
    name = plain(run.name)
    if run.synthetic:
        name += " (synthetic demo images)"
    is_named = run.spec and not run.name.startswith(model_name(vars(run.spec)))
    if run.spec and is_named and not run.ended:
        name += f"  {plain(spec_text(run.spec))}"
    return apart(f" {name}", best, width)


def progress_line(look: Look, width: int) -> Text:
    """Where the run is: epoch, bar of the whole run, speed and time left, at fixed widths."""
    summary, progress = look.run.summary, look.progress
    epochs = summary.epochs
    digits = len(str(epochs))
    if look.run.ended or progress is None or not progress.images:
        reason = reason_of(look)
        done = f"epoch {summary.epochs_done}/{epochs}  {clock(summary.seconds)} "
        if not fits(look, width):
            reason = ""
        status = "" if reason.startswith(look.run.status) else look.run.status
        return apart(f" {': '.join(filter(None, (status, reason)))}", done, width)
    share = min(1.0, (progress.epoch - 1 + progress.part) / max(1, epochs))
    does = f"{rate(progress.images_per_second)} img/s"
    if progress.phase == "val":
        does = "validating"
    if progress.phase == "paused" or look.run.status == "paused":
        does = "paused"
    lr = f"lr {learning_rate(lr_at(look.run.spec, progress.epoch))} " if look.run.spec else ""
    left = f" epoch {progress.epoch:>{digits}}/{epochs} {progress.part:4.0%} {lr}"
    right = f" {share:4.0%}  {does:>12}  {clock(progress.seconds_left):>7} left "
    cells = max(4, width - len(left) - len(right) - 2)
    filled = int(cells * share)
    return Text(f"{left}[{'#' * filled}{'.' * (cells - filled)}]{right}", no_wrap=True)


def reason_of(look: Look) -> str:
    """What a run waits for, why it ended, or why it cannot be read."""
    reason = plain(look.run.problem or look.run.summary.reason)
    job = look.progress.worker.job if look.progress else ""
    if look.run.left_behind:
        return "in a process that is gone; r trains it"
    if look.run.status == "queued" and job:
        return ", ".join(filter(None, (reason, f"job {plain(job)}")))
    return reason


def fits(look: Look, width: int) -> bool:
    """Whether the reason has room beside the run's epochs and time."""
    return len(look.run.status) + len(reason_of(look)) + 32 <= width


def told_of(look: Look, width: int, *, verdict: bool, settings: bool, place: str = "") -> str:
    """What there is to say below the line of progress: a reason that is too long for that.

    Of a run that has ended, also what its curves say and its settings, where its name does not; of
    one that waits its `place` in the queue, and what it is to train.
    """
    run = look.run
    waits = run.status in ("queued", "paused")
    parts = [reason_of(look)] if (waits or run.ended) and not fits(look, width) else []
    if run.status == "queued":
        parts.append(place)
        if run.spec:
            rest = run.spec.model_copy(update={"epochs": SETTINGS["epochs"].default})
            parts.append(f"{run.spec.epochs} epochs of {spec_text(rest)}")
    if run.spec and run.ended and settings and run.name != spec_text(run.spec):
        parts.append(spec_text(run.spec))
    if run.ended and verdict:
        parts.append(verdict_of(look.epochs))
    return "\n".join(f" {part}" for part in parts if part)


def verdict_of(epochs: Sequence[EpochDone]) -> str:
    """What the curves of a run that ended say, in a sentence; empty without a finite epoch."""
    known = [e for e in epochs if e.val_acc is not None and e.val_loss is not None]
    if not known:
        return ""
    best, last = max(known, key=lambda e: e.val_acc or 0), known[-1]
    if best.epoch == last.epoch:
        words = "The last epoch is the best, more may help"
    else:
        behind = (best.val_acc or 0) - (last.val_acc or 0)
        words = f"Best epoch {best.epoch}, {accuracy(behind)} above the last"
    if last.train_acc is None or last.val_acc is None:
        return f"{words}."
    gap = last.train_acc - last.val_acc
    side = "above" if gap >= 0 else "below"
    return f"{words}; train_acc ends {accuracy(abs(gap))} {side} val_acc."


def before_training(run: Run) -> str:
    """The loss before the first epoch beside that of chance."""
    first = run.summary.initial_loss
    return "" if first is None else f" before training: loss {loss(first)} (ln 10 = 2.3026)"


def panel_words(look: Look) -> str:
    """`cuda:1 12/30  18.2k img/s 0:00:42 left`, or what the run waits for."""
    summary, progress = look.run.summary, look.progress
    if look.run.status != "running" or progress is None:
        reason = reason_of(look)
        words = f"{look.run.status} {summary.epochs_done}/{summary.epochs}"
        return f"{words}: {reason}" if reason else words
    device = summary.device.partition(" ")[0]
    speed = rate(progress.images_per_second)
    left = clock(progress.seconds_left)
    return f"{device} {progress.epoch}/{summary.epochs}  {speed} img/s {left} left"


def refusal(run: Run | None, training: Sequence[Run]) -> str:
    """Why a key does nothing to this run, and what trains: `lr 2 has finished. lr 6 is training: l
    shows it.`"""
    others = [one for one in training if run is None or one.id != run.id]
    now = "Nothing is training."
    if len(others) == 1:
        now = f"{plain(others[0].name)} is training: l shows it."
    elif others:
        now = f"{len(others)} runs are training: l shows them."
    if run is None:
        return now
    return f"{plain(run.name)} {HAS.get(run.status, f'is {run.status}')}. {now}"


def apart(left: str, right: str, width: int) -> Text:
    """Two texts at both ends of a line; the left one gives way."""
    left = cut_end(left, max(0, width - len(right) - 1))
    return Text(left + " " * max(1, width - len(left) - len(right)) + right, no_wrap=True)
