"""What a dataset is: three splits of 32x32 colour images, checked the same for every source."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cifar_tui.errors import UserError
from cifar_tui.spec.settings import CLASSES

SIDE = 32
NAMES = ("train", "val", "test")
Source = Literal["course", "official", "demo"]


@dataclass(frozen=True, eq=False)
class Split:
    """Images uint8 (N,32,32,3), C-contiguous, and labels int64 (N,), or None where unknown."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> "Split":
        """The first `count` images with their labels; 0 means all of them."""
        if not count:
            return self
        return Split(self.images[:count], None if self.labels is None else self.labels[:count])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits, where they came from, and the class names (none for the course's data)."""

    source: Source
    folder: Path | None
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...] = ()

    @property
    def synthetic(self) -> bool:
        """Whether this program drew the images."""
        return self.source == "demo"

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name."""
        return dict(zip(NAMES, (self.train, self.val, self.test), strict=True))

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of a sha256 over the shapes and bytes of all arrays."""
        return self.fingerprints[0]

    @cached_property
    def fingerprints(self) -> tuple[str, str]:
        """Its fingerprint, and the one it has without test images, which may be added later."""
        digest = hashlib.sha256()
        _add("train", self.train, digest)
        _add("val", self.val, digest)
        without = digest.copy()
        _add("test", self.test, digest)
        _add("test", empty_split(), without)
        return digest.hexdigest()[:16], without.hexdigest()[:16]


def _add(name: str, split: Split, digest: "hashlib._Hash") -> None:
    for array in (split.images, split.labels):
        digest.update(f"{name} {None if array is None else array.shape}\n".encode())
        if array is not None:
            digest.update(array.data)


def empty_split() -> Split:
    """A split without images, for test images that are not there."""
    return Split(np.empty((0, SIDE, SIDE, 3), np.uint8), None)


def checked_split(
    images: NDArray[Any],
    labels: NDArray[Any] | None,
    images_file: object,
    labels_file: object = None,
) -> Split:
    """Make a Split of arrays from outside; raises UserError naming the file that is wrong."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (SIDE, SIDE, 3):
        raise UserError(
            f"{images_file} must hold uint8 images of shape (N,{SIDE},{SIDE},3); "
            f"it has {images.dtype} of shape {images.shape}."
        )
    if not len(images):
        raise UserError(f"{images_file} holds no images; at least one is needed.")
    checked = None if labels is None else _checked_labels(labels, len(images), labels_file)
    return Split(np.ascontiguousarray(images), checked)


def _checked_labels(labels: NDArray[Any], count: int, file: object) -> NDArray[np.int64]:
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise UserError(
            f"{file} must hold whole numbers of shape (N,); "
            f"it has {labels.dtype} of shape {labels.shape}."
        )
    if len(labels) != count:
        raise UserError(
            f"{file} holds {len(labels):,} labels for {count:,} images; "
            "both files must come from the same split."
        )
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise UserError(
            f"{file} must hold labels from 0 to {CLASSES - 1}; "
            f"it has {labels.min()} to {labels.max()}."
        )
    return np.ascontiguousarray(labels, np.int64)


def describe(dataset: Dataset) -> dict[str, Any]:
    """The dataset in JSON-ready words; mean and std (0..1) are per channel of the train split."""
    mean, std = _channel_statistics(dataset.train.images)
    return {
        "source": dataset.source,
        "folder": None if dataset.folder is None else str(dataset.folder),
        "synthetic": dataset.synthetic,
        "fingerprint": dataset.fingerprint,
        "classes": list(dataset.classes),
        "splits": {name: _describe_split(split) for name, split in dataset.splits.items()},
        "mean": mean,
        "std": std,
    }


def _describe_split(split: Split) -> dict[str, Any]:
    counts = None if split.labels is None else np.bincount(split.labels, minlength=CLASSES).tolist()
    return {"images": len(split), "labels": split.labels is not None, "counts": counts}


def _channel_statistics(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Exact mean and population std per channel as fractions, from sums of whole numbers."""
    rows = images.reshape(len(images), -1)
    sums = rows.sum(0, dtype=np.uint64).reshape(-1, 3).sum(0).tolist()
    squares = np.einsum("ij,ij->j", rows, rows, dtype=np.uint64).reshape(-1, 3).sum(0).tolist()
    scale = len(images) * SIDE * SIDE * 255
    spreads = [q * len(images) * SIDE * SIDE - s * s for s, q in zip(sums, squares, strict=True)]
    return [s / scale for s in sums], [math.sqrt(spread) / scale for spread in spreads]
