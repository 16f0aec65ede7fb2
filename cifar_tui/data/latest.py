"""The data set read last, which the runs of a queue share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_tui.data import open_dataset
from cifar_tui.data.places import stamps

if TYPE_CHECKING:
    from cifar_tui.data.dataset import Dataset


class _Images:
    """The data set read last, kept so that the runs of a queue read it once."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._dataset: Dataset | None = None
        self.elsewhere: dict[str, tuple[str, Callable[[], Dataset]]] = {}
        """How to read what is not on this machine, by its name in the spec, and its version."""

    def open(self, where: str) -> "Dataset":
        version, read = self.elsewhere.get(where, ("", lambda: open_dataset(where)))
        key = (where, version, *stamps(Path(where)))
        if self._dataset is None or key != self._key:
            self._dataset, self._key = read(), key
        return self._dataset


IMAGES = _Images()
