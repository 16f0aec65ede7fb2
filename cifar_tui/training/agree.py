"""What two runs, or files of predictions, say of the same images."""

from collections.abc import Callable
from pathlib import Path

from cifar_tui.data.batches import PlainBatches
from cifar_tui.data.dataset import Split, empty_split
from cifar_tui.errors import Tick, UserError
from cifar_tui.formats import plain
from cifar_tui.runs.agreement import Agreement, agree
from cifar_tui.runs.listing import Run
from cifar_tui.runs.predictions import read_predictions
from cifar_tui.training.ensemble import counter, same_images
from cifar_tui.training.export import CPU, model_of
from cifar_tui.training.images import best_of, images_of, remark_on
from cifar_tui.training.step import predict


def agreement(
    a: Run | Path,
    b: Run | Path,
    split: str,
    *,
    data: str | None = None,
    tick: Tick = lambda done, total: None,
) -> Agreement:
    """Compare two runs' best nets, or files of predictions, on a split; raises UserError.

    The true labels are looked at on val only: the test split picks no model. They come from a
    run's own images, or from the folder `data`.
    """
    runs = [one for one in (a, b) if isinstance(one, Run)]
    if len(runs) == 2:
        same_images(runs)
    dataset = images_of(runs[0], data, split, "runs agree") if runs else None
    if dataset is None and split == "val":
        raise UserError("Of two files only --split test can be compared: no run has the labels.")
    images = dataset.splits[split] if dataset else empty_split()
    counted = counter(len(runs), len(images), tick)
    found = [
        read_predictions(one) if isinstance(one, Path) else _predicted(one, images, next(counted))
        for one in (a, b)
    ]
    truth = dataset.val.labels if dataset and split == "val" else None
    return agree(
        (_name(a), _name(b)),
        (found[0], found[1]),
        split,
        None if truth is None else truth.tolist(),
        classes=dataset.classes if dataset else (),
        synthetic=bool(dataset and dataset.synthetic),
        remark=remark_on(runs[0], dataset) if dataset else "",
    )


def _predicted(run: Run, split: Split, tick: Callable[[int], None]) -> list[int]:
    model, spec = model_of(best_of(run)[0])
    return predict(model, PlainBatches(split, spec, CPU), spec, tick)


def _name(subject: Run | Path) -> str:
    return plain(str(subject) if isinstance(subject, Path) else subject.name)
