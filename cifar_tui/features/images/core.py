"""Which images of a split to show, and in which order."""

import numpy as np
from numpy.typing import NDArray

from cifar_tui.data.dataset import Dataset
from cifar_tui.spec.settings import CLASSES


def class_names(dataset: Dataset) -> tuple[str, ...]:
    """The names of the classes, or their numbers where they have none."""
    return dataset.classes or tuple(map(str, range(CLASSES)))


def of_class(labels: NDArray[np.int64], label: int) -> list[int]:
    """The places of a class's images."""
    return [int(place) for place in np.flatnonzero(labels == label)]


def in_turns(labels: NDArray[np.int64]) -> list[int]:
    """All places: the first image of each class, then the second of each, and so on."""
    rank = np.empty(len(labels), np.int64)
    for label in range(CLASSES):
        places = np.flatnonzero(labels == label)
        rank[places] = np.arange(len(places))
    return [int(place) for place in np.lexsort((labels, rank))]
