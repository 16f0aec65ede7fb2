"""predictions.csv: the file handed in, header `Id,Label`, Ids from 0 in order."""

from collections.abc import Sequence
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.runs.files import read_small
from cifar_tui.runs.output import at_home, write_output
from cifar_tui.runs.output import check_output as check_file
from cifar_tui.spec import CLASSES

HEADER = "Id,Label"
LABELS = {str(label): label for label in range(CLASSES)}


def default_name(synthetic: bool) -> str:
    """`predictions.csv`, or a name that says that the images were the demo set's."""
    return "predictions-demo.csv" if synthetic else "predictions.csv"


def output_path(output: Path | None, synthetic: bool) -> Path:
    """The file asked for, `~` being the home folder; by default one in the working folder."""
    return Path(default_name(synthetic)) if output is None else at_home(output)


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse a path that cannot or must not be written, before any work is done."""
    check_file(path, overwrite, default_name(False))


def write_predictions(path: Path, labels: Sequence[int], *, overwrite: bool = True) -> None:
    """Write one row per label in one step, with LF line ends."""
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(labels))
    write_output(path, f"{HEADER}\n{rows}".encode(), overwrite=overwrite)


def read_predictions(path: Path) -> list[int]:
    """The labels of a predictions file, LF or CRLF; raises UserError naming the wrong line."""
    try:
        text = read_small(path).decode().replace("\r\n", "\n")
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file; it must begin with {HEADER}.") from None
    except ValueError as error:
        raise UserError(f"{error}: predictions are not that long.") from None
    header, *rows = text.removesuffix("\n").split("\n")
    if header != HEADER:
        raise UserError(f"{path} must begin with the line {HEADER}.")
    return [_label(row, i, path) for i, row in enumerate(rows)]


def _label(row: str, i: int, path: Path) -> int:
    number, _, label = row.partition(",")
    if number != str(i) or label not in LABELS:
        raise UserError(f"{path} line {i + 2} must be {i} and a label from 0 to 9, like {i},7.")
    return LABELS[label]
