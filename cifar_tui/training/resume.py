"""What a run goes on with: its own checkpoint, its own settings and its own images, or nothing."""

from collections.abc import Callable
from pathlib import Path

from cifar_tui.data.dataset import Dataset
from cifar_tui.errors import UserError
from cifar_tui.runs.control import edited_words, only_best_words
from cifar_tui.runs.events import Ended, Resumed, Started, read_events
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.runs.origin import Origin, image_words, other_images, without_images
from cifar_tui.runs.record import ENDED
from cifar_tui.spec.settings import edited
from cifar_tui.spec.spec import RunSpec
from cifar_tui.text import plain
from cifar_tui.training.checkpoint import Checkpoint, load
from cifar_tui.training.faults import Mismatch


def resume_point(run: Run, spec: RunSpec, origin: Origin) -> tuple[Checkpoint | None, str]:
    """The checkpoint to go on from, and a remark when it is not last.pt.

    None where nothing was trained yet: such a run starts, with whatever its settings are now.
    Raises Mismatch for a checkpoint that is not the run's or of other settings, and UserError when
    there are checkpoints and none can be read.
    """
    folder, remark = RunFolder(run.path), ""
    if not folder.last.exists():
        if folder.best.exists():
            raise Mismatch(only_best_words(run))
        return None, ""
    try:
        found, path = load(folder.last), folder.last
    except UserError as error:
        if not folder.best.exists():
            raise
        found, path = load(folder.best), folder.best
        remark = f"{error} Resumed from best.pt of epoch {found.epoch} instead."
    if not found.epoch and not folder.best.exists():
        return None, ""
    require_own(run, origin, found, path)
    if changed := edited(found.spec, spec):
        raise Mismatch(edited_words(run, changed))
    return found, remark


def require_own(run: Run, origin: Origin, checkpoint: Checkpoint, path: Path) -> None:
    """Raise Mismatch for a checkpoint that another run wrote."""
    if checkpoint.run not in ("", origin.run):
        raise Mismatch(
            f"{path} belongs to another run, {plain(checkpoint.run[:80])}; put {run.name}'s own "
            f"{path.name} back."
        )


def own_images(
    run: Run,
    origin: Origin,
    checkpoint: Checkpoint | None,
    where: str,
    read: Callable[[str], Dataset],
) -> Dataset:
    """The images to train on: with a checkpoint those it was trained on, or Mismatch is raised."""
    if checkpoint is None:
        return read(where)
    try:
        dataset = read(where)
    except UserError as error:
        raise Mismatch(without_images(run, error)) from None
    known = {origin.fingerprint, checkpoint.fingerprint} - {""}
    if origin.source not in ("", dataset.source) or not known.issubset(dataset.fingerprints):
        found = image_words(dataset.source, dataset.fingerprint)
        raise Mismatch(other_images(run, origin, where, found))
    return dataset


def ended_as(run: Path) -> str:
    """The status with which a run that was queued again had ended before, by its events."""
    told = [e for e in read_events(run) if isinstance(e, Started | Resumed | Ended)]
    if not told:
        return "stopped"
    last = told[-1]
    return last.status if isinstance(last, Ended) and last.status in ENDED else "crashed"
