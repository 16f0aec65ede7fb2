"""A fast form of the step is used only where it gives the step's own numbers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cifar_tui.data.loading import open_dataset
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import TrainBatches
from cifar_tui.training.graphed import Batch, checked
from cifar_tui.training.step import Step, make_optimiser
from cifar_tui.training.trainer import seeded_model

CPU = torch.device("cpu")
SPEC = RunSpec(batch_norm=True, dropout=0.3, augment=True, lr=0.05, batch_size=44)
Form = Callable[[Step, Tensor, Tensor], None]


class Fast:
    """Stands in for a replayed step, which no CPU can record."""

    def __init__(self, step: Step, form: Form) -> None:
        self.model, self.means, self.tensors = step.model, step.means, step.tensors
        self._step, self._form = step, form

    def __call__(self, windows: Tensor, labels: Tensor) -> None:
        self._form(self._step, windows, labels)


@pytest.fixture(scope="module")
def batches(tiny_course: Path) -> TrainBatches:
    return TrainBatches(open_dataset(str(tiny_course)).train, SPEC, CPU)


@pytest.fixture(params=[False, True], ids=["fresh", "trained"])
def step(request: pytest.FixtureRequest, batches: TrainBatches) -> Step:
    model = seeded_model(SPEC).to(memory_format=torch.channels_last).train()
    found = Step(model, make_optimiser(model, SPEC, CPU), batches, SPEC)
    if request.param:
        for batch in list(batches.epoch(1))[:3]:
            found(*batch)
    return found


@pytest.fixture(scope="module")
def samples(batches: TrainBatches) -> list[Batch]:
    found = list(batches.epoch(2))
    assert [len(labels) for _, labels in (found[0], found[-1])] == [44, 28]
    return [found[0], found[-1]]


def the_same(step: Step, windows: Tensor, labels: Tensor) -> None:
    step(windows, labels)


def nothing(step: Step, windows: Tensor, labels: Tensor) -> None:
    pass


def another_rate(step: Step, windows: Tensor, labels: Tensor) -> None:
    step.optimiser.param_groups[0]["lr"] = 0.050001
    step(windows, labels)
    step.optimiser.param_groups[0]["lr"] = 0.05


def another_chance(step: Step, windows: Tensor, labels: Tensor) -> None:
    torch.rand(1)
    step(windows, labels)


def other_images(step: Step, windows: Tensor, labels: Tensor) -> None:
    step(windows.flip(0), labels)


def no_counts(step: Step, windows: Tensor, labels: Tensor) -> None:
    counts = step.means.loss.clone(), step.means.correct.clone()
    step(windows, labels)
    step.means.loss.copy_(counts[0])
    step.means.correct.copy_(counts[1])


def no_statistics(step: Step, windows: Tensor, labels: Tensor) -> None:
    before = {name: value.clone() for name, value in step.model.named_buffers()}
    step(windows, labels)
    for name, value in step.model.named_buffers():
        value.copy_(before[name])


def no_momentum(step: Step, windows: Tensor, labels: Tensor) -> None:
    step(windows, labels)
    for state in step.optimiser.state.values():
        state["momentum_buffer"].zero_()


def a_wrong_last_batch(step: Step, windows: Tensor, labels: Tensor) -> None:
    (nothing if len(labels) == 28 else the_same)(step, windows, labels)


WRONG: dict[Form, str] = {
    nothing: "a batch of 44 changes nothing",
    another_rate: "a batch of 44 gives other numbers",
    another_chance: "a batch of 44 gives other numbers",
    other_images: "a batch of 44 gives other numbers",
    no_counts: "a batch of 44 gives other numbers",
    no_statistics: "a batch of 44 gives other numbers",
    no_momentum: "a batch of 44 gives other numbers",
    a_wrong_last_batch: "a batch of 28 changes nothing",
}


def recorder(form: Form) -> Callable[[Step, Sequence[Batch]], Fast]:
    return lambda step, samples: Fast(step, form)


def state(step: Step) -> list[Tensor]:
    """All that a step changes, and the chance it draws from."""
    weights = [*step.model.state_dict().values(), step.means.loss, step.means.correct]
    return [*(tensor.detach().clone() for tensor in weights), torch.get_rng_state()]


def test_a_form_with_the_same_numbers_is_used(step: Step, samples: list[Batch]) -> None:
    before = state(step)
    fast, remark = checked(step, recorder(the_same), samples)
    assert isinstance(fast, Fast)
    assert remark == ""
    assert all(map(torch.equal, state(step), before))


@pytest.mark.parametrize("form", WRONG, ids=lambda form: form.__name__)
def test_any_other_form_leaves_the_run_to_its_plain_step(
    form: Form, step: Step, samples: list[Batch]
) -> None:
    before = state(step)
    found, remark = checked(step, recorder(form), samples)
    assert found is step
    assert remark == f"Trains step by step, not from a CUDA graph: {WRONG[form]}"
    assert all(map(torch.equal, state(step), before))


def refuse(text: str, kind: type[RuntimeError] = RuntimeError) -> Callable[..., Fast]:
    def capture(step: Step, samples: Sequence[Batch]) -> Fast:
        step(*samples[0])
        raise kind(text)

    return capture


def test_a_capture_that_fails_is_remarked(step: Step, samples: list[Batch]) -> None:
    text = "CUDA error: operation not permitted when stream is capturing\nSearch for it"
    found, remark = checked(step, refuse(text), samples)
    assert found is step
    assert remark.endswith("operation not permitted when stream is capturing")


@pytest.mark.parametrize(
    "capture",
    [
        refuse("CUDA out of memory. Tried to allocate 2.00 GiB", torch.OutOfMemoryError),
        refuse("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        refuse("CUDA error: an illegal memory access was encountered"),
    ],
    ids=["out of memory", "cuBLAS out of memory", "device lost"],
)
def test_a_device_that_is_full_or_lost_is_no_matter_of_the_form(
    capture: Callable[..., Fast], step: Step, samples: list[Batch]
) -> None:
    with pytest.raises(RuntimeError):
        checked(step, capture, samples)
