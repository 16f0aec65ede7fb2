"""Several runs that differ only in numbers, trained as one batched model.

The weights of all runs are stacked and the net is mapped over them (`torch.func.vmap`, as in the
PyTorch tutorial on model ensembling), so that one launch serves every run.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from cifar_tui.data.dataset import Dataset
from cifar_tui.runs.events import Remark, RunEvent
from cifar_tui.spec.checks import SETTINGS
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import PlainBatches, TrainBatches
from cifar_tui.training.device import forward, make_current, set_precision, synchronize
from cifar_tui.training.graphed import make_step
from cifar_tui.training.optimiser import make_optimiser, set_lr, state_of
from cifar_tui.training.step import AnyStep, Means
from cifar_tui.training.trainer import (
    BatchTick,
    Keep,
    RunState,
    initial_loss,
    run_epoch,
    seeded_model,
    train_metrics,
)


@dataclass(frozen=True)
class Member:
    """One of the runs: its spec, and who keeps its checkpoints."""

    spec: RunSpec
    keep: Keep


def can_share(a: RunSpec, b: RunSpec) -> bool:
    """Whether two runs can be trained together; runs with dropout cannot, as each draws its own."""
    shared = (name for name, setting in SETTINGS.items() if not setting.together)
    return all(getattr(a, name) == getattr(b, name) for name in shared) and a.dropout == 0


def train_together(
    members: Sequence[Member],
    dataset: Dataset,
    device: torch.device,
    tick: BatchTick,
    left: Callable[[], set[int]] = set,
) -> Iterator[tuple[int, RunEvent]]:
    """Train all at once; yields (number of the member, event), each member's as when alone.

    Members in `left` are dropped between two epochs; one that diverges or stops early ends alone.
    Raises ValueError for specs that cannot share.
    """
    specs = [member.spec for member in members]
    if not all(can_share(specs[0], spec) for spec in specs):
        raise ValueError("these specs cannot be trained together")
    make_current(device)
    set_precision(specs[0], device)
    batches = TrainBatches(dataset.train, specs[0], device)
    validation = PlainBatches(dataset.val, specs[0], device)
    states = [RunState(member.spec, member.keep) for member in members]
    models = [seeded_model(spec).to(device) for spec in specs]
    for number, (state, model) in enumerate(zip(states, models, strict=True)):
        yield number, state.start(model, initial_loss(model, validation, specs[number], device))
        empty = state_of(make_optimiser(model, specs[number], torch.device("cpu")))
        state.keep_initial(model.state_dict(), empty)

    stack = Stack(models, specs, batches)
    going = list(range(len(members)))
    step: AnyStep | None = None
    while going:
        epoch = states[going[0]].epoch
        if step is None:
            step, remark = make_step(stack, _draw(stack, batches, epoch))
            if remark:
                yield from ((number, Remark(remark)) for number in going)
        set_precision(specs[0], device)
        stack.set_lr([states[number].lr for number in going])
        draws = _draw(stack, batches, epoch)
        seconds = run_epoch(step, draws, len(batches), epoch, tick)
        read = stack.means.read_each(len(batches))
        validated = _validate(stack, validation, epoch, tick)
        gone = left()
        staying: list[int] = []
        for place, number in enumerate(going):
            if number in gone:
                continue
            state = states[number]
            metrics = train_metrics(read[place], len(batches), seconds) | validated[place]
            for event in state.close_epoch(metrics, batches.steps, *stack.state(place)):
                yield number, event
            if not state.over:
                staying.append(place)
        if len(staying) < len(going):
            going, step = [going[place] for place in staying], None
            stack.keep(staying)


class Stack:
    """The stacked weights of several runs and one step of SGD on all of them.

    Its interface is that of the plain step, with windows and labels (R, B) for R runs.
    """

    def __init__(
        self, models: Sequence[nn.Module], specs: Sequence[RunSpec], batches: TrainBatches
    ) -> None:
        self.model = models[0]
        """The net's form; its own weights are not used."""
        self.specs = list(specs)
        self._rates = [spec.lr for spec in specs]
        self._cut = batches.cut
        self._names = [name for name, _ in models[0].named_parameters()]
        self._take(*stack_module_state(list(models)))

    def _take(
        self,
        weights: dict[str, Any],
        statistics: dict[str, Any],
        velocity: dict[str, Tensor] | None = None,
    ) -> None:
        self.weights = {name: w.detach().requires_grad_() for name, w in weights.items()}
        self.statistics = statistics
        self.velocity = velocity or {n: torch.zeros_like(w) for n, w in weights.items()}
        like = next(iter(self.weights.values()))
        self.means = Means(like.device, like.shape[:1])
        self._numbers = {
            name: torch.tensor([getattr(spec, name) for spec in self.specs], device=like.device)
            for name in ("lr", "l1", "l2", "momentum")
        }
        self._has_l1 = any(spec.l1 for spec in self.specs)

    def set_lr(self, rates: Sequence[float]) -> None:
        """Use another learning rate for each run from the next step on."""
        self._rates = list(rates)
        self._numbers["lr"].copy_(torch.tensor(rates))

    def tensors(self) -> list[Tensor]:
        """All that a step changes."""
        groups = (self.weights, self.statistics, self.velocity)
        found = [tensor for group in groups for tensor in group.values()]
        return [*found, self.means.loss, self.means.correct]

    def __call__(self, windows: Tensor, labels: Tensor) -> None:
        """Cut the images, update all runs' weights, count loss and hits; all on the device."""
        images = self._cut(windows.flatten()).unflatten(0, windows.shape)
        losses, logits = vmap(self._loss)(self.weights, self.statistics, images, labels)
        gradients = torch.autograd.grad(losses.sum(), [self.weights[n] for n in self._names])
        self._update(gradients)
        self.means.add(losses, logits, labels)

    def _loss(
        self,
        weights: dict[str, Tensor],
        statistics: dict[str, Tensor],
        images: Tensor,
        labels: Tensor,
    ) -> tuple[Tensor, Tensor]:
        logits = self._logits(weights, statistics, images)
        return nn.functional.cross_entropy(logits, labels), logits

    def _logits(
        self, weights: dict[str, Tensor], statistics: dict[str, Tensor], images: Tensor
    ) -> Tensor:
        def net(images: Tensor) -> Tensor:
            return functional_call(self.model, (weights, statistics), (images,))

        return forward(net, images, self.specs[0])

    @torch.no_grad()
    def _update(self, gradients: Sequence[Tensor]) -> None:
        """SGD with each run's own numbers, as `torch.optim.SGD` computes it."""
        nesterov = self.specs[0].nesterov
        for name, gradient in zip(self._names, gradients, strict=True):
            weight, velocity = self.weights[name], self.velocity[name]
            shape = (-1, *[1] * (weight.dim() - 1))
            lr, l1, l2, momentum = (v.view(shape) for v in self._numbers.values())
            gradient = gradient + l2 * weight
            if self._has_l1:
                gradient = gradient + l1 * weight.sign()
            velocity.mul_(momentum).add_(gradient)
            weight.sub_(lr * (gradient + momentum * velocity if nesterov else velocity))

    @torch.no_grad()
    def evaluate(self, images: Tensor, labels: Tensor, means: Means) -> None:
        """Count one batch of validation images (B,3,32,32), the same for all runs."""
        logits = vmap(self._logits, in_dims=(0, 0, None))(self.weights, self.statistics, images)
        every = labels.expand(len(logits), -1)
        losses = nn.functional.cross_entropy(
            logits.flatten(0, 1), every.flatten(), reduction="none"
        )
        means.add(losses.view(every.shape).mean(1), logits, every)

    def state(
        self, place: int
    ) -> tuple[Callable[[], dict[str, Tensor]], Callable[[], dict[str, Any]]]:
        """What makes one run's weights and optimiser state, as if it had been trained alone."""

        def weights() -> dict[str, Tensor]:
            both = self.weights | self.statistics
            return {name: both[name][place].detach() for name in self.model.state_dict()}

        def optimiser() -> dict[str, Any]:
            alone = make_optimiser(self.model, self.specs[place], torch.device("cpu"))
            set_lr(alone, self._rates[place])
            if self.specs[place].momentum:
                for name, parameter in self.model.named_parameters():
                    momentum = self.velocity[name][place].detach().cpu()
                    alone.state[parameter]["momentum_buffer"] = momentum
            return state_of(alone)

        return weights, optimiser

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these runs only."""
        if len(places) == len(self.specs) or not places:
            return
        index = torch.tensor(places, device=self.means.loss.device)
        self.specs = [self.specs[place] for place in places]
        kept = (
            {name: tensor.detach()[index].clone() for name, tensor in group.items()}
            for group in (self.weights, self.statistics, self.velocity)
        )
        self._take(*kept)


def _draw(stack: Stack, batches: TrainBatches, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows and labels (R, B) of each batch, drawn for each run from its own seed."""
    drawn = [batches.shuffled(spec, epoch) for spec in stack.specs]
    windows, labels = (torch.stack(part) for part in zip(*drawn, strict=True))
    size = stack.specs[0].batch_size
    yield from zip(windows.split(size, 1), labels.split(size, 1), strict=True)


def _validate(
    stack: Stack, validation: PlainBatches, epoch: int, tick: BatchTick
) -> list[dict[str, float]]:
    """Each run's metrics of validation."""
    stack.model.eval()
    device = stack.means.loss.device
    means = Means(device, stack.means.loss.shape)
    done, held = 0, 0.0
    began = time.perf_counter()
    for images, labels in validation:
        stack.evaluate(images, labels, means)
        done += len(labels)
        held += tick("val", epoch, done, len(validation), lambda: synchronize(device))
    found = means.read_each(done)
    seconds = time.perf_counter() - began - held
    return [{"val_loss": f[0], "val_acc": f[1], "val_seconds": seconds} for f in found]
