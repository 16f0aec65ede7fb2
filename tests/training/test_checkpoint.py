"""What a checkpoint holds, wherever its run was trained."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.step import make_optimiser, state_of
from cifar_tui.training.trainer import seeded_model


def tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors(part)


def test_a_gpus_checkpoint_holds_nothing_that_needs_the_gpu() -> None:
    """Its tensors are made up on a GPU that this machine does not have."""
    model = seeded_model(RunSpec(batch_norm=True))
    optimiser = state_of(make_optimiser(model, RunSpec(), torch.device("cpu")))
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    trained = [parameter.shape for parameter in model.parameters()]
    with FakeTensorMode():
        weights = {name: torch.empty(shape, device="cuda:3") for name, shape in shapes.items()}
        momentum = [torch.empty(shape, device="cuda:3") for shape in trained]
        optimiser["state"] = dict(enumerate({"momentum_buffer": m} for m in momentum))
        content = Checkpoint(weights, 1, 0.1, optimiser, 1, RunSpec(), None).content()
        found = list(tensors(content))
    assert len(found) == len(weights) + len(momentum)
    assert {str(tensor.device) for tensor in found} == {"cpu"}
