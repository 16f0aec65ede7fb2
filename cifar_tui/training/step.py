"""The training step, SGD and its state, the evaluation of a split, and their running means."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import PlainBatches
from cifar_tui.training.device import forward


def make_optimiser(model: nn.Module, spec: RunSpec, device: torch.device) -> torch.optim.SGD:
    """SGD over all parameters, each with the same weight decay, as the assignment has it.

    On a GPU the learning rate is a tensor there, which a captured graph reads at each replay.
    """
    return torch.optim.SGD(
        model.parameters(),
        lr=torch.tensor(spec.lr, device=device) if device.type == "cuda" else spec.lr,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
        weight_decay=spec.l2,
        fused=device.type in ("cpu", "cuda"),
    )


def set_lr(optimiser: torch.optim.SGD, lr: float) -> None:
    """Use another learning rate from the next step on."""
    (group,) = optimiser.param_groups
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


def state_of(optimiser: torch.optim.SGD) -> dict[str, Any]:
    """The optimiser's state with a plain number as its learning rate."""
    state = optimiser.state_dict()
    groups = [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]
    return {**state, "param_groups": groups}


def load_state(optimiser: torch.optim.SGD, state: dict[str, Any]) -> None:
    """Take over a checkpoint's state and keep the way this optimiser computes.

    Momentum is laid out in memory like its weight, as fused SGD pairs the two by address.
    """
    (group,) = optimiser.param_groups
    own = {name: group[name] for name in ("lr", "fused", "foreach")}
    optimiser.load_state_dict(state)
    optimiser.param_groups[0].update(own)
    for weight, kept in optimiser.state.items():
        momentum = kept.get("momentum_buffer")
        if momentum is not None:
            kept["momentum_buffer"] = torch.empty_like(weight).copy_(momentum)


class Means:
    """Sample-weighted mean loss and accuracy, kept on the device and read once."""

    def __init__(self, device: torch.device) -> None:
        exact = torch.float32 if device.type == "mps" else torch.float64
        self.loss = torch.zeros((), dtype=exact, device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)

    def clear(self) -> None:
        """Begin anew."""
        self.loss.zero_()
        self.correct.zero_()

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count one batch by its mean loss, its logits (B,10) and its labels (B,)."""
        self.loss += loss.detach() * len(labels)
        self.correct += (logits.detach().argmax(1) == labels).sum()

    def read(self, images: int) -> tuple[float, float]:
        """(mean loss, accuracy as a fraction) over the images counted; waits for the device."""
        return float(self.loss) / images, int(self.correct) / images


class Cut(Protocol):
    """What a step needs of its batches."""

    def cut(self, windows: Tensor) -> Tensor:
        """Images float (B,3,32,32) of these windows."""


class AnyStep(Protocol):
    """One step on one batch, however it is computed."""

    model: nn.Module
    means: Means

    def __call__(self, windows: Tensor, labels: Tensor) -> None:
        """Cut the images, update the weights, count loss and hits; all on the device."""

    def tensors(self) -> list[Tensor]:
        """All that a step changes."""


class Step:
    """One step of SGD on one batch: the reference that every fast path must match."""

    def __init__(
        self, model: nn.Module, optimiser: torch.optim.SGD, batches: Cut, spec: RunSpec
    ) -> None:
        self.model = model
        self.optimiser = optimiser
        self.means = Means(next(model.parameters()).device)
        self._cut = batches.cut
        self._parameters = list(model.parameters())
        self._spec = spec

    def __call__(self, windows: Tensor, labels: Tensor) -> None:
        """Cut the images, update the weights, count loss and hits; all on the device."""
        loss, logits = self.update(self._cut(windows), labels)
        self.means.add(loss, logits, labels)

    def update(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Update the weights; returns (mean cross-entropy without penalties, logits)."""
        self.optimiser.zero_grad(set_to_none=True)
        logits = forward(self.model, images, self._spec)
        loss = nn.functional.cross_entropy(logits, labels)
        loss.backward()
        if self._spec.l1:
            self._add_l1_gradient()
        self.optimiser.step()
        return loss, logits

    def tensors(self) -> list[Tensor]:
        """All that a step changes."""
        states = self.optimiser.state.values()
        momentum = [s["momentum_buffer"] for s in states if s.get("momentum_buffer") is not None]
        counts = [self.means.loss, self.means.correct]
        return [*self.model.parameters(), *self.model.buffers(), *momentum, *counts]

    @torch.no_grad()
    def _add_l1_gradient(self) -> None:
        """Add the gradient of l1 * sum|w|, as if the penalty were part of the loss."""
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad.add_(parameter.sign(), alpha=self._spec.l1)


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    batches: PlainBatches,
    spec: RunSpec,
    device: torch.device,
    tick: Callable[[int], None] = lambda images: None,
) -> tuple[float, float]:
    """(mean loss, accuracy) over a whole labelled split in evaluation mode."""
    model.eval()
    means = Means(device)
    done = 0
    for images, labels in batches:
        logits = forward(model, images, spec)
        means.add(nn.functional.cross_entropy(logits, labels), logits, labels)
        done += len(labels)
        tick(done)
    return means.read(done)


@torch.inference_mode()
def probabilities(
    model: nn.Module,
    batches: PlainBatches,
    spec: RunSpec,
    tick: Callable[[int], None] = lambda images: None,
    *,
    mirrored: bool = False,
) -> Tensor:
    """Softmax outputs float64 (N,10) on the CPU, in order, in evaluation mode.

    `mirrored` flips each image left to right. Twice the precision keeps logits that differ apart,
    so that the most likely class is the one of the largest logit.
    """
    model.eval()
    found: list[Tensor] = []
    done = 0
    for images in batches.images():
        logits = forward(model, images.flip(3) if mirrored else images, spec)
        found.append(logits.cpu().double().softmax(1))
        done += len(images)
        tick(done)
    return torch.cat(found)


def predict(
    model: nn.Module,
    batches: PlainBatches,
    spec: RunSpec,
    tick: Callable[[int], None] = lambda images: None,
) -> list[int]:
    """The most likely label of each image, in order, in evaluation mode."""
    return [int(label) for label in probabilities(model, batches, spec, tick).argmax(1)]
