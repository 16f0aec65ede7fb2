"""Leaving while runs are trained, and coming back to runs that others train or left behind."""

import contextlib
import os
import pty
import signal
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pexpect
import psutil
import pytest
from textual.widgets import Static

from cifar_tui.queue.queue import ThreadQueue
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.spec.settings import RunSpec
from tests.apps import MakeApp, SaveRun, launch, run_in_training
from tests.forked import ForkedCommand
from tests.test_terminal import Screen, exit_code, open_in_pty, read_until, trained_epochs
from tests.waiting import toasts, until, wait_for

SMALL = (80, 24)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """The runs folder of a program in a terminal; what still trains at the end is killed."""
    folder = tmp_path / "saved_model"
    yield folder
    for run in Runs(folder).all():
        if run.progress and not run.ended and run.progress.worker.pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.progress.worker.pid, signal.SIGKILL)


def train_in_app(folder: Path, data: Path, *flags: str) -> Screen:
    return open_in_pty(folder, "train", "--app", "--data", str(data), "--name", "mine", *flags)


def worker_of(runs: Path) -> int:
    """The process that trains the first run."""
    progress = Runs(runs).all()[0].progress
    assert progress is not None
    return progress.worker.pid


def all_ended(runs: Path) -> bool:
    return all(run.ended for run in Runs(runs).all())


def test_b_leaves_the_program_and_the_run_trains_on_in_the_background(
    runs: Path, tmp_path: Path, tiny_course: Path
) -> None:
    child = train_in_app(tmp_path, tiny_course, "--epochs", "30")
    read_until(child, lambda: trained_epochs(runs) >= 2)
    before = worker_of(runs)
    child.send("q")
    child.expect("background")
    child.send("b")
    child.expect("1 run still training in the background")
    assert exit_code(child) == 0
    (run,) = Runs(runs).all()
    assert run.status in ("queued", "running", "finished")
    assert worker_of(runs) == before, "no other process has to begin the epoch again"
    until(lambda: all_ended(runs))
    (run,) = Runs(runs).all()
    assert run.status == "finished"
    assert run.summary.epochs_done == 30


BROKEN_HELP = """
from cifar_tui.__main__ import main
from cifar_tui.tui.dialogs import HelpScreen

def fail(screen):
    raise RuntimeError("a broken screen")

HelpScreen.on_mount = fail
main()
"""


@pytest.mark.slow
def test_an_error_on_the_screen_ends_no_training_and_gives_the_prompt_back(
    runs: Path, tmp_path: Path, tiny_course: Path
) -> None:
    flags = ["train", "--app", "--data", str(tiny_course), "--epochs", "15", "--grid", "seed=0,1"]
    child = pexpect.spawn(
        sys.executable,
        ["-c", BROKEN_HELP, *flags],
        cwd=str(tmp_path),
        dimensions=(24, 80),
        timeout=60,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    read_until(child, lambda: trained_epochs(runs) >= 1)
    child.send("?")
    child.expect("1049l")
    child.expect("An error ended the screen .details in saved_model/.crash.log.: RuntimeError")
    child.expect("2 runs still training in the background; `cifar-tui` shows them")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert "a broken screen" in (runs / ".crash.log").read_text()
    until(lambda: all_ended(runs))
    ended = [(run.status, run.summary.reason) for run in Runs(runs).all()]
    assert ended == [("finished", "")] * 2


def test_the_terminal_of_an_app_that_is_killed_is_given_back(
    runs: Path, tmp_path: Path, tiny_course: Path
) -> None:
    child = train_in_app(tmp_path, tiny_course, "--epochs", "100000")
    read_until(child, lambda: trained_epochs(runs) >= 1)
    os.kill(worker_of(runs), signal.SIGKILL)
    child.expect("1049l")
    child.expect("ended by SIGKILL")
    assert exit_code(child) == 137
    assert Runs(runs).all()[0].status == "crashed"


@pytest.mark.slow
def test_the_terminal_is_left_when_the_process_in_its_foreground_is_killed(
    runs: Path, tmp_path: Path, tiny_course: Path
) -> None:
    child = train_in_app(tmp_path, tiny_course, "--epochs", "15")
    read_until(child, lambda: trained_epochs(runs) >= 1)
    worker = psutil.Process(worker_of(runs))
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.program.pid, signal.SIGKILL)
    psutil.wait_procs([worker], timeout=120)
    assert not worker.is_running()
    assert Runs(runs).all()[0].status == "finished"


