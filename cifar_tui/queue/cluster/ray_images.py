"""Images for nodes that do not have them: read where the runs are, shared through Ray's store."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cifar_tui.data.dataset import Dataset, Split
from cifar_tui.data.find import DEMO, find, stamps
from cifar_tui.data.loading import open_dataset
from cifar_tui.errors import UserError

LARGEST = 2**30
"""Most bytes of images that are sent."""


@dataclass(frozen=True)
class Packed:
    """A data set as plain arrays, and what it must be again when it has arrived."""

    source: str
    folder: str
    classes: tuple[str, ...]
    arrays: dict[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class Offer:
    """What a node is told of a data folder; `problem` says why it is not sent."""

    version: str
    ref: Any = None
    problem: str = ""


def put_in_store(value: Any) -> Any:
    """Share a value with all nodes; returns what names it."""
    import ray

    return ray.put(value)


class Shelf:
    """The data folder asked for last, in Ray's store, where all nodes can read it."""

    def __init__(self, put: Callable[[Any], Any] = put_in_store) -> None:
        self._put = put
        self._one = threading.Lock()
        self._offer: Offer | None = None

    def offer(self, where: str, cwd: str) -> Offer | None:
        """The images of a spec whose relative paths begin at `cwd`; None when it has none here."""
        with self._one:
            try:
                folder = Path(cwd) / Path(where).expanduser()
                found = find(str(folder))
                if found.path is None:
                    return None
                version = repr((str(folder), stamps(folder)))
                if self._offer is None or self._offer.version != version:
                    self._offer = None
                    self._offer = self._read(folder, version)
            except (UserError, OSError, RuntimeError):
                return None
            return self._offer

    def _read(self, folder: Path, version: str) -> Offer:
        dataset = open_dataset(str(folder))
        size = sum(a.nbytes for a in arrays_of(dataset).values() if a is not None)
        if size > LARGEST:
            problem = (
                f"the images in {folder} are {size / 2**30:.1f} GiB, too many to be sent through "
                "the cluster; put them into the same folder on its nodes"
            )
            return Offer(version, problem=problem)
        return Offer(version, self._put(pack(dataset)))


def arrays_of(dataset: Dataset) -> dict[str, Any]:
    """The images and labels of the splits by name."""
    return {
        f"{name}-{what}": getattr(split, what)
        for name, split in dataset.splits.items()
        for what in ("images", "labels")
    }


def pack(dataset: Dataset) -> Packed:
    """A data set ready to be sent."""
    folder = str(dataset.folder.resolve()) if dataset.folder else ""
    arrays = arrays_of(dataset)
    return Packed(dataset.source, folder, dataset.classes, arrays, dataset.fingerprint)


def unpack(packed: Packed) -> Dataset:
    """The data set that was sent, in this process's own memory; raises UserError for another."""

    def split(name: str) -> Split:
        images, labels = (packed.arrays[f"{name}-{what}"] for what in ("images", "labels"))
        return Split(np.array(images), None if labels is None else np.array(labels))

    source: Any = packed.source
    splits = {name: split(name) for name in ("train", "val", "test")}
    dataset = Dataset(source, Path(packed.folder), classes=packed.classes, **splits)
    if dataset.fingerprint != packed.fingerprint:
        raise UserError("The images were damaged on their way through the cluster.")
    return dataset


def is_here(where: str) -> bool:
    """Whether the images of a spec can be read on this machine, or are the demo set by choice."""
    try:
        return where == DEMO or find(where).path is not None
    except UserError:
        return False
