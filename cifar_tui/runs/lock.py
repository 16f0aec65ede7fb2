"""Locks that end with the process that holds them, so that no crash leaves one behind."""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import Self

from cifar_tui.runs.files import open_regular

WORD_BYTES = 200


class Lock:
    """An exclusive lock on a file; whoever holds it writes a word into it for others to read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def take(self, word: str = "") -> bool:
        """Try to take the lock without waiting; tells whether it is held now."""
        if self._handle is not None:
            return True
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def device_lock(device: str) -> Lock:
    """The lock that this user's runs on one device of this machine take turns by.

    It lies in $CIFAR_TUI_LOCKS, else in the folder for temporary files, which outlives a login.
    """
    folder = Path(os.environ.get("CIFAR_TUI_LOCKS") or tempfile.gettempdir())
    name = device.replace(":", "-")
    return Lock(folder / f"cifar-tui-{os.getuid()}-{name}.lock")
