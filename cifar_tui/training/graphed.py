"""The training step replayed from CUDA graphs, one for each batch size of an epoch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from cifar_tui.training.faults import is_device_lost, is_out_of_memory
from cifar_tui.training.step import AnyStep

Batch = tuple[Tensor, Tensor]
"""Windows and labels, as a step takes them."""
WARM_UP = 3
"""Steps before a capture, in which cuDNN, cuBLAS and the optimiser set up what they keep."""


def make_step(step: AnyStep, batches: Iterable[Batch]) -> tuple[AnyStep, str]:
    """The fastest step that works on the step's device, and a remark if it is not the usual one.

    `batches` are those of a whole epoch, so that each size is among them. Raises as `checked` does.
    """
    if step.means.loss.device.type != "cuda":
        return step, ""
    one_of_each = {len(labels): (windows, labels) for windows, labels in batches}
    return checked(step, GraphedStep, list(one_of_each.values()))


def checked(
    step: AnyStep,
    capture: Callable[[AnyStep, Sequence[Batch]], AnyStep],
    samples: Sequence[Batch],
) -> tuple[AnyStep, str]:
    """What `capture` makes of the step if it gives the same numbers, else the step and a remark.

    Nothing of the run's state is changed. Raises the error of a device that is full or lost, on
    which the step itself would not work either.
    """
    try:
        fast = capture(step, samples)
        wrong = difference(step, fast, samples)
        if not wrong:
            return fast, ""
        del fast
    except RuntimeError as error:
        if is_out_of_memory(error) or is_device_lost(error):
            raise
        wrong = (str(error).splitlines() or [type(error).__name__])[0]
    torch.cuda.empty_cache()
    return step, f"Trains step by step, not from a CUDA graph: {wrong}"


def difference(step: AnyStep, fast: AnyStep, samples: Sequence[Batch]) -> str:
    """How a fast form of a step differs from it on any of the batches, by a single bit or more.

    Empty where it does not. Both start from the run's state, which is left as it was.
    """
    step.model.train()
    for batch in samples:
        wanted = _outcome(step, step, batch)
        before = [tensor.detach().clone() for tensor in step.tensors()]
        found = _outcome(step, fast, batch)
        if _equal(found, before):
            return f"a batch of {len(batch[1])} changes nothing"
        if not _equal(found, wanted):
            return f"a batch of {len(batch[1])} gives other numbers"
    return ""


def _outcome(step: AnyStep, form: AnyStep, batch: Batch) -> list[Tensor]:
    with preserved(step):
        form(*batch)
        return [tensor.detach().clone() for tensor in step.tensors()]


def _equal(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> bool:
    """Whether all numbers are the same, NaN being the same as NaN."""
    pairs = zip(found, wanted, strict=True)
    return all(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in pairs)


@dataclass
class _Graph:
    graph: torch.cuda.CUDAGraph
    windows: Tensor
    labels: Tensor


class GraphedStep:
    """The same numbers as the plain step, without a launch from Python for each operation.

    Each capture records cut, augmentation, forward, backward, update and counts (CUDA Graphs in
    the PyTorch documentation). Weights, momentum, statistics and learning rate stay in the tensors
    that the plain step uses, so that either can go on where the other stopped.
    """

    def __init__(self, step: AnyStep, samples: Sequence[Batch]) -> None:
        """Record a graph for the size of each sample; nothing of the run's state is changed by it.

        Raises RuntimeError when the device or the driver cannot do it.
        """
        self._step = step
        self._graphs: dict[int, _Graph] = {}
        self._pool = torch.cuda.graph_pool_handle()
        self.model = step.model
        self.means = step.means
        step.model.train()
        with preserved(step):
            for windows, labels in samples:
                self._graphs[len(labels)] = self._record(windows.clone(), labels.clone())

    def __call__(self, windows: Tensor, labels: Tensor) -> None:
        """As the plain step; a batch size without a graph takes the plain step itself."""
        found = self._graphs.get(len(labels))
        if found is None:
            self._step(windows, labels)
            return
        found.windows.copy_(windows)
        found.labels.copy_(labels)
        found.graph.replay()

    def replay(self, size: int) -> None:
        """Take the step on the batch of this size that was given last."""
        self._graphs[size].graph.replay()

    def tensors(self) -> list[Tensor]:
        """As the plain step."""
        return self._step.tensors()

    def _record(self, windows: Tensor, labels: Tensor) -> _Graph:
        """Capture one step; the graphs of one run share memory, as they never run at once."""
        current = torch.cuda.current_stream(windows.device)
        side = _side_stream(windows.device)
        side.wait_stream(current)
        try:
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    self._step(windows, labels)
        finally:
            current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(
                graph, pool=self._pool, stream=side, capture_error_mode="thread_local"
            ):
                self._step(windows, labels)
        finally:
            # A capture that cannot be ended leaves its own stream as the thread's.
            torch.cuda.set_stream(current)
        return _Graph(graph, windows, labels)


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """The one stream on which a device's graphs are recorded: cuBLAS keeps memory for each stream.

    torch's own belongs to whichever device was current when it was first asked for.
    """
    return torch.cuda.Stream(device)


@contextmanager
def preserved(step: AnyStep) -> Iterator[None]:
    """Put weights, statistics, momentum, counts and the random state back as they were, in place.

    Momentum that did not exist before becomes zero, from which SGD's first step is the same.
    """
    tensors = step.tensors()
    before = [tensor.detach().clone() for tensor in tensors]
    known = {id(tensor) for tensor in tensors}
    device = step.means.loss.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value in zip(tensors, before, strict=True):
                    tensor.copy_(value)
                for tensor in step.tensors():
                    if id(tensor) not in known:
                        tensor.zero_()