def test_sigterm_stops_the_run_and_leaves_with_143(
    runs: Path, tmp_path: Path, tiny_course: Path
) -> None:
    child = train_in_app(tmp_path, tiny_course, "--epochs", "100000")
    read_until(child, lambda: trained_epochs(runs) >= 1)
    child.program.send_signal(signal.SIGTERM)
    assert exit_code(child) == 143
    (run,) = Runs(runs).all()
    assert run.status == "stopped"
    assert run.summary.reason == "its program was ended by SIGTERM"
    assert (run.path / "last.pt").exists()


@pytest.mark.slow
def test_a_terminal_that_ends_without_a_signal_ends_the_screen_and_not_the_training(
    runs: Path, tmp_path: Path, tiny_course: Path
) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, SMALL[::-1])
    argv = ("train", "--app", "--data", str(tiny_course), "--epochs", "25")
    env = {**os.environ, "TERM": "xterm-256color"}
    process = ForkedCommand(argv, tmp_path, env, terminal=theirs, controls=False)
    os.close(theirs)
    os.set_blocking(ours, False)

    def has_trained() -> bool:
        with contextlib.suppress(BlockingIOError):
            os.read(ours, 65536)
        return trained_epochs(runs) >= 1

    until(has_trained)
    os.close(ours)
    until(lambda: all_ended(runs))
    assert process.wait() == 0
    (run,) = Runs(runs).all()
    assert run.status == "finished"
    assert run.summary.epochs_done == 25


async def test_a_run_of_another_process_is_announced_and_one_key_watches_it(
    make_app: MakeApp, tmp_path: Path
) -> None:
    folder = run_in_training(tmp_path / "runs")
    app = make_app()
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await wait_for(pilot, lambda: "1 run still training" in toasts(app))
        await pilot.press("f3")
        line = app.screen.query_one("#progress", Static)
        await wait_for(pilot, lambda: "epoch  3/10" in str(line.render()))
        await pilot.press("p")
        await wait_for(pilot, lambda: folder.read_order() == "pause")
        await pilot.press("q")
        await wait_for(pilot, lambda: not app.is_running)
        assert folder.read_order() == "pause", "leaving must not stop another process's run"


async def test_runs_left_behind_in_a_queue_are_offered_and_trained(
    make_app: MakeApp, tmp_path: Path, tiny_course: Path
) -> None:
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data=str(tiny_course), epochs=1, name="q"))
    gone = this_worker().model_copy(update={"started": 1.0})
    folder.write_progress(Progress(worker=gone))
    app = make_app()
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await wait_for(pilot, lambda: "1 queued run was left" in toasts(app))
        await pilot.press("f4", "R")
        await wait_for(pilot, lambda: app.runs.all()[0].status == "finished")


async def test_the_order_of_the_queue_can_be_changed_and_entries_dropped(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await launch(
            pilot, *[RunSpec(data="demo", epochs=1, name=name) for name in ("a", "b", "c")]
        )
        app.worker.hold()
        await wait_for(pilot, lambda: app.worker.ready.is_set())
        app.worker.hold()
        await pilot.pause()
        a, b, c = (run.id for run in app.runs.all())
        waiting = app.worker.queued
        assert waiting[-2:] == [b, c]
        await pilot.press("h")
        table = app.screen.query_one("RowTable")
        await wait_for(pilot, lambda: table.row_count == 3)  # type: ignore[attr-defined]
        await pilot.press("home", "less_than_sign")
        await pilot.pause()
        assert app.worker.queued[-2:] == [c, b]
        await pilot.press("x", "y")
        await wait_for(pilot, lambda: c not in app.worker.queued)
        assert [run.id for run in app.runs.trashed()] == [c]
        assert {run.id for run in app.runs.all()} == {a, b}


async def test_runs_that_go_on_without_the_app_are_left_without_a_question(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ThreadQueue, "outlives", True)
    app = make_app()
    app.worker.add(RunFolder.create(tmp_path / "runs", RunSpec(data="demo")))
    app.worker.hold()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f10")
        await wait_for(pilot, lambda: not app.is_running)
    assert app.return_code == 0
