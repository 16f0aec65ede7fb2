"""The course's data: five .npy files in a folder, or inside the zips they are handed out in."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_tui.data.dataset import Dataset, Split, checked_split, empty_split
from cifar_tui.data.find import TEST_IMAGES, Place, locate_course, require_regular
from cifar_tui.errors import UserError


def read(folder: Path) -> Dataset:
    """Read the course's splits; test has no labels, and no images when its file is absent.

    Raises UserError naming the file that is missing, broken, or of the wrong type, shape or range.
    """
    places = locate_course(folder)
    test = empty_split()
    if TEST_IMAGES in places:
        test = checked_split(_array(places[TEST_IMAGES]), None, places[TEST_IMAGES])
    train, val = (_labelled(places, name) for name in ("train", "val"))
    return Dataset("course", folder, train, val, test)


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
