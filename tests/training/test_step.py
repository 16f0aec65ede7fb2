"""The engine's step against a plain loop, and captures that leave no trace."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.loading import open_dataset
from cifar_tui.features.bench.plain import plain_model
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import TrainBatches
from cifar_tui.training.graphed import make_step, preserved
from cifar_tui.training.schedule import lr_at
from cifar_tui.training.step import Step, load_state, make_optimiser, set_lr, state_of
from cifar_tui.training.trainer import seeded_model

CPU = torch.device("cpu")
STEPS = 50

SPECS = {
    "simplenn": RunSpec(lr=0.05, batch_size=44),
    "bn": RunSpec(batch_norm=True, lr=0.05, batch_size=64),
    "swish": RunSpec(activation="swish", momentum=0.5, batch_size=44),
    "bn-swish": RunSpec(batch_norm=True, activation="swish", lr=0.05, batch_size=44),
    "l1": RunSpec(l1=1e-3, l2=0, batch_size=44),
    "nesterov": RunSpec(nesterov=True, l2=1e-2, batch_size=55),
    "no-momentum": RunSpec(momentum=0, batch_norm=True, batch_size=44),
    "step-schedule": RunSpec(schedule="step", decay_every=2, lr=0.05, batch_size=44),
    "milestones": RunSpec(schedule="milestones", milestones=(1, 3), lr=0.05, batch_size=44),
    "cosine-warm-up": RunSpec(schedule="cosine", epochs=10, warmup=2, lr=0.05, batch_size=44),
    "resnet": RunSpec(model="resnet", depth=8, lr=0.1, batch_size=16),
    "resnet-b": RunSpec(model="resnet", depth=8, shortcut="B", activation="swish", batch_size=16),
    "resnet-wide": RunSpec(model="resnet", depth=8, width=8, conv_bias=True, batch_size=16),
    "resnet-none": RunSpec(model="resnet", depth=8, shortcut="none", l1=1e-4, batch_size=16),
}
FIRST = ("simplenn", "bn-swish", "l1", "nesterov", "cosine-warm-up", "resnet")
"""Those that are tried in fp64 whenever tests are run: between them, whatever a step may do."""
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Largest difference in a loss or a weight within 50 steps."""
SLOWER = {"simplenn": 0.003, "resnet": 0.0003}
"""What lr is multiplied by in fp32: at full speed a rounding that flips one ReLU grows to percents
within 50 steps, in any two programs and differently on each CPU; what fp32 must prove is that
nothing else differs."""


@pytest.fixture(scope="module")
def dataset(tiny_course: Path) -> Dataset:
    return open_dataset(str(tiny_course))


def make(spec: RunSpec, dataset: Dataset, dtype: torch.dtype = torch.float32) -> Step:
    """The engine's step over freshly seeded weights."""
    model = seeded_model(spec).to(dtype).to(memory_format=torch.channels_last).train()
    batches = TrainBatches(dataset.train, spec, CPU)
    return Step(model, make_optimiser(model, spec, CPU), batches, spec)


def draws(spec: RunSpec, dataset: Dataset) -> list[tuple[int, Tensor, Tensor, Tensor]]:
    """(epoch, windows, images, labels) of the first steps, last smaller batches included."""
    batches = TrainBatches(dataset.train, spec, CPU)
    found = [
        (epoch, windows, batches.cut(windows), labels)
        for epoch in range(1, STEPS)
        for windows, labels in batches.epoch(epoch)
    ][:STEPS]
    assert len({len(labels) for *_, labels in found}) == 2, "both batch sizes are tried"
    return found


def plain_step(
    model: nn.Module,
    velocity: list[Tensor],
    images: Tensor,
    labels: Tensor,
    spec: RunSpec,
    lr: float,
) -> float:
    """SGD written out (Sutskever et al. 2013, as PyTorch's documentation has it)."""
    loss = nn.functional.cross_entropy(model(images.contiguous()), labels)
    penalty = spec.l1 * sum(p.abs().sum() for p in model.parameters())
    grads = torch.autograd.grad(loss + penalty, list(model.parameters()))
    with torch.no_grad():
        for p, g, v in zip(model.parameters(), grads, velocity, strict=True):
            g = g + spec.l2 * p
            v.mul_(spec.momentum).add_(g)
            p -= lr * (g + spec.momentum * v if spec.nesterov else v)
    return float(loss.detach())


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(
            name,
            dtype,
            marks=[] if name in FIRST and dtype == torch.float64 else [pytest.mark.slow],
            id=f"{name}-{dtype}",
        )
        for name in SPECS
        for dtype in TOLERANCE
    ],
)
def test_the_step_matches_a_plain_loop_after_50_steps(
    name: str, dtype: torch.dtype, dataset: Dataset
) -> None:
    """Same draws and start, but nets, SGD, L1 and schedule written out in the plainest way."""
    spec = SPECS[name].model_copy(update={"augment": True})
    if dtype == torch.float32:
        spec = spec.model_copy(update={"lr": spec.lr * SLOWER[spec.model]})
    step = make(spec, dataset, dtype)
    plain = plain_model(spec).to(dtype).train()
    plain.load_state_dict(step.model.state_dict())
    start = [p.detach().clone() for p in plain.parameters()]
    velocity = [torch.zeros_like(p) for p in plain.parameters()]
    for epoch, _, images, labels in draws(spec, dataset):
        images = images.to(dtype)
        set_lr(step.optimiser, lr_at(spec, epoch))
        loss, _ = step.update(images, labels)
        wanted = plain_step(plain, velocity, images, labels, spec, lr_at(spec, epoch))
        assert loss.item() == pytest.approx(wanted, rel=TOLERANCE[dtype])
    ours, theirs = step.model.state_dict(), plain.state_dict()
    assert ours.keys() == theirs.keys()
    apart = {key: float((ours[key] - theirs[key]).abs().max()) for key in ours}
    assert max(apart.values()) < TOLERANCE[dtype], apart
    pairs = zip(start, plain.parameters(), strict=True)
    moved = max(float((p - q).detach().abs().max()) for p, q in pairs)
    learned = max(apart[name] for name, _ in plain.named_parameters())
    assert moved > 10 * learned, "they agree on a way, not only on its beginning"


