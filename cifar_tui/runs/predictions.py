"""predictions.csv: the file handed in, header `Id,Label`, Ids from 0 in order."""

import os
from collections.abc import Sequence
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.runs.files import read_small, write_atomic
from cifar_tui.spec import CLASSES

HEADER = "Id,Label"
LABELS = {str(label): label for label in range(CLASSES)}


def default_name(synthetic: bool) -> str:
    """`predictions.csv`, or a name that says that the images were the demo set's."""
    return "predictions-demo.csv" if synthetic else "predictions.csv"


def output_path(output: Path | None, synthetic: bool) -> Path:
    """The file asked for, `~` being the home folder; by default one in the working folder."""
    try:
        return Path(default_name(synthetic)) if output is None else output.expanduser()
    except RuntimeError:
        raise UserError(f"There is no home folder for {output}; give the whole path.") from None


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse a path that cannot or must not be written, before any work is done."""
    folder = path.parent
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; name a file, like {path / default_name(False)}.")
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}; make it, or name a file elsewhere.")
        if os.path.lexists(path) and not path.is_file():
            raise UserError(f"{path} is no regular file; name another file.")
        if path.exists() and not overwrite:
            raise UserError(f"{path} exists; use --overwrite to replace it, or another --output.")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}; name another file.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"You may not write into {folder}; name a file elsewhere.")


def write_predictions(path: Path, labels: Sequence[int]) -> None:
    """Write one row per label in one step, with LF line ends."""
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(labels))
    try:
        write_atomic(path, f"{HEADER}\n{rows}".encode())
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.") from None


def read_predictions(path: Path) -> list[int]:
    """The labels of a predictions file, LF or CRLF; raises UserError naming the wrong line."""
    try:
        text = read_small(path).decode().replace("\r\n", "\n")
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    except ValueError:
        raise UserError(f"{path} is not a text file; it must begin with {HEADER}.") from None
    header, *rows = text.removesuffix("\n").split("\n")
    if header != HEADER:
        raise UserError(f"{path} must begin with the line {HEADER}.")
    return [_label(row, i, path) for i, row in enumerate(rows)]


def _label(row: str, i: int, path: Path) -> int:
    number, _, label = row.partition(",")
    if number != str(i) or label not in LABELS:
        raise UserError(f"{path} line {i + 2} must be {i} and a label from 0 to 9, like {i},7.")
    return LABELS[label]
