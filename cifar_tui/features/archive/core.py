"""Runs in one .zip, a folder for each, and back; of a stranger's archive nothing is trusted."""

import gzip
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, TypeVar

from cifar_tui.errors import Tick, UserError
from cifar_tui.files import at_home, check_output, open_regular, replacing, sweep, sync_folder
from cifar_tui.runs.disk import size_text
from cifar_tui.runs.folder import LARGEST, MIB, RunFolder, hidden_folder, is_run_id
from cifar_tui.runs.ids import TRASH
from cifar_tui.runs.listing import Run, read_run
from cifar_tui.runs.record import ENDED
from cifar_tui.text import plain, runs_text

Item = TypeVar("Item")
CHUNK = 256 * 1024
MOST_GROWTH, SLACK = 100, 16 * MIB
"""An archive may unpack to 100 times its own size and 16 MiB; honest ones stay below 20 times."""
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


def archive_path(output: Path | None, runs: Sequence[Run]) -> Path:
    """The file asked for; in a folder, and by default, one named after the run."""
    name = f"{plain(runs[0].id) if len(runs) == 1 else 'runs'}.zip"
    path = Path(name) if output is None else at_home(output)
    return path / name if path.is_dir() else path


def check_archive(path: Path, overwrite: bool) -> None:
    """Raise UserError for a path that is no .zip, or cannot or must not be written."""
    if path.suffix != ".zip":
        raise UserError(f"{path} must end in .zip.")
    check_output(path, overwrite, "runs.zip")


def archive_runs(
    runs: Sequence[Run],
    path: Path,
    *,
    overwrite: bool = False,
    tick: Tick = lambda done, total: None,
) -> int:
    """Write runs that have ended into one file, in one step; returns its bytes, raises UserError.

    `tick` is told the bytes done and in all; what it raises leaves no file behind.
    """
    check_archive(path, overwrite)
    files = {f"{run.id}/{file.name}": file for run in runs for file in _files_of(run)}
    done, total = 0, sum(file.stat().st_size for file in files.values())
    sweep(path)
    try:
        with replacing(path, overwrite=overwrite) as output:
            with zipfile.ZipFile(
                output, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False
            ) as archive:
                for name, file in files.items():
                    archive.write(file, name)
                    done += archive.getinfo(name).file_size
                    tick(done, total)
            return output.tell()
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror or error}.") from None


def archived_text(runs: Sequence[Run], path: Path, size: int) -> str:
    """What was written, for people."""
    return f"{runs_text(len(runs))} ({size_text(size)}) in {plain(str(path))}."


def require_ended(run: Run) -> None:
    """Raise UserError for a run that someone may still write."""
    if run.status not in (*ENDED, "stale"):
        raise UserError(f"{run.name} is {run.status}; only runs that have ended are archived.")


def _files_of(run: Run) -> list[Path]:
    """The run's files that are known; raises UserError where the run or one of them is unfit."""
    require_ended(run)
    if not is_run_id(run.id):
        raise UserError(f"{run.id} is no name for a folder in an archive; rename it.")
    found = [run.path / name for name in LARGEST if os.path.lexists(run.path / name)]
    for file in found:
        known = file.lstat()
        if not stat.S_ISREG(known.st_mode):
            raise UserError(f"{file} is not a regular file; an archive holds the run's own files.")
        if known.st_size > LARGEST[file.name]:
            raise UserError(f"{file} is larger than any run's.")
    return found


def is_archive(file: Path) -> bool:
    """Whether a file is named like an archive of runs; earlier versions wrote .tar.gz as well."""
    return file.name.lower().endswith((".zip", ".tar.gz", ".tgz"))


def unarchive(file: Path, runs: Path, tick: Tick = lambda done, total: None) -> list[Run]:
    """Bring in all runs of an archive, or none; returns them, raises UserError.

    An id that exists gets a new number. `tick` is told the bytes of the archive read and in all;
    what it raises leaves nothing behind.
    """
    path, shown = at_home(file), plain(str(file))
    try:
        with open_regular(path) as content, hidden_folder(runs) as hidden:
            _unpack(content, hidden, tick)
            folders = sorted(hidden.iterdir())
            for folder in folders:
                _require_run(folder)
            return [read_run(moved) for moved in _move_in(folders, runs)]
    except UserError as error:
        raise UserError(f"{shown} cannot be brought in: {plain(str(error))}.") from None
    except OSError as error:
        where = plain(str(error.filename)) if error.filename else shown
        raise UserError(f"{shown} cannot be brought in: {where}: {error.strerror}.") from None


