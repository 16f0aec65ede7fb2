"""The training step replayed from CUDA graphs, one for each batch size of an epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from cifar_tui.training.step import AnyStep

WARM_UP = 3
"""Steps before a capture, in which cuDNN, cuBLAS and the optimiser set up what they keep."""


def make_step(step: AnyStep) -> tuple[AnyStep, str]:
    """The fastest step that works on the step's device, and a remark if it is not the usual one."""
    device = step.means.loss.device
    if device.type != "cuda":
        return step, ""
    graphed = GraphedStep(step)
    try:
        graphed.capture(graphed.batch_sizes)
    except RuntimeError as error:
        torch.cuda.synchronize(device)
        reason = str(error).splitlines()[0]
        return step, f"Trains step by step, not from a CUDA graph: {reason}"
    return graphed, ""


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

    def __init__(self, step: AnyStep) -> None:
        self._step = step
        self._graphs: dict[int, _Graph] = {}
        self.model = step.model
        self.means = step.means
        self.batch_sizes = step.batch_sizes

    def __call__(self, windows: Tensor, labels: Tensor) -> None:
        """As the plain step; a batch size without a graph takes the plain step itself."""
        found = self._graphs.get(labels.shape[-1])
        if found is None:
            self._step(windows, labels)
            return
        found.windows.copy_(windows)
        found.labels.copy_(labels)
        found.graph.replay()

    def capture(self, batch_sizes: set[int]) -> None:
        """Record a graph for each batch size; nothing of the run's state is changed by it.

        Raises RuntimeError when the device or the driver cannot do it.
        """
        self.model.train()
        with preserved(self._step):
            for size in batch_sizes:
                self._graphs[size] = self._record(*self._step.inputs(size))

    def tensors(self) -> list[Tensor]:
        """As the plain step."""
        return self._step.tensors()

    def inputs(self, size: int) -> tuple[Tensor, Tensor]:
        """As the plain step."""
        return self._step.inputs(size)

    def _record(self, windows: Tensor, labels: Tensor) -> _Graph:
        side = torch.cuda.Stream(windows.device)
        side.wait_stream(torch.cuda.current_stream(windows.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._step(windows, labels)
        torch.cuda.current_stream(windows.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._step(windows, labels)
        return _Graph(graph, windows, labels)


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
