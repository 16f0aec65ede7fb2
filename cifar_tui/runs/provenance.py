"""The .json file beside predictions, which says how they came about."""

import contextlib
import hashlib
from pathlib import Path

from cifar_tui.runs.files import read_json, read_small
from cifar_tui.runs.predictions import check_output


def record_path(output: Path) -> Path:
    """The .json file beside the predictions."""
    path = output.with_suffix(".json")
    return path if path != output else output.with_name(f"{output.name}.json")


def check_outputs(path: Path, overwrite: bool) -> None:
    """Refuse before any work where the predictions or their record cannot be written."""
    check_output(path, overwrite)
    check_output(record_path(path), overwrite)


def drop_record(path: Path) -> None:
    """Remove the record of predictions that are about to be replaced; any other file stays."""
    record = record_path(path)
    with contextlib.suppress(OSError, ValueError):
        if read_json(record).get("sha256") == hashlib.sha256(read_small(path)).hexdigest():
            record.unlink()
