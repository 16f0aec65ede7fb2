"""A slice of a net's loss surface along two random directions (Li et al. 2018, section 4).

Each filter of a direction is scaled to the norm of the net's own filter, so that nets whose
weights differ in size can be compared; biases and batch norm stay as they are. Batch norm keeps
the running statistics of the trained net all over the slice.
"""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from cifar_tui.data.batches import PlainBatches
from cifar_tui.data.dataset import Dataset, Split
from cifar_tui.errors import UserError
from cifar_tui.models import build_model
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.runs.surface import Slice, Surface, fingerprint, read_surface, write_surface
from cifar_tui.training.checkpoint import Checkpoint, load
from cifar_tui.training.images import images_of

BATCH = 50
"""Images per batch; so few stay in a CPU's cache."""
CPU = torch.device("cpu")
Tick = Callable[[int, int], None]
Point = tuple[int, int]


def surface_of(
    run: Run,
    wanted: Slice,
    *,
    data: str | None = None,
    redo: bool = False,
    tick: Tick = lambda done, points: None,
) -> Surface:
    """The slice around a run's best weights, computed on the CPU unless it is kept with the run.

    `tick` is told the points done and in all; what it raises ends the work with nothing written.
    Raises UserError.
    """
    kept = None if redo else read_surface(run.path, wanted)
    if kept is not None:
        return kept
    path = RunFolder(run.path).best
    checkpoint = load(path)
    dataset = images_of(run, data, "val", "surface")
    found = compute(checkpoint, dataset, wanted, _fingerprint(path), tick)
    try:
        write_surface(run.path, found)
    except OSError as error:
        raise UserError(f"Cannot write into {run.path}: {error.strerror}.") from None
    return found


def _fingerprint(path: Path) -> str:
    try:
        return fingerprint(path)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None


def compute(
    checkpoint: Checkpoint, dataset: Dataset, wanted: Slice, weights: str, tick: Tick
) -> Surface:
    """The losses on the first `images` validation images at every point of the slice."""
    images = min(wanted.images, len(dataset.val))
    spec = checkpoint.spec.model_copy(update={"val_batch_size": BATCH, "precision": "fp32"})
    with torch.device("meta"):
        model = build_model(spec)
    model.load_state_dict(checkpoint.state_dict, assign=True)
    model.to(memory_format=torch.channels_last).eval().requires_grad_(False)
    _pool_in_pairs(model)
    assert dataset.val.labels is not None
    some = Split(dataset.val.images[:images], dataset.val.labels[:images])
    batches = list(PlainBatches(some, spec, CPU))
    began = time.perf_counter()
    losses: list[list[float | None]] = [[None] * wanted.size for _ in range(wanted.size)]
    points = wanted.size**2
    with torch.inference_mode():
        centre = _loss(model, batches)
        for done, ((row, column), loss) in enumerate(_walk(model, batches, wanted), 1):
            losses[row][column] = loss
            tick(done, points)
    if centre is None:
        raise UserError("The loss of these weights is not finite; there is no surface around it.")
    return Surface(
        slice=wanted,
        weights=weights,
        epoch=checkpoint.epoch,
        source=dataset.source,
        centre=centre,
        seconds=time.perf_counter() - began,
        losses=tuple(map(tuple, losses)),
    )


class _PairwisePool(nn.Module):
    """2x2 max pooling of even sides, without the indices that only a gradient needs."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H/2, W/2)."""
        rows = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


def _pool_in_pairs(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            setattr(module, name, _PairwisePool())
        else:
            _pool_in_pairs(child)


def _walk(
    model: nn.Module, batches: list[tuple[Tensor, Tensor]], wanted: Slice
) -> Iterator[tuple[Point, float | None]]:
    """Move the model to each point of the grid and measure its loss there."""
    moved = {n: p for n, p in model.named_parameters() if p.dim() > 1}
    start = {name: weight.clone() for name, weight in moved.items()}
    generator = torch.Generator().manual_seed(wanted.seed)
    first, second = (random_direction(start, generator) for _ in range(2))
    steps = torch.linspace(-wanted.radius, wanted.radius, wanted.size).tolist()
    for row, up in enumerate(steps):
        for column, along in enumerate(steps):
            for name, weight in moved.items():
                weight.copy_(start[name]).add_(first[name], alpha=along)
                weight.add_(second[name], alpha=up)
            yield (row, column), _loss(model, batches)


def random_direction(weights: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """A normally distributed direction, each filter or neuron scaled to the norm of the net's."""
    found = {}
    for name, weight in weights.items():
        drawn = torch.randn(weight.shape, generator=generator)
        ours, theirs = (t.flatten(1).norm(dim=1) for t in (weight, drawn))
        scale = (ours / theirs.clamp_min(1e-10)).view(-1, *[1] * (weight.dim() - 1))
        found[name] = torch.empty_like(weight).copy_(drawn * scale)
    return found


def _loss(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float | None:
    """Mean cross-entropy over the images, or None where it is not finite."""
    total, count = 0.0, 0
    for images, labels in batches:
        logits = model(images)
        total += float(nn.functional.cross_entropy(logits, labels)) * len(labels)
        count += len(labels)
    return total / count if math.isfinite(total) else None
