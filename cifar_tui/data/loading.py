"""Reads the images of a run: the course's files, the official archive, or the demo set."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_tui.data.find import locate_course, locate_official, stamps
from cifar_tui.errors import UserError
from cifar_tui.spec.settings import SETTINGS

if TYPE_CHECKING:
    from cifar_tui.data.dataset import Dataset, Source


DEMO = "demo"


@dataclass(frozen=True)
class Found:
    """What `open_dataset` would read, the path it would read it from, and a note for the user."""

    source: "Source"
    path: Path | None
    note: str


def find(where: str) -> Found:
    """Look for images in the folder `where` without reading any; `demo` is the demo set.

    The course's files come first, then the official data, then the demo set. Raises UserError
    when the folder does not exist (unless it is the default one) or holds only a part of a dataset.
    """
    if where == DEMO:
        return Found("demo", None, "Using the demo set (synthetic).")
    try:
        return _find_in(Path(where).expanduser())
    except OSError as error:
        raise UserError(f"Cannot look into {where}: {error.strerror or error}.") from None
    except RuntimeError:
        raise UserError(f"There is no home folder for {where}; give the whole path.") from None


def _find_in(folder: Path) -> Found:
    if folder.is_dir():
        if locate_course(folder):
            return Found("course", folder, f"Using the course's data in {_shown(folder)}.")
        if path := locate_official(folder):
            return Found("official", path, f"Using the official CIFAR-10 in {_shown(path)}.")
    elif folder.exists():
        raise UserError(f"{folder} is not a folder; give the folder with the images, or `demo`.")
    elif folder != Path(SETTINGS["data"].default):
        raise UserError(f"There is no folder {folder}; give the one with the images, or `demo`.")
    return Found(
        "demo",
        None,
        f"No data in {_shown(folder)}. Using the demo set (synthetic); "
        "`cifar-tui data download` gets CIFAR-10 (170 MB).",
    )


def lasting(where: str) -> str:
    """The same images by a name that means them from every folder: an absolute path, or `demo`."""
    if where == DEMO:
        return where
    try:
        if find(where).path is None:
            return DEMO
    except UserError:
        pass  # whoever reads them says why they cannot be read
    try:
        path = str(Path(where).expanduser().absolute())
    except RuntimeError:
        return where
    return path if path.isprintable() else where


def _shown(path: Path) -> str:
    return str(path) if path.is_absolute() else f"./{path}"


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
        self.elsewhere: dict[str, tuple[str, Callable[[], Dataset]]] = {}
        """How to read what is not on this machine, by its name in the spec, and its version."""

    def open(self, where: str) -> "Dataset":
        version, read = self.elsewhere.get(where, ("", lambda: open_dataset(where)))
        key = (where, version, *stamps(Path(where)))
        if self._dataset is None or key != self._key:
            self._dataset, self._key = read(), key
        return self._dataset


IMAGES = _Images()
