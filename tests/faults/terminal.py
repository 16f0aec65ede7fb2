"""The terminal goes away in the middle of a run that the app trains."""

import contextlib
import os
import pty
import random
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cifar_tui.runs.listing import Runs
from cifar_tui.spec.naming import to_toml
from tests.faults.rig import (
    PATIENCE,
    Bench,
    Lost,
    Result,
    adopt,
    differences,
    end_children,
    until,
    wait,
)


def close_terminals(bench: Bench, tries: int, rng: random.Random) -> Iterator[Result]:
    """Close it with the hang-up signal, and without any."""
    for name, controls in (("hang-up", True), ("no signal", False)):
        result = Result(f"terminal closed mid-run ({name})", tries)
        for number in range(tries):
            runs = bench.folder / f"terminal-{controls}-{number}"
            try:
                _close_one(bench, runs, controls, rng.randint(1, bench.spec.epochs // 2))
                (run,) = Runs(runs).all()
                for difference in differences(bench.reference, run.path):
                    result.mistake(difference)
            except Lost as error:
                end_children()
                result.lose(str(error))
        yield result


def _close_one(bench: Bench, runs: Path, controls: bool, epoch: int) -> None:
    """Let the app train in a pty, close the pty after `epoch`, and wait for the app's end."""
    spec = bench.folder / "spec.toml"
    spec.write_text(to_toml(bench.spec))
    with _reading_pty() as theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "cifar_tui", "train", "--app"]
            + ["--spec", str(spec), "--runs", str(runs)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1"},
            start_new_session=True,
            preexec_fn=_take_terminal if controls else None,
        )
        pid = adopt(process.pid)
        os.close(theirs)
        until(lambda: _epochs_done(runs) >= epoch, f"epoch {epoch} in the app", pid)
    code = wait(pid, PATIENCE)
    process.returncode = code
    if code:
        raise Lost(f"the app ended with code {code}")


def _take_terminal() -> None:
    """Make standard input the controlling terminal, whose end is signalled."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def _reading_pty() -> Iterator[int]:
    """The program's side of a pty; the other is read all the time and closed at the end."""
    ours, theirs = pty.openpty()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            with contextlib.suppress(OSError):
                if select.select([ours], [], [], 0.05)[0]:
                    os.read(ours, 65536)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield theirs
    finally:
        done.set()
        reader.join()
        os.close(ours)


def _epochs_done(runs: Path) -> int:
    found = Runs(runs).all()
    return found[0].summary.epochs_done if found else 0
