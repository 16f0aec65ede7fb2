"""Files that are whole or absent: atomic writes, appended lines, JSON that is never trusted."""

import errno
import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

MAX_JSON_BYTES = 16 * 2**20
MAX_LINES_BYTES = 64 * 2**20
"""Most that one look takes from a file of lines; the next look goes on from there."""
MAX_DEPTH = 20
"""Deepest nesting of lists and objects in JSON."""


def write_atomic(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace `path` in one step; `durable` also waits for the disk, file and folder."""
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


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


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read; raises OSError for what is none, like a pipe that would never end."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return os.fdopen(handle, "rb")


def read_small(path: Path) -> bytes:
    """All bytes of a regular file; raises OSError, or ValueError when it is too large."""
    with open_regular(path) as file:
        content = file.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise ValueError(f"{path.name} is larger than {MAX_JSON_BYTES:,} bytes")
    return content


def fingerprint(path: Path) -> str:
    """What tells one file from another; raises OSError."""
    with open_regular(path) as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises OSError, or ValueError when it is not one."""
    try:
        value = parse_json(read_small(path))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} does not hold a JSON object")
    return value


def parse_json(content: bytes) -> Any:
    """JSON as values that can be written, compared and shown; raises ValueError, RecursionError.

    Numbers beyond 64 bits or not finite become null, halves of characters question marks.
    """
    text = content.decode()
    value = json.loads(text, parse_float=_float, parse_int=_int, parse_constant=lambda _: None)
    shallow = text.count("{") + text.count("[") <= MAX_DEPTH
    return value if shallow and "\\u" not in text else _tamed(value, MAX_DEPTH)


def _float(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _int(text: str) -> int | None:
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


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

    def read(self) -> list[dict[str, Any]]:
        """The JSON objects on lines completed since the last call; other lines are passed over."""
        try:
            with open_regular(self._path) as file:
                if os.fstat(file.fileno()).st_size < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                content = file.read(MAX_LINES_BYTES)
        except OSError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [value for line in whole.splitlines() if (value := _object(line)) is not None]


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = parse_json(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