def _unpack(content: BinaryIO, hidden: Path, tick: Tick) -> None:
    """Write what is named RUN/FILE, FILE being one of a run's; anything else is passed over."""
    size = os.fstat(content.fileno()).st_size
    left = size * MOST_GROWTH + SLACK
    for name, member in _sound(_members(content)):
        run_id, _, own = name.partition("/")
        if not is_run_id(run_id) or own not in LARGEST:
            continue
        path = hidden / run_id / own
        if path.exists():
            raise UserError(f"{name} is in it twice")
        path.parent.mkdir(exist_ok=True)
        most = min(left, LARGEST[own])
        with path.open("xb") as output:
            for chunk in _sound(iter(partial(member.read, CHUNK), b"")):
                if output.tell() + len(chunk) > most:
                    raise UserError(f"{name} is larger than any run's")
                output.write(chunk)
                tick(min(content.tell(), size), size)
            left -= output.tell()
            output.flush()
            os.fsync(output.fileno())
    if not any(hidden.iterdir()):
        raise UserError("there is no run in it")


def _members(content: BinaryIO) -> Iterator[tuple[str, IO[bytes]]]:
    """The regular files of an archive of either kind: name and content."""
    magic = content.read(len(ZIP))
    content.seek(0)
    if magic == ZIP:
        with zipfile.ZipFile(content) as archive:
            for info in archive.infolist():
                if stat.S_ISLNK(info.external_attr >> 16):
                    raise UserError(f"{info.filename} is not a regular file")
                with archive.open(info) as file:
                    yield info.filename, file
    elif magic.startswith(GZIP):
        with gzip.open(content) as unpacked, tarfile.open(fileobj=unpacked) as tar:
            for member in tar:
                if not (member.isreg() or member.isdir()):
                    raise UserError(f"{member.name} is not a regular file")
                if regular := tar.extractfile(member):
                    yield member.name, regular
            while unpacked.read(CHUNK):  # the checksum stands at the end
                pass
    else:
        raise UserError("it is neither a .zip nor a .tar.gz")


def _sound(items: Iterator[Item]) -> Iterator[Item]:
    """The same; whatever a damaged archive makes its reader raise becomes a UserError."""
    try:
        yield from items
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError("it is damaged") from None


def _require_run(folder: Path) -> None:
    """Raise UserError unless it can be read; one that had not ended there has crashed here."""
    run = read_run(folder)
    if run.problem:
        where = run.problem.replace(str(folder), folder.name, 1).removesuffix(".")
        raise UserError(where if where.startswith(folder.name) else f"{folder.name}: {where}")
    if run.status not in ENDED:
        summary = run.summary.model_copy(update={"status": "crashed", "reason": "archived"})
        RunFolder(folder).write_summary(summary)


def _move_in(folders: Sequence[Path], runs: Path) -> list[Path]:
    """Give each folder its place among the runs; when one cannot be moved, none is."""
    moved: list[Path] = []
    try:
        for folder in folders:
            moved.append(folder.rename(_free(runs, folder.name)))
        sync_folder(runs)
    except BaseException:
        for path in moved:
            shutil.rmtree(path, ignore_errors=True)
        raise
    return moved


def _free(runs: Path, run_id: str) -> Path:
    """A path for the run that neither a run nor the trash has; another number where it must be."""
    number, name = 1, run_id
    while any(os.path.lexists(folder / name) for folder in (runs, runs / TRASH)):
        number += 1
        name = f"{run_id}-{number}"
    return runs / name


def brought_in_text(runs: Sequence[Run]) -> str:
    """What was brought in, for people."""
    names = ", ".join(plain(run.id) for run in runs[:3]) + (", ..." if len(runs) > 3 else "")
    return f"{runs_text(len(runs))} brought in: {names}."
