"""Runs in one file, .tar.gz or .zip, for another machine or to be put aside: a folder for each."""

import gzip
import os
import shutil
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cifar_tui.errors import Tick, UserError
from cifar_tui.features.predict.core import check_output
from cifar_tui.files import open_regular, replacing, sweep
from cifar_tui.runs.disk import size_text
from cifar_tui.runs.folder import LARGEST, is_run_id
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import ENDED
from cifar_tui.text import plain, runs_text

NEEDED = "summary.json"
CHUNK = 256 * 1024
ZIP_FROM, ZIP_TO = 315_619_200, 4_354_646_400
"""The times that a .zip can hold, from 1980 to 2107, less a day for the time zone."""
SUFFIXES = (".tar.gz", ".tgz", ".zip")


def archive_path(output: Path | None, runs: Sequence[Run]) -> Path:
    """The file asked for; in a folder, and by default, one named after the run."""
    name = f"{plain(runs[0].id) if len(runs) == 1 else 'runs'}.tar.gz"
    if output is None:
        return Path(name)
    try:
        path = output.expanduser()
    except RuntimeError:
        raise UserError(f"There is no home folder for {output}; give the whole path.") from None
    return path / name if path.is_dir() else path


def check_archive(path: Path, overwrite: bool) -> None:
    """Refuse a path that cannot or must not be written, or that says no kind of archive."""
    if not path.name.endswith(SUFFIXES):
        raise UserError(f"{path} must end in .tar.gz or .zip.")
    check_output(path, overwrite)


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
    files = [(run.id, file) for run in runs for file in _files_of(run)]
    sweep(path)
    try:
        with replacing(path, overwrite=overwrite) as output:
            _write(output, path.name.endswith(".zip"), files, tick)
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


def _write(output: BinaryIO, as_zip: bool, files: Sequence[tuple[str, Path]], tick: Tick) -> None:
    total = sum(file.stat().st_size for _, file in files)
    done = 0

    def count(read: int) -> None:
        tick(done + read, total)

    with _writer(output, as_zip) as add:
        for run_id, file in files:
            with open_regular(file) as content:
                known = os.fstat(content.fileno())
                add(f"{run_id}/{file.name}", _Counted(content, count), known)
            done += known.st_size


class _Counted:
    """A file that tells how far it has been read."""

    def __init__(self, file: BinaryIO, told: Callable[[int], None]) -> None:
        self._file, self._told, self._done = file, told, 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        content = self._file.read(size)
        self._done += len(content)
        self._told(self._done)
        return content


Add = Callable[[str, _Counted, os.stat_result], None]


@contextmanager
def _writer(output: BinaryIO, as_zip: bool) -> Iterator[Add]:
    """A function that adds a file under a name; weights hardly shrink, so little is tried."""
    if as_zip:
        with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            yield lambda name, content, found: _add_to_zip(archive, name, content, found)
        return
    with (
        gzip.GzipFile(filename="", fileobj=output, mode="wb", compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        yield lambda name, content, found: _add_to_tar(tar, name, content, found)


def _add_to_zip(
    archive: zipfile.ZipFile, name: str, content: _Counted, found: os.stat_result
) -> None:
    written = time.localtime(min(max(found.st_mtime, ZIP_FROM), ZIP_TO))
    info = zipfile.ZipInfo(name, written[:6])
    info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, found.st_size
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    with archive.open(info, "w") as member:
        shutil.copyfileobj(content, member, CHUNK)


def _add_to_tar(tar: tarfile.TarFile, name: str, content: _Counted, found: os.stat_result) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = found.st_size, int(found.st_mtime), 0o644
    tar.addfile(info, content)
