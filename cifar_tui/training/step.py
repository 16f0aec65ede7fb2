"""The training step, the evaluation of a split, and their running means."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cifar_tui.data.batches import PlainBatches
from cifar_tui.spec import RunSpec
from cifar_tui.training.device import forward


class Means:
    """Sample-weighted mean loss and accuracy, kept on the device and read once."""

    def __init__(self, device: torch.device) -> None:
        exact = torch.float32 if device.type == "mps" else torch.float64
        self._loss = torch.zeros((), dtype=exact, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._images = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count one batch by its mean loss and its logits (B,10)."""
        self._loss += loss.detach() * len(labels)
        self._correct += (logits.detach().argmax(1) == labels).sum()
        self._images += len(labels)

    def read(self) -> tuple[float, float]:
        """(mean loss, accuracy as a fraction); waits for the device."""
        return float(self._loss) / self._images, int(self._correct) / self._images


class Step:
    """One update of the weights by SGD on one batch: the reference every fast path must match."""

    def __init__(self, model: nn.Module, optimiser: torch.optim.SGD, spec: RunSpec) -> None:
        self._model = model
        self._optimiser = optimiser
        self._parameters = list(model.parameters())
        self._spec = spec

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Update the weights; returns (mean cross-entropy without penalties, logits)."""
        self._optimiser.zero_grad(set_to_none=True)
        logits = forward(self._model, images, self._spec)
        loss = nn.functional.cross_entropy(logits, labels)
        loss.backward()
        if self._spec.l1:
            self._add_l1_gradient()
        self._optimiser.step()
        return loss, logits

    @torch.no_grad()
    def _add_l1_gradient(self) -> None:
        """Add the gradient of l1 * sum|w|, as if the penalty were part of the loss."""
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad.add_(parameter.sign(), alpha=self._spec.l1)


def make_optimiser(model: nn.Module, spec: RunSpec, device: torch.device) -> torch.optim.SGD:
    """SGD over all parameters, each with the same weight decay, as the assignment has it."""
    return torch.optim.SGD(
        model.parameters(),
        lr=spec.lr,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
        weight_decay=spec.l2,
        fused=device.type in ("cpu", "cuda"),
    )


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
    return means.read()


@torch.inference_mode()
def predict(
    model: nn.Module,
    batches: PlainBatches,
    spec: RunSpec,
    tick: Callable[[int], None] = lambda images: None,
) -> list[int]:
    """The most likely label of each image, in order, in evaluation mode."""
    model.eval()
    found: list[Tensor] = []
    done = 0
    for images in batches.images():
        found.append(forward(model, images, spec).argmax(1))
        done += len(images)
        tick(done)
    return [int(label) for label in torch.cat(found).cpu()]
