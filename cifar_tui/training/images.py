"""The images that a trained run is looked at with: its own, or the same in another folder."""

from cifar_tui.data import Dataset, find, open_dataset
from cifar_tui.errors import UserError
from cifar_tui.runs.listing import Run, read_meta


def images_of(run: Run, data: str | None, split: str, command: str) -> Dataset:
    """The images asked for, else those the run was trained on; both from the same source.

    Raises UserError, also where `split` has no images; it tells how `command` takes another folder.
    """
    where = _trained_on(run) if data is None else data
    source = run.summary.source or "unknown"
    try:
        if find(where).source != source:
            raise UserError(
                f"{run.id} was trained on {source} images, and there are none in {where}."
            )
        dataset = open_dataset(where)
        if not len(dataset.splits[split]):
            raise UserError(f"There is no {split} split in {dataset.folder}.")
    except UserError as error:
        hint = f"`cifar-tui {command} {run.id} --data DIR` takes another folder."
        raise UserError(f"{str(error).removesuffix('.')}; {hint}") from None
    return dataset


def _trained_on(run: Run) -> str:
    """Where the run's images were when it was trained."""
    if run.synthetic:
        return "demo"
    dataset = read_meta(run.path).get("dataset")
    folder = dataset.get("folder") if isinstance(dataset, dict) else None
    if isinstance(folder, str):
        return folder
    return run.spec.data if run.spec else "data"
