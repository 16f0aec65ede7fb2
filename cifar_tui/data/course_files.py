"""The course's data: five .npy files in a folder, or inside the zips they are handed out in."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_tui.data.dataset import Dataset, Split, checked_split, empty_split
from cifar_tui.data.find import TEST_IMAGES, Place, locate_course, require_regular
from cifar_tui.errors import UserError
from cifar_tui.files import MAX_RECORD_BYTES, read_small
from cifar_tui.spec.settings import CLASSES
from cifar_tui.text import plain

CLASS_NAMES = "classes.txt"


def read(folder: Path) -> Dataset:
    """Read the course's splits; test has no labels, and no images when its file is absent.

    Raises UserError naming the file that is missing, broken, or of the wrong type, shape or range.
    """
    places = locate_course(folder)
    test = empty_split()
    if TEST_IMAGES in places:
        test = checked_split(_array(places[TEST_IMAGES]), None, places[TEST_IMAGES])
    train, val = (_labelled(places, name) for name in ("train", "val"))
    return Dataset("course", folder, train, val, test, _names_of_classes(folder))


def _labelled(places: dict[str, Place], split: str) -> Split:
    images, labels = (places[f"{split}-{what}-batch.npy"] for what in ("images", "labels"))
    return checked_split(_array(images), _array(labels), images, labels)


def _array(place: Place) -> NDArray[Any]:
    """Read one .npy array of plain numbers; a pickled one is never loaded."""
    require_regular(place.path)
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


def _names_of_classes(folder: Path) -> tuple[str, ...]:
    """What the user calls the ten classes: the lines of `classes.txt`, if the folder has one.

    The course numbers them in an order of its own, so that no names can come with the program.
    Raises UserError for a file of other than ten names.
    """
    path = folder / CLASS_NAMES
    try:
        text = read_small(path, MAX_RECORD_BYTES).decode()
    except FileNotFoundError:
        return ()
    except (OSError, ValueError):
        raise UserError(f"Cannot read {path}; it must be a text file of ten lines.") from None
    names = tuple(plain(line.strip()) for line in text.splitlines() if line.strip())
    if len(set(names)) != CLASSES:
        raise UserError(
            f"{path} must have {CLASSES} different names, one on each line; it has "
            f"{len(set(names))}."
        )
    return names
