"""Reads a file that torch.save wrote, as a stranger's: nothing in it is run."""

import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from cifar_tui.errors import UserError
from cifar_tui.runs.files import open_regular


def read_stored(path: Path) -> Any:
    """What the file holds, tensors on the CPU; raises UserError, FileNotFoundError.

    Whatever the file holds, nothing in it is run, and no more memory is taken than it has bytes.
    """
    try:
        with open_regular(path) as file:
            _require_stored(file)
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception:  # the reader of a damaged file raises whatever it stumbles over
        raise UserError(f"{path} is not a checkpoint that can be read safely.") from None


def read_best(path: Path) -> Any:
    """What a run's best.pt or last.pt holds; raises UserError, also while there is none yet."""
    try:
        return read_stored(path)
    except FileNotFoundError:
        raise UserError(f"There is no checkpoint {path}: no epoch was finished.") from None


def _require_stored(file: BinaryIO) -> None:
    """Refuse a zip with anything compressed in it, which torch never writes, or damaged.

    torch itself does not compare the checksums.
    """
    with zipfile.ZipFile(file) as archive:
        if any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist()):
            raise ValueError("compressed")
        if archive.testzip() is not None:
            raise ValueError("damaged")
    file.seek(0)
