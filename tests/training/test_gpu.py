"""What only a GPU can show: its graphs, precisions, checkpoints and captures that fail."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.loading import open_dataset
from cifar_tui.runs.events import EpochDone, Remark
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import PlainBatches, TrainBatches, epoch_seed
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.device import set_precision
from cifar_tui.training.graphed import GraphedStep, make_step
from cifar_tui.training.schedule import lr_at
from cifar_tui.training.step import AnyStep, Step, evaluate, make_optimiser, set_lr
from cifar_tui.training.trainer import run_epoch, seeded_model, train
from tests.training import read
from tests.training.test_step import SPECS

pytestmark = pytest.mark.gpu
GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
EPOCHS = 3
MORE = {
    "dropout": RunSpec(batch_norm=True, dropout=0.3, lr=0.05, batch_size=44),
    "tf32": RunSpec(batch_norm=True, precision="tf32", lr=0.05, batch_size=44),
    "bf16": RunSpec(batch_norm=True, precision="bf16", lr=0.05, batch_size=44),
    "resnet-bf16": RunSpec(model="resnet", depth=8, precision="bf16", lr=0.1, batch_size=16),
    "resnet-tf32": RunSpec(model="resnet", depth=8, precision="tf32", lr=0.1, batch_size=16),
    "all": RunSpec(
        batch_norm=True, dropout=0.2, l1=1e-4, precision="bf16", schedule="cosine", batch_size=44
    ),
}


@pytest.fixture(scope="module")
def dataset(tiny_course: Path) -> Dataset:
    return open_dataset(str(tiny_course))


def make(
    spec: RunSpec, batches: TrainBatches, kind: type[Step] = Step, device: torch.device = GPU
) -> Step:
    set_precision(spec, device)
    model = seeded_model(spec).to(device).to(memory_format=torch.channels_last)
    return kind(model, make_optimiser(model, spec, device), batches, spec)


def drive(step: AnyStep, plain: Step, batches: TrainBatches, spec: RunSpec) -> list[Any]:
    """Train as the trainer does; the loss and accuracy of each epoch."""
    found = []
    for epoch in range(1, EPOCHS + 1):
        set_lr(plain.optimiser, lr_at(spec, epoch))
        torch.manual_seed(epoch_seed(spec.seed, epoch))
        run_epoch(step, batches.epoch(epoch), len(batches), epoch, lambda *_: 0.0)
        found.append(step.means.read(len(batches)))
    return found


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(map(torch.equal, a, b))


@pytest.mark.parametrize("name", SPECS | MORE)
def test_a_graphed_step_gives_the_plain_steps_numbers_bit_by_bit(
    name: str, dataset: Dataset
) -> None:
    spec = (SPECS | MORE)[name].model_copy(update={"augment": True})
    batches = TrainBatches(dataset.train, spec, GPU)
    plain, other = make(spec, batches), make(spec, batches)
    graphed, remark = make_step(other, batches.epoch(1))
    assert (type(graphed), remark) == (GraphedStep, "")
    assert drive(graphed, other, batches, spec) == drive(plain, plain, batches, spec)
    assert same(other.tensors(), plain.tensors())


def losses(events: Any) -> list[tuple[float, float]]:
    return [(e.train_loss, e.val_loss) for e in events if isinstance(e, EpochDone)]


class Kept(dict[int, bytes]):
    """The checkpoints of a run by their epoch."""

    def __call__(self, checkpoint: Checkpoint, is_best: bool) -> None:
        self[checkpoint.epoch] = checkpoint.to_bytes()


@pytest.mark.parametrize("model", ["simplenn", "resnet"])
def test_a_resumed_run_gives_the_numbers_of_one_left_alone(model: str, dataset: Dataset) -> None:
    spec = RunSpec(model=model, depth=8, batch_norm=True, dropout=0.2, epochs=3, lr=0.05)
    kept, quiet = Kept(), (lambda *_: 0.0)
    whole = losses(train(spec, dataset, GPU, quiet, kept))
    rest = losses(train(spec, dataset, GPU, quiet, lambda *_: None, read(kept[1])))
    assert rest == whole[1:]


def test_a_checkpoint_loads_without_a_word_of_the_gpu(dataset: Dataset) -> None:
    kept = Kept()
    list(train(RunSpec(epochs=1), dataset, GPU, lambda *_: 0.0, kept))
    content = torch.load(io.BytesIO(kept[1]), weights_only=True)
    momentum = [state["momentum_buffer"] for state in content["optimiser"]["state"].values()]
    tensors = [*content["state_dict"].values(), *momentum]
    assert {tensor.device for tensor in tensors} == {CPU}


def test_evaluation_agrees_with_the_cpu(dataset: Dataset) -> None:
    spec = RunSpec(model="resnet", depth=8)
    set_precision(spec, GPU)
    model = seeded_model(spec)
    here, there = (
        evaluate(model.to(device), PlainBatches(dataset.val, spec, device), spec, device)
        for device in (CPU, GPU)
    )
    assert there[0] == pytest.approx(here[0], rel=1e-4)
    assert there[1] == pytest.approx(here[1], abs=0.01)


class Breaks(Step):
    """Waits for the device, which a step may and a capture may not."""

    def __call__(self, windows: Tensor, labels: Tensor) -> None:
        super().__call__(windows, labels)
        self.means.loss.item()


def test_a_capture_that_fails_leaves_the_run_and_the_next_one_as_they_were(
    dataset: Dataset,
) -> None:
    spec = RunSpec(batch_norm=True, dropout=0.3, lr=0.05, batch_size=44)
    batches = TrainBatches(dataset.train, spec, GPU)
    plain, broken = make(spec, batches), make(spec, batches, Breaks)
    step, remark = make_step(broken, batches.epoch(1))
    assert step is broken
    assert remark.startswith("Trains step by step")
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert drive(step, broken, batches, spec) == drive(plain, plain, batches, spec)
    again, remark = make_step(make(spec, batches), batches.epoch(1))
    assert (type(again), remark) == (GraphedStep, "")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two NVIDIA GPUs")
def test_a_second_gpu_trains_as_the_first(dataset: Dataset) -> None:
    """With the first one before it in the same process, and from a graph on both."""
    found = []
    for device in (GPU, torch.device("cuda", 1)):
        events = list(train(RunSpec(epochs=2), dataset, device, lambda *_: 0.0, lambda *_: None))
        assert not [event for event in events if isinstance(event, Remark)]
        found.append(losses(events))
    assert found[1] == pytest.approx(found[0], rel=1e-3)
