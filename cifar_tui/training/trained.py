"""The images and weights that a trained run is looked at with: its own, unless others are named."""

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.find import find
from cifar_tui.data.loading import open_dataset
from cifar_tui.errors import UserError
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.runs.origin import USUAL, image_words, origin_of
from cifar_tui.training.checkpoint import Checkpoint, load_known
from cifar_tui.training.resume import require_own


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

    A checkpoint that another run wrote is refused.
    """
    path = RunFolder(run.path).best
    checkpoint, weights = load_known(path)
    require_own(run, origin_of(run), checkpoint, path)
    return checkpoint, weights
