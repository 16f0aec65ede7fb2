"""Batches: every image once, independent crops and flips, black borders, exact normalisation."""

import numpy as np
import pytest
import torch

from cifar_tui.data.dataset import Split
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import NORMALISATION, PlainBatches, TrainBatches, draw_epoch

CPU = torch.device("cpu")


def split(count: int, seed: int = 0) -> Split:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return Split(images, np.arange(count, dtype=np.int64) % 10)


def numbered(count: int) -> Split:
    """Images that carry their own number in every pixel."""
    images = np.zeros((count, 32, 32, 3), np.uint8)
    images += np.arange(count, dtype=np.uint8)[:, None, None, None]
    return Split(images, np.arange(count, dtype=np.int64) % 10)


def cut(batches: TrainBatches, epoch: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The images and labels of an epoch's batches."""
    return [(batches.cut(windows), labels) for windows, labels in batches.epoch(epoch)]


def test_each_image_comes_once_per_epoch_with_its_label_and_the_last_batch_is_short() -> None:
    spec = RunSpec(batch_size=60)
    batches = cut(TrainBatches(numbered(250), spec, CPU), 1)
    assert [len(labels) for _, labels in batches] == [60, 60, 60, 60, 10]
    images = torch.cat([images for images, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    mean, std = (torch.tensor(v) for v in NORMALISATION["course"])
    numbers = (images[:, 0, 0, 0] * std[0] + mean[0]).mul(255).round().long()
    assert sorted(numbers.tolist()) == list(range(250))
    assert torch.equal(numbers % 10, labels)
    assert numbers.tolist() != list(range(250))


def test_epochs_differ_and_can_be_repeated() -> None:
    spec = RunSpec(augment=True, seed=5)
    one, two = draw_epoch(100, spec, 1), draw_epoch(100, spec, 2)
    again = draw_epoch(100, spec, 1)
    assert not torch.equal(one.order, two.order)
    assert torch.equal(one.order, again.order)
    assert torch.equal(one.top, again.top)
    assert torch.equal(one.flip, again.flip)
    assert not torch.equal(one.order, draw_epoch(100, RunSpec(augment=True, seed=6), 1).order)


def test_augmentation_is_a_crop_of_the_black_bordered_image_and_a_flip() -> None:
    spec = RunSpec(augment=True, batch_size=50)
    source = split(120)
    draws = draw_epoch(120, spec, 3)
    got = torch.cat([images for images, _ in cut(TrainBatches(source, spec, CPU), 3)])
    mean, std = (np.array(v, np.float32) for v in NORMALISATION["course"])
    for place in range(120):
        padded = np.pad(source.images[draws.order[place]], ((4, 4), (4, 4), (0, 0)))
        top, left = int(draws.top[place]), int(draws.left[place])
        want = padded[top : top + 32, left : left + 32]
        if draws.flip[place]:
            want = want[:, ::-1]
        want = (want.astype(np.float32) / 255 - mean) / std
        np.testing.assert_allclose(got[place].permute(1, 2, 0).numpy(), want, atol=1e-5)


def test_crops_are_uniform_over_the_81_offsets_and_flips_are_half() -> None:
    draws = draw_epoch(81_000, RunSpec(augment=True), 1)
    counts = torch.bincount(draws.top * 9 + draws.left, minlength=81)
    chi_squared = float(((counts - 1000.0) ** 2 / 1000).sum())
    assert chi_squared < 140, "81 offsets, 80 degrees of freedom: 140 is beyond 1 in 10,000"
    assert 0.49 < draws.flip.float().mean() < 0.51


def test_no_flip_and_no_padding_leave_images_whole() -> None:
    spec = RunSpec(augment=True, flip=False, crop_padding=0, batch_size=40)
    source = split(40)
    images, _ = cut(TrainBatches(source, spec, CPU), 1)[0]
    order = draw_epoch(40, spec, 1).order
    plain = torch.cat(list(PlainBatches(source, spec, CPU).images()))
    assert torch.equal(images, plain[order])


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_validation_keeps_the_order_at_any_batch_size(size: int) -> None:
    batches = PlainBatches(numbered(100), RunSpec(val_batch_size=size), CPU)
    labels = torch.cat([labels for _, labels in batches])
    assert labels.tolist() == [i % 10 for i in range(100)]


def test_images_are_channels_last_without_a_copy() -> None:
    images, _ = cut(TrainBatches(split(64), RunSpec(), CPU), 1)[0]
    assert images.shape == (64, 3, 32, 32)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_subset_is_the_first_images_of_the_split_and_more_than_all_is_all() -> None:
    first = TrainBatches(numbered(250), RunSpec(subset=30, batch_size=30), CPU)
    assert len(first) == 30
    ((images, _),) = cut(first, 1)
    mean, std = (torch.tensor(v) for v in NORMALISATION["course"])
    numbers = (images[:, 0, 0, 0] * std[0] + mean[0]).mul(255).round().long()
    assert sorted(numbers.tolist()) == list(range(30))
    assert len(TrainBatches(numbered(250), RunSpec(subset=1000), CPU)) == 250
