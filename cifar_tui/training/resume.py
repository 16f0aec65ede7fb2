"""What a run goes on with, or is looked at with: its own checkpoint, settings and images."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.find import find
from cifar_tui.data.loading import open_dataset
from cifar_tui.errors import UserError
from cifar_tui.files import fingerprint
from cifar_tui.runs.control import edited_words, only_best_words
from cifar_tui.runs.derived import Kind, write_derived
from cifar_tui.runs.events import Ended, Resumed, Started, read_events
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.runs.origin import (
    USUAL,
    Origin,
    image_words,
    origin_of,
    other_images,
    without_images,
)
from cifar_tui.runs.record import ENDED
from cifar_tui.spec.checks import edited
from cifar_tui.spec.settings import RunSpec
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


def images_of(run: Run, data: str | None, split: str, command: str) -> Dataset:
    """The run's own images, or those in the folder `data`, which are from the same source.

    Raises UserError, also where `split` has no images; it tells how `command` takes another folder.
    """
    origin = origin_of(run)
    usual = run.spec.data if run.spec else USUAL
    where = origin.where(usual, run.summary.spec.get("data", usual)) if data is None else data
    source = origin.source or "unknown"
    try:
        if find(where).source != source:
            raise UserError(
                f"{run.id} was trained on {source} images, and there are none in {where}."
            )
        dataset = open_dataset(where)
        if data is None and remark_on(run, dataset):
            found = image_words(dataset.source, dataset.fingerprint)
            raise UserError(f"{run.id} was trained on {origin.words}, and {where} now has {found}.")
        if not len(dataset.splits[split]):
            raise UserError(f"There is no {split} split in {dataset.folder}.")
    except UserError as error:
        hint = f"`cifar-tui {command} {run.id} --data DIR` takes another folder."
        raise UserError(f"{str(error).removesuffix('.')}; {hint}") from None
    return dataset


def remark_on(run: Run, dataset: Dataset) -> str:
    """What to say beside figures of these images; empty where they are the run's own."""
    origin = origin_of(run)
    return origin.remark(origin.known_as(dataset.fingerprints))


def best_of(run: Run) -> tuple[Checkpoint, str]:
    """The run's best checkpoint and what tells its file apart; raises UserError as `load` does.

    The file is told apart before it is read: should it be replaced meanwhile, what is computed from
    it counts as stale. A checkpoint that another run wrote is refused.
    """
    path, weights = RunFolder(run.path).best, ""
    with contextlib.suppress(OSError):
        weights = fingerprint(path)
    checkpoint = load(path)
    require_own(run, origin_of(run), checkpoint, path)
    return checkpoint, weights


def derive(
    run: Run,
    file: str,
    kept: Callable[[str | None], Kind | None],
    compute: Callable[[Checkpoint, Dataset, str], Kind],
    *,
    split: str,
    command: str,
    data: str | None = None,
    redo: bool = False,
) -> Kind:
    """What `file` keeps of the run's best weights, else what is computed of them and then kept.

    `kept` reads the file, given the fingerprint of other images than the run's own; `compute` is
    given the checkpoint, the images, and what tells the checkpoint's file apart. Raises UserError
    as `images_of` and `best_of` do.
    """
    origin = origin_of(run)
    dataset = None if data is None else images_of(run, data, split, command)
    found = None if redo else kept(origin.known_as(dataset.fingerprints) if dataset else None)
    if found is not None:
        return found
    checkpoint, weights = best_of(run)
    dataset = dataset or images_of(run, None, split, command)
    computed = compute(checkpoint, dataset, weights)
    computed = computed.model_copy(update={"data": origin.known_as(dataset.fingerprints)})
    with contextlib.suppress(OSError):  # a folder that cannot be written keeps none
        write_derived(run.path / file, computed)
    return computed