def test_the_step_counts_sample_weighted_loss_and_hits(dataset: Dataset) -> None:
    spec = RunSpec(batch_size=44, lr=1e-9)
    step = make(spec, dataset)
    step.means.clear()
    for epoch in (1, 2):
        for windows, labels in TrainBatches(dataset.train, spec, CPU).epoch(epoch):
            step(windows, labels)
    images = torch.from_numpy(dataset.train.images)
    cut = TrainBatches(dataset.train, spec, CPU).cut
    with torch.no_grad():
        logits = step.model(cut(torch.arange(len(images)) * 1024))
        labels = torch.from_numpy(dataset.train.labels)
        loss = nn.functional.cross_entropy(logits, labels)
    found = step.means.read(2 * len(images))
    assert found == pytest.approx(
        (float(loss), float((logits.argmax(1) == labels).double().mean()))
    )


@pytest.mark.parametrize("trained", [False, True], ids=["fresh", "resumed"])
def test_what_a_capture_tries_out_leaves_no_trace(trained: bool, dataset: Dataset) -> None:
    """Weights, momentum, statistics, counts and chance: the run goes on as if nothing had been."""
    spec = RunSpec(batch_norm=True, dropout=0.3, lr=0.05, batch_size=44)
    touched, untouched = make(spec, dataset), make(spec, dataset)
    steps = draws(spec, dataset)
    if trained:
        for _, windows, _, labels in steps[:4]:
            for step in (touched, untouched):
                torch.manual_seed(1)
                step(windows, labels)
    torch.manual_seed(7)
    with preserved(touched):
        for _, windows, _, labels in steps[4:8]:
            touched(windows, labels)
    chance = torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(chance, torch.rand(1))
    for step in (touched, untouched):
        torch.manual_seed(3)
        for _, windows, _, labels in steps[8:12]:
            step(windows, labels)
    for key, value in untouched.model.state_dict().items():
        assert torch.equal(value, touched.model.state_dict()[key]), key
    assert untouched.means.read(1) == touched.means.read(1)
    ours, theirs = state_of(touched.optimiser), state_of(untouched.optimiser)
    for number, state in theirs["state"].items():
        assert torch.equal(state["momentum_buffer"], ours["state"][number]["momentum_buffer"])


def test_loading_a_state_keeps_the_way_this_optimiser_computes(dataset: Dataset) -> None:
    """A GPU's learning rate stays the tensor that its graphs read."""
    model = seeded_model(RunSpec())
    lr = torch.tensor(0.5)
    optimiser = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, fused=True)
    load_state(optimiser, state_of(make_optimiser(model, RunSpec(lr=0.01), CPU)))
    assert optimiser.param_groups[0]["lr"] is lr
    set_lr(optimiser, 0.25)
    assert lr.item() == 0.25
    assert state_of(optimiser)["param_groups"][0]["lr"] == 0.25


LAYOUTS = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}


@pytest.mark.parametrize("trained", LAYOUTS)
@pytest.mark.parametrize("stored", LAYOUTS)
def test_a_checkpoints_momentum_moves_the_weights_it_belongs_to(stored: str, trained: str) -> None:
    """However either lies in memory: a checkpoint may have been stored otherwise."""
    torch.manual_seed(0)
    model = nn.Conv2d(3, 8, 5, bias=False).to(memory_format=LAYOUTS[trained])
    optimiser = make_optimiser(model, RunSpec(lr=0.5, l2=0), CPU)
    momentum, gradient = torch.randn(8, 3, 5, 5), torch.randn(8, 3, 5, 5)
    state = state_of(optimiser)
    state["state"] = {0: {"momentum_buffer": momentum.to(memory_format=LAYOUTS[stored])}}
    load_state(optimiser, state)
    wanted = model.weight.detach() - 0.5 * (0.9 * momentum + gradient)
    model.weight.grad = gradient.to(memory_format=LAYOUTS[trained])
    optimiser.step()
    torch.testing.assert_close(model.weight.detach(), wanted)


def test_a_cpu_takes_the_plain_step(dataset: Dataset) -> None:
    step = make(RunSpec(), dataset)
    assert make_step(step, []) == (step, "")
