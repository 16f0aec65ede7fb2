"""A slice of a net's loss surface along two random directions (Li et al. 2018, section 4).

Each filter of a direction is scaled to the norm of the net's own filter, so that nets whose
weights differ in size can be compared; biases and batch norm stay as they are. Batch norm keeps
the running statistics of the trained net all over the slice.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor, nn

from cifar_tui.data.dataset import Dataset, Split
from cifar_tui.errors import Tick, UserError
from cifar_tui.features.surface.core import FILE, Slice, Surface, kept_surface
from cifar_tui.models.build import with_weights
from cifar_tui.runs.listing import Run
from cifar_tui.training.batches import PlainBatches
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.resume import derive

BATCH = 100
"""Images per batch; so few stay in a CPU's cache."""
MOST_THREADS = 16
CPU = torch.device("cpu")
Batches = Sequence[tuple[Tensor, Tensor]]


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
    return derive(
        run,
        FILE,
        partial(kept_surface, run, wanted),
        lambda checkpoint, images, weights: compute(checkpoint, images, wanted, weights, tick),
        split="val",
        command="surface",
        data=data,
        redo=redo,
    )


def compute(
    checkpoint: Checkpoint, dataset: Dataset, wanted: Slice, weights: str, tick: Tick
) -> Surface:
    """The losses on the first `images` validation images at every point of the slice."""
    spec = checkpoint.spec.model_copy(update={"val_batch_size": BATCH, "precision": "fp32"})
    val = dataset.val
    assert val.labels is not None
    some = Split(val.images[: wanted.images], val.labels[: wanted.images])
    batches = list(PlainBatches(some, spec, CPU))
    began = time.perf_counter()
    centre = _Probe(checkpoint, wanted, batches).loss(0.0, 0.0)
    if centre is None:
        raise UserError("The loss of these weights is not finite; there is no surface around it.")
    steps = torch.linspace(-wanted.radius, wanted.radius, wanted.size).tolist()
    points = [(along, up) for up in steps for along in steps]
    losses = _probed(lambda: _Probe(checkpoint, wanted, batches), points, tick)
    size = wanted.size
    return Surface(
        slice=wanted,
        weights=weights,
        epoch=checkpoint.epoch,
        source=dataset.source,
        data=dataset.fingerprint,
        centre=centre,
        seconds=time.perf_counter() - began,
        losses=tuple(tuple(losses[i : i + size]) for i in range(0, size**2, size)),
    )


def _probed(
    make: Callable[[], "_Probe"], points: Sequence[tuple[float, float]], tick: Tick
) -> list[float | None]:
    """The losses at these points, several at a time.

    Each thread works on points of its own with one torch thread: on a busy CPU that is many times
    faster than threads that wait for each other after every layer.
    """
    usual = torch.get_num_threads()
    count = min(usual, MOST_THREADS, len(points))
    ready = threading.Barrier(count + 1)
    own = threading.local()

    def begin() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # makes torch keep to it in this thread
        ready.wait()

    def measure(point: tuple[float, float]) -> float | None:
        if not hasattr(own, "probe"):
            own.probe = make()
        return own.probe.loss(*point)

    with ThreadPoolExecutor(count, initializer=begin) as pool:
        futures = [pool.submit(measure, point) for point in points]
        ready.wait()
        torch.set_num_threads(usual)  # for threads that begin meanwhile, such as a trainer
        losses = []
        try:
            for done, future in enumerate(futures, 1):
                losses.append(future.result())
                tick(done, len(points))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return losses


class _Probe:
    """The net, its weights moved to any point of the slice."""

    def __init__(self, checkpoint: Checkpoint, wanted: Slice, batches: Batches) -> None:
        weights = {name: w.clone() for name, w in checkpoint.state_dict.items()}
        self._model = with_weights(checkpoint.spec, weights)
        self._model.to(memory_format=torch.channels_last).eval().requires_grad_(False)
        _pool_in_pairs(self._model)
        self._moved = {n: p for n, p in self._model.named_parameters() if p.dim() > 1}
        self._start = {name: weight.clone() for name, weight in self._moved.items()}
        generator = torch.Generator().manual_seed(wanted.seed)
        self._along = random_direction(self._start, generator)
        self._up = random_direction(self._start, generator)
        self._batches = batches

    @torch.inference_mode()
    def loss(self, along: float, up: float) -> float | None:
        """Mean cross-entropy so far from the weights; None where it is not finite."""
        for name, weight in self._moved.items():
            weight.copy_(self._start[name])
            weight.add_(self._along[name], alpha=along).add_(self._up[name], alpha=up)
        total, count = 0.0, 0
        for images, labels in self._batches:
            logits = self._model(images)
            total += float(nn.functional.cross_entropy(logits, labels)) * len(labels)
            count += len(labels)
        return total / count if math.isfinite(total) else None


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


def random_direction(weights: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """A normally distributed direction, each filter or neuron scaled to the norm of the net's."""
    found = {}
    for name, weight in weights.items():
        drawn = torch.randn(weight.shape, generator=generator)
        ours, theirs = (t.flatten(1).norm(dim=1) for t in (weight, drawn))
        scale = (ours / theirs.clamp_min(1e-10)).view(-1, *[1] * (weight.dim() - 1))
        found[name] = torch.empty_like(weight).copy_(drawn * scale)
    return found
