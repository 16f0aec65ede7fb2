"""Files for the user: where one may be written, and writing it whole or not at all."""

import os
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.runs.files import replacing, sweep

IN_THE_WAY = "{} exists; use --overwrite to replace it, or another --output."


class InTheWay(UserError):
    """There is such a file already, and nothing said to replace it."""


def at_home(path: Path) -> Path:
    """The path with `~` as the home folder; raises UserError where there is none."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise UserError(f"There is no home folder for {path}; give the whole path.") from None


def check_output(path: Path, overwrite: bool, example: str) -> None:
    """Refuse a path that cannot or must not be written, before any work is done.

    `example` is the name of such a file, for who names a folder.
    """
    folder = path.parent
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; name a file, like {path / example}.")
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}; make it, or name a file elsewhere.")
        if os.path.lexists(path) and not path.is_file():
            raise UserError(f"{path} is no regular file; name another file.")
        if path.exists() and not overwrite:
            raise InTheWay(IN_THE_WAY.format(path))
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}; name another file.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"You may not write into {folder}; name a file elsewhere.")


def write_output(path: Path, content: bytes, *, overwrite: bool = True) -> None:
    """Write the file in one step; raises UserError, also for one that came since it was checked."""
    sweep(path)
    try:
        with replacing(path, overwrite=overwrite) as file:
            file.write(content)
    except FileExistsError:
        raise InTheWay(IN_THE_WAY.format(path)) from None
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.") from None
