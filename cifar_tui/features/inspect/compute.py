"""What a run's best net says of each image of a labelled split, kept with the run."""

import math
from functools import partial

import numpy as np
import torch

from cifar_tui.data.dataset import Dataset, Split
from cifar_tui.errors import Tick, UserError
from cifar_tui.features.inspect.core import (
    PICTURES,
    Evaluation,
    SplitName,
    encoded,
    file_of,
    kept_evaluation,
)
from cifar_tui.models.build import with_weights
from cifar_tui.runs.listing import Run
from cifar_tui.training.batches import PlainBatches
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.device import forward
from cifar_tui.training.resume import derive

BATCH = 250
"""Images per batch; changes no result."""


def evaluation_of(
    run: Run,
    split: SplitName = "val",
    *,
    data: str | None = None,
    redo: bool = False,
    tick: Tick = lambda done, images: None,
) -> Evaluation:
    """The evaluation of best.pt on a split, computed on the CPU unless it is kept with the run.

    `data` is a folder of images, by default the one the run was trained on. `tick` is told the
    images done and in all; what it raises ends the work with nothing written. Raises UserError,
    also for a split without labels.
    """
    return derive(
        run,
        file_of(split),
        partial(kept_evaluation, run, split),
        lambda checkpoint, images, weights: _evaluate(checkpoint, images, split, weights, tick),
        split=split,
        command="inspect",
        data=data,
        redo=redo,
    )


def _evaluate(
    checkpoint: Checkpoint, dataset: Dataset, split: SplitName, weights: str, tick: Tick
) -> Evaluation:
    images = _labelled(dataset, split, checkpoint)
    predicted, confidence, losses = _outcomes(checkpoint, images, tick)
    if not all(map(math.isfinite, losses)):
        raise UserError("What this net says of these images is not finite; there is no accuracy.")
    assert images.labels is not None
    found = Evaluation(
        split=split,
        weights=weights,
        epoch=checkpoint.epoch,
        data=dataset.fingerprint,
        source=dataset.source,
        classes=dataset.classes,
        labels=tuple(images.labels.tolist()),
        predicted=tuple(predicted),
        confidence=tuple(map(_brief, confidence)),
        losses=tuple(map(_brief, losses)),
        pictures=(),
    )
    worst = [images.images[mistake.image] for mistake in found.worst[:PICTURES]]
    kept = tuple(encoded(np.ascontiguousarray(image).tobytes()) for image in worst)
    return found.model_copy(update={"pictures": kept})


def _labelled(dataset: Dataset, split: SplitName, checkpoint: Checkpoint) -> Split:
    """The split with its labels; of the training split only what the run was trained on."""
    images = dataset.splits[split]
    if images.labels is None:
        raise UserError(
            f"The {split} split in {dataset.folder} has no labels, so right and wrong are not "
            "known; the val split has them."
        )
    return images.first(checkpoint.spec.subset) if split == "train" else images


@torch.inference_mode()
def _outcomes(
    checkpoint: Checkpoint, images: Split, tick: Tick
) -> tuple[list[int], list[float], list[float]]:
    """Predicted class, its probability, and the loss of each image.

    On the CPU, so that a run in training keeps its GPU to itself.
    """
    spec = checkpoint.spec.model_copy(update={"val_batch_size": BATCH})
    model = with_weights(spec, checkpoint.state_dict)
    model.to(memory_format=torch.channels_last).eval()
    predicted: list[int] = []
    confidence: list[float] = []
    losses: list[float] = []
    for batch, labels in PlainBatches(images, spec, torch.device("cpu")):
        logs = forward(model, batch, spec).double().log_softmax(1)
        top = logs.max(1)
        predicted += top.indices.tolist()
        confidence += top.values.exp().tolist()
        losses += (-logs.gather(1, labels[:, None])[:, 0]).tolist()
        tick(len(losses), len(images))
    return predicted, confidence, losses


def _brief(value: float) -> float:
    """Six digits, as more would say nothing and fill the file."""
    return float(f"{abs(value):.6g}")
