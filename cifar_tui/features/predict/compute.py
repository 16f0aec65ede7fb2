"""predictions.csv from a run's best checkpoint."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cifar_tui.data.dataset import Dataset
from cifar_tui.features.predict.core import (
    check_output,
    drop_record,
    output_path,
    write_predictions,
)
from cifar_tui.models.build import build_model
from cifar_tui.runs.listing import Run
from cifar_tui.spec.spec import CLASSES, RunSpec
from cifar_tui.text import accuracy, plain
from cifar_tui.training.batches import PlainBatches
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.step import predict
from cifar_tui.training.trained import best_of, images_of, remark_on

BATCH = 250
"""Images per batch; changes no result."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Export:
    """What was exported: the file, from which epoch, and how often each label occurs.

    `classes` names the labels where the images came with names.
    """

    run: str
    output: str
    rows: int
    epoch: int
    val_acc: float | None
    counts: dict[str, int]
    classes: tuple[str, ...]
    synthetic: bool
    remark: str = ""
    """That the images are not those the run was trained on."""

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)

    def sentence(self) -> str:
        """What was written, for people, with the label counts in two columns."""
        lines = [
            f"{self.rows:,} predictions are in {plain(self.output)}.",
            f"best val_acc {accuracy(self.val_acc)} @ {self.epoch}",
        ]
        if self.remark:
            lines.append(self.remark)
        if self.synthetic:
            lines.append("That is the demo set (synthetic): nothing to hand in.")
        return "\n".join([*lines, "", "label counts", *self._count_lines()])

    def _count_lines(self) -> list[str]:
        names = [
            f"{label} {plain(name)}".rstrip()
            for label, name in zip(self.counts, self.classes or ("",) * CLASSES, strict=True)
        ]
        width = max(map(len, names))
        counts = self.counts.values()
        cells = [f"{n:<{width}}  {count:>6,}" for n, count in zip(names, counts, strict=True)]
        half = CLASSES // 2
        return [f"{a}     {b}" for a, b in zip(cells[:half], cells[half:], strict=True)]


def export_predictions(
    run: Run,
    output: Path | None = None,
    *,
    data: str | None = None,
    overwrite: bool = False,
    tick: Callable[[int, int], None] = lambda done, images: None,
) -> Export:
    """Predict the test split with best.pt and write it; raises UserError.

    `data` is a folder of images, by default the one the run was trained on. `tick` is told the
    images done and in all between batches; what it raises ends the export with nothing written.
    """
    path = output_path(output, run.synthetic)
    check_output(path, overwrite)
    checkpoint, _ = best_of(run)
    dataset = images_of(run, data, "test", "export")
    labels = _labels(checkpoint, dataset, tick)
    drop_record(path)
    write_predictions(path, labels, overwrite=overwrite)
    return Export(
        run=run.id,
        output=str(path),
        rows=len(labels),
        epoch=checkpoint.epoch,
        val_acc=checkpoint.best.val_acc if checkpoint.best else None,
        counts=counts_of(labels),
        classes=dataset.classes,
        synthetic=dataset.synthetic,
        remark=remark_on(run, dataset),
    )


def _labels(
    checkpoint: Checkpoint, dataset: Dataset, tick: Callable[[int, int], None]
) -> list[int]:
    model, spec = model_of(checkpoint)
    images = len(dataset.test)
    batches = PlainBatches(dataset.test, spec, CPU)
    return predict(model, batches, spec, lambda done: tick(done, images))


def model_of(checkpoint: Checkpoint) -> tuple[nn.Module, RunSpec]:
    """The checkpoint's net on the CPU, so that a run in training keeps its GPU to itself.

    It is built without weights, as drawing them would disturb that run's chance.
    """
    spec = checkpoint.spec.model_copy(update={"val_batch_size": BATCH})
    with torch.device("meta"):
        model = build_model(spec)
    model.load_state_dict(checkpoint.state_dict, assign=True)
    return model.to(memory_format=torch.channels_last), spec


def counts_of(labels: Sequence[int]) -> dict[str, int]:
    """How often each label occurs."""
    counts = Counter(labels)
    return {str(label): counts[label] for label in range(CLASSES)}
