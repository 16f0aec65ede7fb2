"""A split as uint8 on the device, cut into batches and augmented there."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cifar_tui.data.dataset import Split
from cifar_tui.spec.settings import RunSpec

SIDE = 32
NORMALISATION = {
    "course": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "true": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Per-channel mean and std of pixels from 0 to 1; see the setting's help for the difference."""


def normalisation(spec: RunSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The spec's mean and std of red, green and blue."""
    return NORMALISATION.get(spec.normalisation, (spec.mean, spec.std))


@dataclass(frozen=True)
class Draws:
    """What chance decides about one epoch: `order`, and per image the crop and the flip."""

    order: Tensor
    top: Tensor
    left: Tensor
    flip: Tensor


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed for one epoch, so that an epoch can be repeated without any that came before."""
    return seed * 1_000_003 + epoch


def draw_epoch(images: int, spec: RunSpec, epoch: int) -> Draws:
    """Draw an epoch's permutation and augmentation from (seed, epoch), on the CPU for all devices.

    `order` holds each image's index once; the i-th crop and flip belong to the i-th in order.
    """
    chance = torch.Generator().manual_seed(epoch_seed(spec.seed, epoch))
    offsets = 2 * spec.crop_padding + 1
    return Draws(
        order=torch.randperm(images, generator=chance),
        top=torch.randint(offsets, (images,), generator=chance),
        left=torch.randint(offsets, (images,), generator=chance),
        flip=torch.rand(images, generator=chance) < (0.5 if spec.flip else 0.0),
    )


class TrainBatches:
    """The training split on the device: shuffled, augmented, normalised batches of each epoch."""

    def __init__(self, split: Split, spec: RunSpec, device: torch.device) -> None:
        split = split.first(spec.subset)
        self._spec = spec
        self._device = device
        self._labels = _labels(split, device)
        self._normalise = Normalise(spec, device)
        self._windows = Windows(torch.from_numpy(split.images).to(device), spec)

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def steps(self) -> int:
        """How many batches an epoch has."""
        return math.ceil(len(self) / self._spec.batch_size)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (windows int64 (B,), labels int64 (B,)), each image once; `cut` makes images."""
        windows, labels = self.shuffled(epoch)
        size = self._spec.batch_size
        yield from zip(windows.split(size), labels.split(size), strict=True)

    def shuffled(self, epoch: int) -> tuple[Tensor, Tensor]:
        """All windows and labels of an epoch in the order drawn for it, int64 (N,) each."""
        draws = draw_epoch(len(self), self._spec, epoch)
        windows = self._windows.starts(draws).to(self._device)
        return windows, self._labels[draws.order.to(self._device)]

    def cut(self, windows: Tensor) -> Tensor:
        """The augmented, normalised images float (B,3,32,32), channels last, of these windows."""
        return self._normalise(self._windows.view[windows])


class Windows:
    """Every 32x32 crop of the padded images and of their mirror images, without a copy of any.

    In memory a crop is 32 runs of 96 bytes, one padded row apart, and moving it by a pixel moves
    its start by 3 bytes: so one number, counted in pixels, names an image, its offset and its flip.
    """

    def __init__(self, images: Tensor, spec: RunSpec) -> None:
        self._augment = spec.augment
        padding = spec.crop_padding if spec.augment else 0
        border = (0, 0, padding, padding, padding, padding)
        padded = torch.nn.functional.pad(images, border) if padding else images.contiguous()
        self._mirrored = len(images) if spec.augment and spec.flip else 0
        if self._mirrored:
            padded = torch.cat([padded, padded.flip(2)])
        self._width = SIDE + 2 * padding
        row = 3 * self._width
        count = padded.numel() // 3 - (SIDE - 1) * (self._width + 1)
        self.view = padded.as_strided((count, SIDE, SIDE, 3), (3, row, 3, 1))
        """uint8 (starts, 32, 32, 3): the window that begins at each pixel of the memory."""

    def starts(self, draws: Draws) -> Tensor:
        """int64 (N,): where the window of each drawn image begins."""
        if not self._augment:
            return draws.order * self._width**2
        image = draws.order + draws.flip * self._mirrored
        left = torch.where(draws.flip, self._width - SIDE - draws.left, draws.left)
        return (image * self._width + draws.top) * self._width + left


class PlainBatches:
    """A split on the device in its own order, as validation and prediction need it."""

    def __init__(self, split: Split, spec: RunSpec, device: torch.device) -> None:
        self._size = spec.val_batch_size
        self._images = torch.from_numpy(split.images).to(device)
        self._labels = None if split.labels is None else _labels(split, device)
        self._normalise = Normalise(spec, device)

    def __len__(self) -> int:
        return len(self._images)

    def images(self) -> Iterator[Tensor]:
        """Yield images float (B,3,32,32), channels last."""
        for start in range(0, len(self), self._size):
            yield self._normalise(self._images[start : start + self._size])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images, labels int64 (B,)) of a labelled split."""
        assert self._labels is not None
        for number, images in enumerate(self.images()):
            start = number * self._size
            yield images, self._labels[start : start + self._size]


class Normalise:
    """Pixels from 0 to 255 to floats with about zero mean and unit deviation per channel."""

    def __init__(self, spec: RunSpec, device: torch.device) -> None:
        mean, std = (torch.tensor(v, device=device) for v in normalisation(spec))
        self._scale = (1 / (255 * std)).repeat(SIDE * SIDE)
        self._shift = (-mean / std).repeat(SIDE * SIDE)

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (B,32,32,3) to float (B,3,32,32) in channels-last memory.

        Whole images are scaled by one long row, which vectorises where three channels do not.
        """
        pixels = images.reshape(len(images), -1).float()
        torch.addcmul(self._shift, pixels, self._scale, out=pixels)
        return pixels.view(-1, SIDE, SIDE, 3).permute(0, 3, 1, 2)


def _labels(split: Split, device: torch.device) -> Tensor:
    assert split.labels is not None
    return torch.from_numpy(split.labels).to(device)
