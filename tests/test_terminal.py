"""The program in a real terminal: first paint, a dropped line, no terminal at all."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Sequence
from pathlib import Path

import pexpect
import psutil
import pytest
from pexpect.fdpexpect import fdspawn
from pexpect.spawnbase import SpawnBase

from cifar_tui.runs.listing import Runs
from tests.forked import ForkedCommand
from tests.waiting import until

COMMAND = [sys.executable, "-m", "cifar_tui"]


class Screen(fdspawn):
    """The program in a terminal, where what it draws is waited for and keys are sent."""

    def __init__(self, folder: Path, argv: Sequence[str], columns: int, **environment: str) -> None:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        env = {**os.environ, "TERM": "xterm-256color", **environment}
        self.program = ForkedCommand(argv, folder, env, terminal=theirs)
        os.close(theirs)
        super().__init__(ours, timeout=60)


def open_in_pty(folder: Path, *argv: str, columns: int = 80, **environment: str) -> Screen:
    return Screen(folder, argv, columns, **environment)


def exit_code(screen: Screen) -> int:
    """Read until the program ends."""
    screen.expect(pexpect.EOF)
    screen.close()
    return screen.program.wait()


def trained_epochs(runs: Path) -> int:
    found = Runs(runs).all()
    return found[0].summary.epochs_done if found else 0


def read_until(child: SpawnBase, condition: Callable[[], object]) -> None:
    """Keep reading what the screen sends until the condition holds."""
    for _ in range(1200):
        if condition():
            return
        try:
            child.read_nonblocking(65536, timeout=0.05)
        except pexpect.TIMEOUT:
            continue
    raise AssertionError("it did not happen within a minute")


def test_enter_trains_the_demo_set_and_q_leaves(tmp_path: Path) -> None:
    env = {**os.environ, "TERM": "xterm-256color"}
    child = pexpect.spawn(
        COMMAND[0], COMMAND[1:], cwd=str(tmp_path), dimensions=(24, 80), timeout=60, env=env
    )
    child.expect("Enter launches 1 run")
    child.expect("synthetic")
    child.send("\r")
    read_until(child, lambda: trained_epochs(tmp_path / "saved_model") >= 1)
    child.send("q")
    child.expect("it can be")
    child.send("s")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    (run,) = Runs(tmp_path / "saved_model").all()
    assert run.status == "stopped"
    assert run.synthetic


def test_a_dropped_line_ends_the_screen_and_not_the_training(
    tmp_path: Path, tiny_course: Path
) -> None:
    child = open_in_pty(
        tmp_path, "train", "--app", "--data", str(tiny_course), "--epochs", "30", "--name", "mine"
    )
    runs = tmp_path / "saved_model"
    read_until(child, lambda: trained_epochs(runs) >= 1)
    child.close()
    until(lambda: Runs(runs).all()[0].ended)
    (run,) = Runs(runs).all()
    assert run.status == "finished", run.summary.reason
    assert run.summary.epochs_done == 30
    child.program.wait()


@pytest.mark.parametrize(
    "controls", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["hang-up", "no signal"]
)
def test_train_goes_on_to_the_end_of_its_queue_when_its_terminal_is_closed(
    tmp_path: Path, tiny_course: Path, controls: bool
) -> None:
    ours, theirs = pty.openpty()
    flags = ["--data", str(tiny_course), "--epochs", "12", "--grid", "lr=0.05,0.01"]
    process = ForkedCommand(["train", *flags], tmp_path, terminal=theirs, controls=controls)
    os.close(theirs)
    seen = b""
    while not re.search(rb" 1 +0\.05 .* best", seen):
        seen += os.read(ours, 65536)
    os.close(ours)
    assert process.wait() == 0
    ended = [(run.status, run.summary.reason) for run in Runs(tmp_path / "saved_model").all()]
    assert ended == [("finished", "")] * 2


@pytest.mark.parametrize(
    ("number", "status", "reason"),
    [
        (signal.SIGTERM, "stopped", "its program was ended by SIGTERM"),
        (signal.SIGHUP, "finished", ""),
    ],
    ids=["SIGTERM", "SIGHUP"],
)
def test_an_app_whose_terminal_takes_no_output_obeys_signals(
    tmp_path: Path, tiny_course: Path, number: int, status: str, reason: str
) -> None:
    epochs = "9999" if status == "stopped" else "15"
    child = open_in_pty(tmp_path, "train", "--app", "--data", str(tiny_course), "--epochs", epochs)
    runs = tmp_path / "saved_model"
    read_until(child, lambda: trained_epochs(runs) >= 1)
    for _ in range(100):  # from here on nobody reads: its screen comes to wait
        child.send("?\x1b")
    app = psutil.Process(child.program.pid).children()[0]
    app.send_signal(number)
    assert not psutil.wait_procs([app], timeout=120)[1]
    (run,) = Runs(runs).all()
    assert (run.status, run.summary.reason) == (status, reason)


def test_a_process_that_is_stopped_and_goes_on_ends_when_it_is_left(tmp_path: Path) -> None:
    child = open_in_pty(tmp_path)
    child.expect("Enter launches 1 run")
    app = [psutil.Process(child.program.pid), *psutil.Process(child.program.pid).children()][-1]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        app.send_signal(number)
    child.expect("Enter launches 1 run")
    child.send("\x1b[21~")
    assert exit_code(child) == 0


@pytest.mark.slow
def test_an_app_that_its_shell_had_stopped_is_back_with_fg(tmp_path: Path) -> None:
    shell = pexpect.spawn("sh", ["-i"], cwd=str(tmp_path), env={**os.environ, "PS1": "ready> "})
    shell.expect("ready> ")
    shell.sendline(shlex.join(COMMAND))
    shell.expect("launches 1 run", timeout=60)
    parent = psutil.Process(shell.pid).children()[0]
    os.killpg(parent.pid, signal.SIGTSTP)
    shell.expect("ready> ")
    shell.sendline("fg")
    shell.expect("launches 1 run", timeout=60)
    shell.send("\x1b[21~")
    shell.expect("ready> ")
    shell.close(force=True)


def colours_sent(folder: Path, **environment: str) -> set[tuple[bytes, ...]]:
    """The red, green and blue of every true colour that the first screen is drawn in."""
    child = open_in_pty(folder, COLORTERM="truecolor", **environment)
    child.expect("Enter launches 1 run")
    child.send("\x1b[21~")
    child.expect(pexpect.EOF)
    seen = child.before
    assert isinstance(seen, bytes)
    return set(re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", seen))


def test_no_color_leaves_only_greys_on_the_screen(tmp_path: Path) -> None:
    assert any(len(set(colour)) > 1 for colour in colours_sent(tmp_path))
    without = colours_sent(tmp_path, NO_COLOR="1")
    assert without
    assert all(len(set(colour)) == 1 for colour in without)


def test_an_interrupted_grid_leaves_no_bar_and_names_no_run_that_was_not_begun(
    tmp_path: Path, tiny_course: Path
) -> None:
    flags = ("--data", str(tiny_course), "--epochs", "40", "--grid", "lr=0.1,0.05,0.02")
    child = open_in_pty(tmp_path, "train", *flags)
    child.expect("run 2/3")
    child.expect("epoch [0-9]+/40 .* left")
    child.send("\x03")
    child.expect("stopped by the user: best val_acc .*kept in ")
    assert exit_code(child) == 130
    assert isinstance(child.before, bytes)
    _, erased, table = child.before.rpartition(b"\x1b[2K")
    assert erased, "the last bar is erased"
    assert b"img/s" not in table
    assert b"run 3/3" not in child.before
    assert b"1 run is left: `cifar-tui runs resume --filter status=queued`" in child.before


def test_without_a_terminal_one_sentence_says_how_to_train(tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "cifar-tui train" in done.stderr


@pytest.mark.parametrize("width", [80, 140])
def test_train_shows_a_bar_on_a_terminal_and_ends_with_the_result(
    tmp_path: Path, tiny_course: Path, width: int
) -> None:
    flags = ("--data", str(tiny_course), "--epochs", "2")
    child = open_in_pty(tmp_path, "train", *flags, columns=width)
    child.expect("img/s")
    child.expect("finished: best val_acc")
    assert exit_code(child) == 0
    summary = json.loads(next((tmp_path / "saved_model").glob("*/summary.json")).read_text())
    assert summary["status"] == "finished"


def test_an_epoch_is_a_row_of_a_table_that_fits_the_terminal(
    tmp_path: Path, tiny_course: Path
) -> None:
    flags = ("--data", str(tiny_course), "--epochs", "2", "--name", "mine")
    child = open_in_pty(tmp_path, "train", *flags)
    child.expect("epoch +lr +train_loss +train_acc +val_loss +val_acc +img/s +s\r\n")
    child.expect(" +1 +0.01 +[0-9.]{6} +0[0-9.]{5} +[0-9.]{6} +0[0-9.]{5} [^\r\n]*  best\r\n")
    assert len(child.after) <= 80
    assert exit_code(child) == 0
