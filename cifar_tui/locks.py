"""Locks that end with the process that holds them, so that no crash leaves one behind."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from cifar_tui.files import open_regular

WORD_BYTES = 1000
PATIENCE = 10.0
"""Seconds to wait for another program that changes the same folder, which takes moments."""
TRY_EVERY = 0.01
ASKED = 0.2
"""Seconds to try for a lock that others may hold for the instant in which they ask for it."""


class Lock:
    """A lock on a file; whoever holds it writes a word into it for others to read.

    Those that share it hold it side by side, but not beside one that does not. With `own`, a file
    of another user is refused, as that user could hold it for ever.
    """

    def __init__(self, path: Path, *, shared: bool = False, own: bool = False) -> None:
        self._path = path
        self._kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._own = own
        self._handle: int | None = None

    def take(self, word: str = "", *, within: float = 0.0) -> bool:
        """Try to take the lock for up to `within` seconds; tells whether it is held now."""
        if self._handle is not None:
            return True
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(self._path, flags, 0o600)
        try:
            if self._own and os.fstat(handle).st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, "it belongs to another user", str(self._path))
            taken = _flock(handle, self._kind, within)
        except BaseException:
            os.close(handle)
            raise
        if not taken:
            os.close(handle)
            return False
        self._handle = handle
        self.say(word)
        return True

    def say(self, word: str) -> None:
        """Let others read a word; always as long, so that it can be changed on a full disk too."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._handle, word.encode()[:WORD_BYTES].ljust(WORD_BYTES), 0)

    def word(self) -> str:
        """What the holder said last, as far as it can be read."""
        try:
            with open_regular(self._path) as file:
                return file.read(WORD_BYTES).decode(errors="replace").strip()
        except OSError:
            return ""

    def release(self) -> None:
        """Give the lock back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_held(path: Path) -> bool | None:
    """Whether some process holds the lock; None without a file or the right to read it.

    It is taken for an instant, beside others that ask; who wants it for long tries a little longer.
    """
    try:
        with open_regular(path) as file:
            return not _flock(file.fileno(), fcntl.LOCK_SH)
    except OSError:
        return None


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Change what a folder holds while no other program of this machine does.

    It is the folder itself that is locked, so that nothing is left in it. Where its file system
    has no locks, nobody is kept out. Raises OSError, also when another keeps it for seconds.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _has_lock(handle):
            what = "another program is changing it"
            raise TimeoutError(errno.ETIMEDOUT, what, str(folder))
        yield
    finally:
        os.close(handle)


def _has_lock(handle: int) -> bool:
    try:
        return _flock(handle, fcntl.LOCK_EX, PATIENCE)
    except OSError:
        return True


def _flock(handle: int, kind: int, within: float = 0.0) -> bool:
    end = time.monotonic() + within
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(TRY_EVERY)
