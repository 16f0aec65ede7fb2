"""The demo set: the same for everyone, balanced, learnable and not trivial."""

import numpy as np
import pytest

from cifar_tui.data.dataset import Dataset, describe
from cifar_tui.data.demo import draw_demo
from cifar_tui.data.loading import open_dataset


@pytest.fixture(scope="module")
def demo() -> Dataset:
    return draw_demo()


def test_it_says_that_it_is_synthetic(demo: Dataset) -> None:
    described = describe(demo)
    assert demo.synthetic and described["synthetic"]
    assert (described["source"], described["folder"]) == ("demo", None)
    assert len(set(described["classes"])) == 10


def test_splits_are_labelled_and_balanced(demo: Dataset) -> None:
    for name, count in {"train": 6_000, "val": 1_000, "test": 1_000}.items():
        split = demo.splits[name]
        assert split.labels is not None
        assert (split.images.shape, split.images.dtype) == ((count, 32, 32, 3), np.uint8)
        assert split.images.flags.c_contiguous and split.labels.dtype == np.int64
        assert describe(demo)["splits"][name]["counts"] == [count // 10] * 10


def test_the_seed_decides_every_byte(demo: Dataset) -> None:
    drawn_anew = draw_demo.__wrapped__()  # type: ignore[attr-defined]
    assert open_dataset("demo").fingerprint == demo.fingerprint == drawn_anew.fingerprint
    assert draw_demo(1).fingerprint != demo.fingerprint


def test_no_image_is_in_two_splits(demo: Dataset) -> None:
    images = [image.tobytes() for split in demo.splits.values() for image in split.images]
    assert len(set(images)) == 8_000


def test_pixels_tell_something_of_the_class_but_not_enough(demo: Dataset) -> None:
    train, val = (s.images.reshape(len(s), -1) / 255.0 for s in (demo.train, demo.val))
    means = np.stack([train[demo.train.labels == label].mean(0) for label in range(10)])
    nearest = ((val[:, None] - means[None]) ** 2).sum(2).argmin(1)
    accuracy = (nearest == demo.val.labels).mean()
    assert 0.2 < accuracy < 0.4
