"""A split as uint8 on the device, cut into batches and augmented there."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cifar_tui.data.dataset import Split
from cifar_tui.spec import RunSpec

SIDE = 32
NORMALISATION = {
    "course": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "true": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}
"""Per-channel mean and std of pixels from 0 to 1; see the setting's help for the difference."""


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
        self._spec = spec
        self._device = device
        self._images = torch.from_numpy(split.images).to(device)
        self._labels = _labels(split, device)
        self._normalise = Normalise(spec, device)
        if spec.augment:
            self._images = _every_crop(self._images, spec.crop_padding)

    def __len__(self) -> int:
        return len(self._labels)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images float (B,3,32,32) channels last, labels int64 (B,)), each image once."""
        draws = draw_epoch(len(self), self._spec, epoch)
        size = self._spec.batch_size
        order = draws.order.to(self._device)
        labels = self._labels[order]
        if not self._spec.augment:
            for start in range(0, len(order), size):
                part = slice(start, start + size)
                yield self._normalise(self._images[order[part]]), labels[part]
            return
        top, left, flip = (d.to(self._device) for d in (draws.top, draws.left, draws.flip))
        for start in range(0, len(order), size):
            part = slice(start, start + size)
            images = self._images[order[part], top[part], left[part]]
            images = torch.where(flip[part, None, None, None], images.flip(2), images)
            yield self._normalise(images), labels[part]


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
        mean, std = (torch.tensor(v, device=device) for v in NORMALISATION[spec.normalisation])
        self._scale = 1 / (255 * std)
        self._shift = -mean / std

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (B,32,32,3) to float (B,3,32,32) in channels-last memory, without a copy."""
        return torch.addcmul(self._shift, images.float(), self._scale).permute(0, 3, 1, 2)


def _labels(split: Split, device: torch.device) -> Tensor:
    assert split.labels is not None
    return torch.from_numpy(split.labels).to(device)


def _every_crop(images: Tensor, padding: int) -> Tensor:
    """A view (N, offsets, offsets, 32, 32, 3) of all crops of the images with a black border."""
    padded = torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding))
    count, _, width, channels = padded.shape
    image, row, column, channel = padded.stride()
    offsets = width - SIDE + 1
    return padded.as_strided(
        (count, offsets, offsets, SIDE, SIDE, channels),
        (image, row, column, row, column, channel),
    )
