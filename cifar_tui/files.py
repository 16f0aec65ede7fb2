"""Files that are whole or absent: atomic writes, appended lines, JSON that is never trusted."""

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cifar_tui.errors import UserError

MAX_JSON_BYTES = 16 * 2**20
"""Of a file, or of a line in a file of lines."""
MAX_RECORD_BYTES = 2**20
"""Most that one of the files may have which each look at all runs reads."""
MAX_DEPTH = 20
"""Deepest nesting of lists and objects in JSON."""


def config_folder() -> Path:
    """Where the user's configuration and presets are kept."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "cifar-tui"


def config_path() -> Path:
    """The configuration file, which need not exist."""
    return config_folder() / "config.toml"


def write_atomic(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace `path` in one step; `durable` also waits for the disk, file and folder."""
    with replacing(path, durable=durable) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` once it is written; on an error nothing changes.

    A durable one is locked meanwhile, by which `sweep` knows what a killed program has left.
    Raises FileExistsError where nothing is to be overwritten.
    """
    file = _new_beside(path, locked=durable)
    temporary = Path(file.name)
    try:
        with file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
            if overwrite or not _linked(temporary, path):
                temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def _new_beside(path: Path, *, locked: bool) -> BinaryIO:
    """A hidden file of our own in the same folder."""
    while True:
        file = path.with_name(f".{path.name}.{os.urandom(6).hex()}").open("xb")
        if locked:
            hold(file.fileno())
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # swept before it was locked


def _linked(temporary: Path, path: Path) -> bool:
    """Whether the file has the name now, too; raises FileExistsError where another has it."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        return False
    return True


def hold(handle: int) -> None:
    """Lock a new file or folder until it is closed, against `sweep`, where there are locks."""
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)


def sweep(path: Path) -> None:
    """Remove what programs that were killed have left of writing `path`, and of no living one."""
    left = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{12}}")
    sweep_folder(path.parent, left, os.unlink)


def sweep_folder(folder: Path, left: re.Pattern[str], remove: Callable[[Path], object]) -> None:
    """Remove what has such a name and is locked by nobody; what cannot be removed stays."""
    with contextlib.suppress(OSError):
        for name in filter(left.fullmatch, os.listdir(folder)):
            with contextlib.suppress(OSError):
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                handle = os.open(folder / name, flags)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove(folder / name)
                finally:
                    os.close(handle)


def append_whole(path: Path, lines: bytes, *, durable: bool = False) -> None:
    """Append lines to a file in one write, or nothing; `durable` waits for the disk.

    What several programs append at the same time is all kept. Links are not followed.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags, 0o644)
    try:
        size = os.fstat(handle).st_size
        if os.write(handle, lines) != len(lines):
            os.ftruncate(handle, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def dump_json(value: Any, *, indent: int | None = None) -> bytes:
    """Standard JSON in UTF-8; raises ValueError for a number that is not finite.

    Bytes that are no text, as in a file name, become question marks.
    """
    text = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)
    return text.encode(errors="replace") + b"\n"


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write `value` as JSON in one step."""
    write_atomic(path, dump_json(value, indent=1), durable=durable)


def open_regular(path: Path | str) -> BinaryIO:
    """Open a file to read; raises OSError for what is none, like a pipe that would never end."""
    return os.fdopen(_open_regular(path)[0], "rb")


def _open_regular(path: Path | str) -> tuple[int, int]:
    """A descriptor of a regular file, and its size."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return handle, found.st_size


def read_small(path: Path | str, most: int = MAX_JSON_BYTES) -> bytes:
    """All bytes of a regular file; raises OSError, or ValueError for more than `most`.

    Without a buffer, as lists read three such files of each run.
    """
    handle, size = _open_regular(path)
    try:
        content = os.read(handle, min(size, most) + 1)
        while len(content) <= most and (more := os.read(handle, most + 1 - len(content))):
            content += more
    finally:
        os.close(handle)
    if len(content) > most:
        raise ValueError(f"{Path(path).name} is larger than {most:,} bytes")
    return content


def fingerprint(path: Path) -> str:
    """What tells one file from another; raises OSError."""
    with open_regular(path) as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


def read_json(path: Path | str, most: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Read a JSON object; raises OSError, or ValueError when it is not one, or takes too much."""
    try:
        value = parse_json(read_small(path, most))
    except RecursionError:
        raise ValueError(f"{Path(path).name} is nested too deeply") from None
    except MemoryError:
        raise ValueError(f"{Path(path).name} takes more memory than there is") from None
    if not isinstance(value, dict):
        raise ValueError(f"{Path(path).name} does not hold a JSON object")
    return value


def parse_json(content: bytes) -> Any:
    """JSON as values that can be written, compared and shown; raises ValueError, RecursionError.

    Numbers beyond 64 bits or not finite become null, halves of characters question marks.
    """
    text = content.decode()
    value = TAME.decode(text)
    shallow = text.count("{") + text.count("[") <= MAX_DEPTH
    return value if shallow and "\\u" not in text else _tamed(value, MAX_DEPTH)


def _float(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _int(text: str) -> int | None:
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


TAME = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=lambda _: None)


def _tamed(value: Any, depth: int) -> Any:
    """What only an escape or deep nesting can bring in; most files have neither."""
    if isinstance(value, str):
        return value if value.isprintable() else value.encode(errors="replace").decode()
    if not isinstance(value, list | dict):
        return value
    if depth == 0:
        raise RecursionError
    if isinstance(value, list):
        return [_tamed(item, depth - 1) for item in value]
    return {_tamed(key, 0): _tamed(item, depth - 1) for key, item in value.items()}


def finite(value: dict[str, Any]) -> dict[str, Any]:
    """Turn numbers that are not finite into null and name them under `not_finite`."""
    bad = [k for k, v in value.items() if isinstance(v, float) and not math.isfinite(v)]
    if not bad:
        return value
    return {**value, **dict.fromkeys(bad), "not_finite": bad}


class LineReader:
    """Reads whole lines appended to a file since the last call, never a half-written tail."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._overlong = False
        """Whether the offset lies in a line that is too long to be read."""

    def read(self) -> list[dict[str, Any]]:
        """The JSON objects on lines completed since the last call; other lines are passed over."""
        return list(self)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The same one after another, however large the file is."""
        try:
            with open_regular(self._path) as file:
                if os.fstat(file.fileno()).st_size < self._offset:
                    self._offset, self._overlong = 0, False
                file.seek(self._offset)
                for line in self._lines(file):
                    if (value := _object(line)) is not None:
                        yield value
        except OSError:
            return

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        while line := file.readline(MAX_JSON_BYTES):
            whole = line.endswith(b"\n")
            if not whole and len(line) < MAX_JSON_BYTES:
                return
            self._offset += len(line)
            if whole and not self._overlong:
                yield line
            self._overlong = not whole


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = parse_json(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class InTheWay(UserError):
    """There is such a file already, and nothing said to replace it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists; use --overwrite to replace it, or another --output.")
        self.path = path


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
            raise InTheWay(path)
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
        raise InTheWay(path) from None
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.") from None
