"""The course's data: five .npy files in a folder, or inside the zips they are handed out in."""

import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_tui.data.dataset import Dataset, Split, checked_split, empty_split
from cifar_tui.errors import UserError
from cifar_tui.formats import plain

NEEDED = tuple(f"{s}-{what}-batch.npy" for s in ("train", "val") for what in ("images", "labels"))
TEST_IMAGES = "test-images-batch.npy"
ZIPS = ("cifar10_trainval_*.zip", "cifar10_test_*.zip")
LARGEST_ZIP = 1 << 30


@dataclass(frozen=True)
class Place:
    """Where one of the five files lies: in the folder, or as a member of a zip."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {plain(self.member)}" if self.member else str(self.path)


def locate(folder: Path) -> dict[str, Place]:
    """The course files found in the folder, by name; files beside win over zips.

    Reads no pixels. Raises UserError for an unsafe or broken zip, and when some of the needed
    files are there but not all.
    """
    zips = sorted(path for pattern in ZIPS for path in folder.glob(pattern))
    members = [place for path in zips for place in _members(path)]
    places = {PurePosixPath(place.member).name: place for place in reversed(members)}
    for name in (*NEEDED, TEST_IMAGES):
        if (folder / name).exists():
            places[name] = Place(folder / name)
    missing = [name for name in NEEDED if name not in places]
    if places and missing:
        raise UserError(
            f"{folder} has some of the course's files but lacks {', '.join(missing)}; "
            "put them there, or give another folder."
        )
    return places


def read(folder: Path) -> Dataset:
    """Read the course's splits; test has no labels, and no images when its file is absent.

    Raises UserError naming the file that is missing, broken, or of the wrong type, shape or range.
    """
    places = locate(folder)
    test = empty_split()
    if TEST_IMAGES in places:
        test = checked_split(_array(places[TEST_IMAGES]), None, places[TEST_IMAGES])
    train, val = (_labelled(places, name) for name in ("train", "val"))
    return Dataset("course", folder, train, val, test)


def _labelled(places: dict[str, Place], split: str) -> Split:
    images, labels = (places[f"{split}-{what}-batch.npy"] for what in ("images", "labels"))
    return checked_split(_array(images), _array(labels), images, labels)


def _members(path: Path) -> list[Place]:
    """The course files inside a zip; the whole zip is refused when any member is suspicious."""
    _require_regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    except Exception:  # whatever a damaged directory makes zipfile raise
        raise UserError(f"{path} is not a whole zip file; get it again.") from None
    for info in infos:
        name = PureWindowsPath(info.filename)  # takes both slashes as separators
        if name.anchor or ".." in name.parts:
            raise UserError(f"{path} has a member that points out of it; get the course's own zip.")
        if info.flag_bits & 1:
            raise UserError(f"{path} is encrypted; unpack it and give the folder with its files.")
    if sum(info.file_size for info in infos) > LARGEST_ZIP:
        raise UserError(f"{path} unpacks to more than 1 GiB; get the course's own zip.")
    wanted = (*NEEDED, TEST_IMAGES)
    return [Place(path, i.filename) for i in infos if PurePosixPath(i.filename).name in wanted]


def _array(place: Place) -> NDArray[Any]:
    """Read one .npy array of plain numbers; a pickled one is never loaded."""
    _require_regular(place.path)
    try:
        if not place.member:
            with place.path.open("rb") as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        with zipfile.ZipFile(place.path) as archive, archive.open(place.member) as member:
            return np.lib.format.read_array(member, allow_pickle=False)
    except OSError as error:
        raise UserError(f"Cannot read {place}: {error.strerror or error}.") from None
    except Exception:  # whatever damaged or hostile bytes make zipfile and numpy raise
        raise UserError(
            f"{place} is cut short or no .npy file of plain numbers "
            "(pickled objects are never loaded); get it again."
        ) from None


def _require_regular(path: Path) -> None:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    if not regular:
        raise UserError(f"{path} is not a regular file; put the course's file in its place.")
