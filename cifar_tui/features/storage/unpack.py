"""Brings in runs from an archive, as a stranger's.

Only known files of a run are taken, nothing in the archive decides where anything is written, and
all of it comes in or nothing does.
"""

import gzip
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO

from cifar_tui.errors import Tick, UserError
from cifar_tui.features.storage.core import CHUNK, NEEDED
from cifar_tui.files import open_regular, sync_folder
from cifar_tui.runs.folder import LARGEST, MIB, TRASH, RunFolder, hidden_folder, is_run_id
from cifar_tui.runs.listing import Run, read_run
from cifar_tui.runs.record import ENDED
from cifar_tui.text import plain, runs_text

MOST_MEMBERS = 20_000
MOST_GROWTH = 100
"""So many times its own size an archive may unpack to; honest ones stay below 20."""
SLACK = 16 * MIB
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


class _Damaged(Exception):
    """What is wrong with an archive, as the end of a sentence."""


@contextmanager
def _reading() -> Iterator[None]:
    """Turn whatever a damaged archive makes its reader raise into _Damaged."""
    try:
        yield
    except _Damaged:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _Damaged("it is damaged") from None


def is_archive(file: Path) -> bool:
    """Whether a file is an archive of runs by its content; a checkpoint is a zip as well."""
    try:
        with open_regular(file.expanduser()) as content:
            magic = content.read(4)
            if magic[:2] == GZIP:
                return True
            if magic != ZIP:
                return False
            with zipfile.ZipFile(content) as archive:
                return any(name.endswith(f"/{NEEDED}") for name in archive.namelist())
    except Exception:  # whatever a damaged file makes zipfile raise
        return False


def unarchive(file: Path, runs: Path, tick: Tick = lambda done, total: None) -> list[Run]:
    """Bring in all runs of an archive, or none; returns them, raises UserError.

    An id that exists gets a new number. `tick` is told the bytes of the archive read and in all;
    what it raises leaves nothing behind.
    """
    shown = plain(str(file))
    try:
        with open_regular(file.expanduser()) as content, hidden_folder(runs) as hidden:
            _unpack(content, hidden, tick)
            found = sorted(hidden.iterdir())
            for folder in found:
                _require_run(folder)
            return [read_run(path) for path in _move_in(found, runs)]
    except RuntimeError:
        raise UserError(f"There is no home folder for {shown}; give the whole path.") from None
    except _Damaged as error:
        raise UserError(f"{shown} cannot be brought in: {plain(str(error))}.") from None
    except OSError as error:
        where = plain(str(error.filename)) if error.filename else shown
        raise UserError(f"{shown} cannot be brought in: {where}: {error.strerror}.") from None


def _unpack(content: BinaryIO, hidden: Path, tick: Tick) -> None:
    """Write the known files of each run into a folder of its own, as long as all is in order."""
    size = os.fstat(content.fileno()).st_size
    left = size * MOST_GROWTH + SLACK
    taken: set[tuple[str, str]] = set()
    for member in _members(content, left):
        name = _checked(member.name)
        if name is None:
            continue
        if name in taken:
            raise _Damaged(f"{member.name} is in it twice")
        taken.add(name)
        left -= member.size
        if member.size > LARGEST[name[1]] or left < 0:
            raise _Damaged(f"{member.name} is larger than any run's")
        (hidden / name[0]).mkdir(exist_ok=True)
        _copy(member, hidden / name[0] / name[1])
        tick(min(content.tell(), size), size)
    if not taken:
        raise _Damaged("there is no run in it")


@dataclass(frozen=True)
class _Member:
    """A regular file in an archive: its name and size as they are told, and its content."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def _members(content: BinaryIO, most: int) -> Iterator[_Member]:
    """The regular files of either kind of archive; raises _Damaged for anything but files."""
    magic = content.read(4)
    content.seek(0)
    with _reading():
        if magic[:2] == GZIP:
            yield from _tar_members(_Guarded(gzip.GzipFile(fileobj=content, mode="rb"), most))
        elif magic == ZIP:
            yield from _zip_members(content)
        else:
            raise _Damaged("it is neither a .tar.gz nor a .zip")


class _Guarded(io.RawIOBase):
    """An unpacked stream that ends where no honest archive would go on.

    tarfile reads an extended header whole, whatever size it claims: so much at once is refused.
    """

    def __init__(self, file: gzip.GzipFile, most: int) -> None:
        self._file, self._most = file, most

    def read(self, size: int = -1) -> bytes:
        """So many bytes, within reason."""
        if not 0 <= size <= MIB:
            raise _Damaged("its headers are too large")
        self._require(self._file.tell() + size)
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on from there."""
        self._require(offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """How much has been read."""
        return self._file.tell()

    def _require(self, end: int) -> None:
        if end > self._most:
            raise _Damaged("it unpacks to far more than it is")


def _tar_members(stream: _Guarded) -> Iterator[_Member]:
    plain_file: Any = stream
    with tarfile.open(fileobj=plain_file, mode="r:") as tar:
        for number, info in enumerate(tar):
            if number >= MOST_MEMBERS:
                raise _Damaged("it has too many members")
            if info.isdir():
                _require_inside(info.name)
            elif info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.issparse():
                raise _Damaged(f"{info.name} is not a regular file")
            else:
                yield _Member(info.name, info.size, partial(_of_tar, tar, info))
        while stream.read(CHUNK):  # the checksum stands at the end
            pass


def _of_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(info)
    assert content is not None
    return content


def _zip_members(content: BinaryIO) -> Iterator[_Member]:
    with zipfile.ZipFile(content) as archive:
        infos = archive.infolist()
        if len(infos) > MOST_MEMBERS:
            raise _Damaged("it has too many members")
        for info in infos:
            kind = stat.S_IFMT(info.external_attr >> 16)
            known_way = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if info.orig_filename != info.filename or info.flag_bits & 1 or not known_way:
                raise _Damaged(f"{info.filename} cannot be read safely")
            if info.is_dir():
                _require_inside(info.filename)
            elif kind not in (0, stat.S_IFREG):
                raise _Damaged(f"{info.filename} is not a regular file")
            else:
                yield _Member(info.filename, info.file_size, partial(archive.open, info))


def _checked(name: str) -> tuple[str, str] | None:
    """A member's (run id, file); None for a file that no run has; raises _Damaged."""
    parts = _require_inside(name)
    if len(parts) != 2 or parts[1] not in LARGEST:
        return None
    return parts[0], parts[1]


def _require_inside(name: str) -> list[str]:
    """The parts of a name that points nowhere but into the archive's own folders."""
    parts = name.removesuffix("/").split("/")
    if not all(map(is_run_id, parts)):
        raise _Damaged(f"{name} is no name for a run's file")
    return parts


def _copy(member: _Member, path: Path) -> None:
    """Write a member to a new file, no more of it than it told."""
    left = member.size
    with path.open("xb") as output:
        for chunk in _chunks(member):
            left -= len(chunk)
            if left < 0:
                break
            output.write(chunk)
        output.flush()
        os.fsync(output.fileno())
    if left:
        raise _Damaged(f"{member.name} is not as long as it says")


def _chunks(member: _Member) -> Iterator[bytes]:
    with _reading(), member.open() as content:
        while chunk := content.read(CHUNK):
            yield chunk


def _require_run(folder: Path) -> None:
    """Raise _Damaged unless it can be read; one that had not ended there has crashed here."""
    run = read_run(folder)
    if run.problem:
        where = run.problem.replace(str(folder), folder.name, 1).removesuffix(".")
        raise _Damaged(where if where.startswith(folder.name) else f"{folder.name}: {where}")
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
