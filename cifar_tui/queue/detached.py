"""Training in the background: a process of its own that outlives the terminal and the app."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from cifar_tui.errors import UserError
from cifar_tui.queue.choices import ANY, Wish
from cifar_tui.queue.notify import Notifier
from cifar_tui.runs.control import end
from cifar_tui.runs.folder import RunFolder
from cifar_tui.terminal import let_go
from cifar_tui.text import plain
from cifar_tui.training.process import as_started, program

LOG = ".background.log"
"""Beside the runs: what a process in the background could not write into a run's folder."""
BEGUN = b"begun"
"""What such a process says on its standard output once it can train."""
BEGIN_WITHIN = 60.0
"""Seconds to wait for that; a process that still lives then is a slow one."""
LOOK_AT = 2**16
"""Bytes of the log's end in which the last words of a process are looked for."""


def start(runs: Path, run_ids: Sequence[str], wish: Wish = ANY) -> int:
    """Train the queued runs in a new session; returns the process's pid once it can train.

    It reads and writes the run folders only; what it could not write there is in LOG. Raises
    UserError when it dies before, as without memory, and its runs have failed with that reason.
    """
    told = Notifier(runs, wish.on_end, wish.webhook)
    command = program("worker", *run_ids, "--announce", "--runs", str(runs), *wish.arguments())
    try:
        with (runs / LOG).open("ab") as log:
            said = log.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**as_started(os.environ), **told.environment()},
            )
    except OSError as error:
        raise UserError(f"Cannot start training in the background: {error.strerror}.") from None
    assert process.stdout is not None
    with process.stdout as out:
        if _begins(out):
            return process.pid
    why = why_ended(process, runs, said)
    for run_id in run_ids:
        with contextlib.suppress(OSError):
            end(RunFolder(runs / run_id), "failed", f"its process ended before it began: {why}")
    raise UserError(f"Training in the background ended before it began: {why}")


def _begins(out: IO[bytes]) -> bool:
    """Whether a process says that it can train, or is still about to; not when it has ended."""
    said, until = b"", time.monotonic() + BEGIN_WITHIN
    while BEGUN not in said:
        if not select.select([out], [], [], max(0.0, until - time.monotonic()))[0]:
            return True
        more = os.read(out.fileno(), 1024)
        if not more:
            return False
        said += more
    return True


def say_begun() -> None:
    """Let the one who started this process know that it can train, who may listen no more."""
    with contextlib.suppress(OSError):
        os.write(1, BEGUN)
    let_go((1,))


def open_log(runs: Path) -> IO[bytes]:
    """Where processes write what belongs into no run's folder; nowhere if that cannot be had."""
    try:
        return (runs / LOG).open("ab")
    except OSError:
        return open(os.devnull, "ab")


def why_ended(process: subprocess.Popen[bytes], runs: Path, said: int) -> str:
    """Why a process ended whose standard output has: its signal, and its last line in LOG.

    `said` is how long the log was when it began.
    """
    code = 0
    with contextlib.suppress(subprocess.TimeoutExpired):
        code = process.wait(timeout=5)
    words = _last_line(runs / LOG, said).removeprefix("cifar-tui: ")
    if code >= 0:
        return words or f"exit code {code}"
    killed = f"killed by {signal.Signals(-code).name}"
    if -code == signal.SIGKILL:
        killed += ", as the system does where memory runs out"
    return f"{killed} ({words})" if words else killed


def _last_line(log: Path, begin: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(begin, file.seek(0, os.SEEK_END) - LOOK_AT))
            lines = file.read(LOOK_AT).decode(errors="replace").split("\n")
    except OSError:
        return ""
    return plain(next((line.strip() for line in reversed(lines) if line.strip()), ""))[:300]
