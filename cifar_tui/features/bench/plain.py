"""The usual training script, as the assignment has it: the yardstick of `cifar-tui bench`.

PIL transforms one image at a time, a DataLoader with workers, `loss.item()` each step, and nets
written as their tables read. Nothing here is tuned; the tests hold the engine against these nets.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from cifar_tui.data.dataset import Split
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import normalisation

WORKERS = 4


class PlainSplit(TorchDataset[tuple[Tensor, int]]):
    """A split whose images pass through PIL transforms one by one."""

    def __init__(self, split: Split, spec: RunSpec, training: bool) -> None:
        assert split.labels is not None
        self._images = split.images
        self._labels = split.labels
        crop = transforms.RandomCrop(32, padding=spec.crop_padding)
        augment = [crop, transforms.RandomHorizontalFlip()] if training and spec.augment else []
        normalise = transforms.Normalize(*normalisation(spec))
        self._transform = transforms.Compose([*augment, transforms.ToTensor(), normalise])

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[index])), int(self._labels[index])


class PlainSimpleNN(nn.Module):
    """Table 1 of the assignment with the names of its template."""

    def __init__(self, batch_norm: bool, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 5)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.bn1 = nn.BatchNorm2d(8) if batch_norm else nn.Identity()
        self.bn2 = nn.BatchNorm2d(16) if batch_norm else nn.Identity()
        self.fc1 = nn.Linear(576, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)
        self._activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) images to (N, 10) logits."""
        x = functional.max_pool2d(self._activation(self.bn1(self.conv1(x))), 2)
        x = functional.max_pool2d(self._activation(self.bn2(self.conv2(x))), 2)
        x = self._activation(self.fc1(x.flatten(1)))
        return self.fc3(self._activation(self.fc2(x)))


class PlainBlock(nn.Module):
    """A basic block with shortcut A, B or none (He et al. 2016, section 3.3)."""

    def __init__(self, before: int, after: int, spec: RunSpec) -> None:
        super().__init__()
        self._stride = after // before
        self.conv1 = nn.Conv2d(before, after, 3, self._stride, 1, bias=spec.conv_bias)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=spec.conv_bias)
        self.bn2 = nn.BatchNorm2d(after)
        self._kind = spec.shortcut
        self._more = after - before
        if spec.shortcut == "B" and self._more:
            projection = nn.Conv2d(before, after, 1, self._stride, bias=spec.conv_bias)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(after))
        self._activation = ACTIVATIONS[spec.activation]

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) to (N, after, H/stride, W/stride)."""
        y = self.bn2(self.conv2(self._activation(self.bn1(self.conv1(x)))))
        if self._kind != "none":
            y = y + self._short(x)
        return self._activation(y)

    def _short(self, x: Tensor) -> Tensor:
        if not self._more:
            return x
        if self._kind == "B":
            return self.shortcut(x)
        half = self._more // 2
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, half))


class PlainResNet(nn.Module):
    """The CIFAR ResNet of depth 6n+2 (He et al. 2016, section 4.2)."""

    def __init__(self, spec: RunSpec) -> None:
        super().__init__()
        channels = spec.width
        self.conv1 = nn.Conv2d(3, channels, 3, 1, 1, bias=spec.conv_bias)
        self.bn1 = nn.BatchNorm2d(channels)
        stages = []
        for width in (channels, 2 * channels, 4 * channels):
            stage = nn.Sequential()
            for _ in range((spec.depth - 2) // 6):
                stage.append(PlainBlock(channels, width, spec))
                channels = width
            stages.append(stage)
        self.layer1, self.layer2, self.layer3 = stages
        self.fc = nn.Linear(channels, 10)
        self._activation = ACTIVATIONS[spec.activation]

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) images to (N, 10) logits."""
        x = self._activation(self.bn1(self.conv1(x)))
        for stage in (self.layer1, self.layer2, self.layer3):
            x = stage(x)
        return self.fc(x.mean((2, 3)))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "swish": lambda x: x * torch.sigmoid(x),
}


def plain_model(spec: RunSpec) -> nn.Module:
    """The spec's net in its plain form; takes our state dict."""
    if spec.model == "resnet":
        return PlainResNet(spec)
    return PlainSimpleNN(spec.batch_norm, spec.activation)


def train_batches(split: Split, spec: RunSpec) -> DataLoader[tuple[Tensor, int]]:
    """Shuffled, augmented batches from four worker processes."""
    return DataLoader(
        PlainSplit(split, spec, True), spec.batch_size, shuffle=True, num_workers=WORKERS
    )


def validation_batches(split: Split, spec: RunSpec) -> DataLoader[tuple[Tensor, int]]:
    """Batches of the validation split from four worker processes."""
    return DataLoader(PlainSplit(split, spec, False), spec.val_batch_size, num_workers=WORKERS)


def train_steps(
    model: nn.Module,
    batches: DataLoader[tuple[Tensor, int]],
    spec: RunSpec,
    device: torch.device,
) -> Iterator[int]:
    """Train one epoch; yields the size of each batch once its step is done."""
    optimiser = torch.optim.SGD(
        model.parameters(), lr=spec.lr, momentum=spec.momentum, weight_decay=spec.l2
    )
    criterion = nn.CrossEntropyLoss()
    model.train()
    total_loss, correct = 0.0, 0
    for images, labels in batches:
        images, labels = images.to(device), labels.to(device)
        outputs = model(images)
        loss = criterion(outputs, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total_loss += loss.item()
        correct += (outputs.max(1)[1] == labels).sum().item()
        yield len(labels)


def validate(
    model: nn.Module,
    batches: DataLoader[tuple[Tensor, int]],
    device: torch.device,
) -> float:
    """Accuracy over the batches, counted one batch at a time."""
    model.eval()
    correct = images_seen = 0
    with torch.no_grad():
        for images, labels in batches:
            outputs = model(images.to(device))
            correct += (outputs.max(1)[1] == labels.to(device)).sum().item()
            images_seen += len(labels)
    return correct / images_seen


def measure(
    train: Split, val: Split, spec: RunSpec, device: torch.device, warm_up: int
) -> tuple[float, float]:
    """(images per second in training, seconds to validate), without the first batches.

    Leaving those out leaves out the start of the workers, in favour of this loop.
    """
    torch.manual_seed(spec.seed)
    model = plain_model(spec).to(device)
    images, began = 0, 0.0
    for number, size in enumerate(train_steps(model, train_batches(train, spec), spec, device)):
        if number == warm_up:
            began = time.perf_counter()
        images += size if number > warm_up else 0
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    validate(model, validation_batches(val, spec), device)
    return images / seconds, time.perf_counter() - began


def limited(split: Split, images: int) -> Split:
    """The first images of a split."""
    labels = None if split.labels is None else split.labels[:images]
    return Split(np.ascontiguousarray(split.images[:images]), labels)
