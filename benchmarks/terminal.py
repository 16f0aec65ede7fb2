"""A terminal without a screen: runs the program in a pty and reads what it sends."""

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cifar_tui.errors import UserError
from cifar_tui.training.process import program

ESCAPES = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_].*?\x1b\\|.)"
)
PATIENCE = 120.0
"""Seconds after which an answer is given up."""
GRACE = 20.0
"""Seconds that the program has to end when asked."""


class Terminal:
    """The program in a terminal of this size; the last bytes it sent are kept as text."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, *, columns: int = 140, rows: int = 40
    ) -> None:
        self.began = time.perf_counter()
        self.sent = 0
        """Bytes that the program has sent so far."""
        self._raw = b""
        self._line, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (rows, columns))
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environment["CIFAR_TUI_LOCKS"] = str(folder)
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            program(*arguments),
            cwd=folder,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The program's process."""
        return self._process.pid

    @property
    def text(self) -> str:
        """What was sent since `forget`, without colours and cursor movements."""
        return ESCAPES.sub(b"", self._raw).decode(errors="replace")

    def forget(self) -> None:
        """Read what is there by now and look only at what comes after."""
        while self._read(0):
            pass
        self._raw = b""

    def press(self, keys: bytes) -> None:
        """Send keys, and look only at what comes after."""
        self.forget()
        os.write(self._line, keys)

    def until(self, *words: str) -> float:
        """Read until all words came; returns the moment. Raises UserError when they do not come."""
        self.wait(PATIENCE, lambda: all(word in self.text for word in words))
        now = time.perf_counter()
        if not all(word in self.text for word in words):
            raise UserError(f"The app did not show {', '.join(words)}: {self.text[-200:]!r}")
        return now

    def wait(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        """Read for so long, or until `done`, which is asked whenever something came."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if self._read(left) is None or done():
                return

    def _read(self, seconds: float) -> int | None:
        """Read once; the number of bytes, or None at the end."""
        if not select.select([self._line], [], [], seconds)[0]:
            return 0
        try:
            new = os.read(self._line, 1 << 16)
        except OSError:
            new = b""
        self.sent += len(new)
        self._raw = (self._raw + new)[-(1 << 18) :]
        return len(new) or None

    def close(self) -> None:
        """End the program and give the terminal back."""
        self._process.terminate()
        end = time.perf_counter() + GRACE
        while self._process.poll() is None and time.perf_counter() < end:
            self.wait(0.05)
            time.sleep(0.01)
        self._process.kill()
        self._process.wait()
        os.close(self._line)
