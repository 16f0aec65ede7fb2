"""Locks that end with the process that holds them, so that no crash leaves one behind."""

import contextlib
import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from cifar_tui.runs.files import open_regular

WORD_BYTES = 200
PATIENCE = 10.0
"""Seconds to wait for another program that changes the same folder, which takes moments."""
TRY_EVERY = 0.01


class Lock:
    """A lock on a file; whoever holds it writes a word into it for others to read.

    Those that share it hold it side by side, but not beside one that does not.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self._path = path
        self._kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._handle: int | None = None

    def take(self, word: str = "") -> bool:
        """Try to take the lock without waiting; tells whether it is held now."""
        if self._handle is not None:
            return True
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(handle, self._kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except BaseException:
            os.close(handle)
            raise
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


class Locks:
    """Several locks that are taken all or none."""

    def __init__(self, *locks: Lock) -> None:
        self._locks = locks

    def take(self, word: str = "") -> bool:
        """Try to take them without waiting; tells whether all are held now."""
        if all(lock.take(word) for lock in self._locks):
            return True
        self.release()
        return False

    def word(self) -> str:
        """What a holder said last."""
        return next(filter(None, (lock.word() for lock in self._locks)), "")

    def release(self) -> None:
        """Give them back."""
        for lock in self._locks:
            lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Change what a folder holds while no other program of this machine does.

    It is the folder itself that is locked, so that nothing is left in it. Where its file system
    has no locks, nobody is kept out. Raises OSError, also when another keeps it for seconds.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _wait_for(handle, folder)
        yield
    finally:
        os.close(handle)


def _wait_for(handle: int, folder: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                what = "another program is changing it"
                raise TimeoutError(errno.ETIMEDOUT, what, str(folder)) from None
        except OSError:
            return None
        time.sleep(TRY_EVERY)


def device_lock(device: str, slot: str = "") -> Locks:
    """The lock that this user's runs on one device of this machine take turns by.

    Runs in different slots of the CPU share its lock and take one of their own; a run without a
    slot has the device for itself. It lies in $CIFAR_TUI_LOCKS, else in the folder for temporary
    files, which outlives a login.
    """
    if slot in ("", device):
        return Locks(_named_lock(device))
    return Locks(_named_lock(slot), _named_lock(device, shared=True))


def _named_lock(name: str, *, shared: bool = False) -> Lock:
    folder = Path(os.environ.get("CIFAR_TUI_LOCKS") or tempfile.gettempdir())
    return Lock(folder / f"cifar-tui-{os.getuid()}-{name.replace(':', '-')}.lock", shared=shared)
