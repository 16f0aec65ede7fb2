"""Reads the images of a run: the course's files, the official archive, or the demo set."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_tui.data.find import find, stamps

if TYPE_CHECKING:
    from cifar_tui.data.dataset import Dataset


def open_dataset(where: str) -> "Dataset":
    """Find the images and read them all; raises UserError naming what is missing or wrong."""
    from cifar_tui.data import course_files, official
    from cifar_tui.data.demo import draw_demo

    found = find(where)
    if found.path is None:
        return draw_demo()
    read = course_files.read if found.source == "course" else official.read
    return read(found.path)


class _Images:
    """The data set read last, kept so that the runs of a queue read it once."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._dataset: Dataset | None = None

    def open(self, where: str) -> "Dataset":
        key = (where, *stamps(Path(where)))
        if self._dataset is None or key != self._key:
            self._dataset, self._key = open_dataset(where), key
        return self._dataset


IMAGES = _Images()
