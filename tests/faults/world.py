"""One sequence's folders and the programs that run in them, as a shell would have started them.

A program is a forked child, and so is what it starts in the background. Orphans are adopted.
"""

import contextlib
import ctypes
import os
import pty
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cifar_tui.queue import run_writer
from cifar_tui.queue.turns import device_turn
from tests import forked
from tests.forked import TOLD, enter, leave, renew_streams

SET_CHILD_SUBREAPER = 36
"""Its number in linux/prctl.h."""
GRACE = 3.0
"""Seconds for which a run's folder may be missing, in place of a minute."""
LOOK = 0.01
CODES = {0, 1, 2, 129, 130, 137, 143}
"""What a program may end with; after a signal that it leaves to the system, minus its number."""


@dataclass
class Program:
    """A program that was started, and how it ended."""

    argv: tuple[str, ...]
    pid: int
    files: Path
    """Its standard output and error are in the files of this name with .out and .err."""
    code: int | None = None
    sent: list[signal.Signals] = field(default_factory=list)
    screen: int | None = None
    """Our side of its terminal, if it has one."""
    expected: str = ""
    """What it may print a traceback about."""
    judged: bool = False
    """Whether its end has been looked at."""

    @property
    def ended(self) -> bool:
        """Whether it has; takes its exit code."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, seconds: float) -> bool:
        """Wait so long for its end; tells whether it came."""
        end = time.monotonic() + seconds
        while not self.ended and time.monotonic() < end:
            time.sleep(LOOK)
        return self.ended

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if not self.ended:
            self.sent.append(number)
            os.kill(self.pid, number)

    def type(self, keys: str) -> None:
        """Press keys in its terminal."""
        if self.screen is not None and not self.ended:
            with contextlib.suppress(OSError):
                os.write(self.screen, keys.encode())

    def close_screen(self) -> None:
        """Drop its line."""
        if self.screen is not None:
            self.sent.append(signal.SIGHUP)
            os.close(self.screen)
            self.screen = None

    @property
    def out(self) -> str:
        """What it has printed."""
        return self.files.with_suffix(".out").read_text(errors="replace")

    @property
    def err(self) -> str:
        """What it has said on standard error."""
        return self.files.with_suffix(".err").read_text(errors="replace")

    def misbehaviour(self) -> str:
        """What no program may do, whatever is done to it; empty if it did not."""
        told = self.err + self.out
        if self.expected and self.expected in told:
            return ""
        if "Traceback (most recent call last)" in told or "--- Logging error" in told:
            return f"printed a traceback: {_summary(told)}"
        if self.code is not None and self.code not in CODES and -self.code not in self.sent:
            return f"ended with {self.code}: {told[-300:]}"
        if self.code == 2 and not told.strip():
            return "ended with 2 and said nothing"
        return ""


def _summary(traceback: str) -> str:
    """The last places that it names, and what was raised."""
    places = re.findall(r"(?:^|/)([\w/]*\w+\.py)(?:\", line |:)(\d+)", traceback, re.M)
    raised = re.findall(
        r"^\w[\w.]*(?:Error|Exception|Interrupt|Exit|Iteration).*$", traceback, re.M
    )
    shown = " ".join(f"{file}:{line}" for file, line in places[-6:])
    return f"{shown} {raised[-1] if raised else traceback[-200:]}"


class World:
    """A working folder with `saved_model` and `data`, and all processes of one sequence."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.away = folder / "away"
        """Another working folder."""
        self.runs = self.home / "saved_model"
        self.locks = folder / "locks"
        self.output = folder / "output"
        for path in (self.home, self.away, self.locks, self.output):
            path.mkdir(parents=True)
        self.programs: list[Program] = []
        self.locker: int | None = None
        """The process that holds the device, in place of another user's program."""
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        os.environ["CIFAR_TUI_LOCKS"] = str(self.locks)

    def start(self, *argv: str, where: Path | None = None, host: str = "") -> Program:
        """Start a command, from `home` unless said otherwise, on a machine of that name."""
        files = self.output / f"{len(self.programs)}"
        work = partial(enter, argv, where or self.home, host)
        pid = fork_quietly(work, files)
        program = Program(argv, pid, files)
        self.programs.append(program)
        return program

    def run(self, *argv: str, seconds: float = 60.0, **how: Any) -> Program:
        """Start a command and wait for its end."""
        program = self.start(*argv, **how)
        program.wait(seconds)
        return program

    def open_screen(self, *argv: str, prepare: Callable[[], object] | None = None) -> Program:
        """Start the app in a terminal of its own, after something was done in its process."""
        files = self.output / f"{len(self.programs)}"
        for end in (".out", ".err"):
            files.with_suffix(end).touch()
        sys.stdout.flush()
        sys.stderr.flush()
        held = signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
        pid, screen = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm-256color"
            renew_streams()
            sys.stderr = files.with_suffix(".err").open("w")
            leave(lambda: (prepare and prepare(), enter(argv, self.home, "")))
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        program = Program(argv, pid, files, screen=screen)
        self.programs.append(program)
        return program

    def read_screen(self, program: Program, seconds: float) -> None:
        """Take what the app draws for so long, and keep it."""
        if program.screen is None:
            return
        os.set_blocking(program.screen, False)
        end = time.monotonic() + seconds
        with program.files.with_suffix(".out").open("ab") as out:
            while time.monotonic() < end and not program.ended:
                with contextlib.suppress(OSError):
                    out.write(os.read(program.screen, 65536))
                time.sleep(LOOK)

    def processes(self) -> dict[int, str]:
        """All living processes of this sequence but the locker: pid and name."""
        found = descendants(os.getpid())
        for program in self.programs:
            if program.ended:
                found.pop(program.pid, None)
        known = {program.pid for program in self.programs}
        for pid, (state, _) in list(found.items()):
            if state == "Z":
                del found[pid]
                if pid not in known:
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(pid, os.WNOHANG)
        return {pid: name for pid, (_, name) in found.items() if pid != self.locker}

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every process of this sequence."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if number == signal.SIGKILL:
            for program in self.programs:
                program.sent.append(number)

    def lock_device(self) -> None:
        """Have another process hold the lock of the CPU."""
        ready, tell = os.pipe()

        def hold() -> None:
            turn = device_turn("cpu")
            os.write(tell, b"y" if turn.take(self.folder / "a run", "another program") else b"n")
            os.close(tell)
            signal.pause()

        self.locker = fork_quietly(hold, self.output / "locker")
        os.close(tell)
        os.read(ready, 1)
        os.close(ready)

    def unlock_device(self) -> None:
        """End the process that holds it."""
        if self.locker is not None:
            os.kill(self.locker, signal.SIGKILL)
            os.waitpid(self.locker, 0)
            self.locker = None

    def clear(self) -> None:
        """Leave no process behind."""
        self.unlock_device()
        for _ in range(100):
            if not self.processes():
                break
            self.signal_all(signal.SIGKILL)
            time.sleep(LOOK)
        for program in self.programs:
            program.close_screen()


def load_program() -> None:
    """Import all that a program may need; the minute for which it waits is a moment."""
    forked.load_program()
    run_writer.GRACE = GRACE


def descendants(root: int) -> dict[int, tuple[str, str]]:
    """State and name of each process below one, by pid."""
    found: dict[int, tuple[int, str, str]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError):
                name, _, rest = (
                    Path(f"/proc/{entry}/stat").read_text().partition("(")[2].rpartition(")")
                )
                fields = rest.split()
                found[int(entry)] = (int(fields[1]), fields[0], name)
    below = {root}
    while more := {pid for pid, (parent, _, _) in found.items() if parent in below} - below:
        below |= more
    return {pid: found[pid][1:] for pid in below - {root} if pid in found}


def fork_quietly(work: Callable[[], object], files: Path) -> int:
    """Do the work in a child with nothing to read, whose output goes into files."""
    sys.stdout.flush()
    sys.stderr.flush()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
    for end in (".out", ".err"):
        files.with_suffix(end).touch()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, end in ((1, ".out"), (2, ".err")):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            os.dup2(os.open(files.with_suffix(end), flags, 0o644), number)
        renew_streams()
        leave(work)
    signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return pid
