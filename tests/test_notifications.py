"""A person is told when a queue ends or a run goes wrong, and at the next start of the rest."""

import os
from pathlib import Path

import pytest
from textual.widgets import Static

from cifar_tui.config import Config
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.visits import mark_visit
from cifar_tui.terminal import notification
from cifar_tui.tui.screen import KeyLine
from tests.apps import MakeApp, SaveRun, run_in_training
from tests.test_terminal import exit_code, open_in_pty
from tests.waiting import toasts, wait_for

SMALL = (80, 24)


def end(folder: RunFolder, status: str, reason: str = "") -> None:
    told = {"status": status, "reason": reason}
    folder.write_summary(read_run(folder.path).summary.model_copy(update=told))


async def test_a_failure_and_the_end_of_the_queue_ring_and_reach_the_desktop(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (run_in_training(tmp_path / "runs", name=name) for name in ("one", "two"))
    app = make_app(mode="live")
    rung: list[str] = []
    monkeypatch.setattr(app, "bell", lambda: rung.append("bell"))
    monkeypatch.setattr(app, "send", rung.append)
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setenv("TERM", "xterm-kitty")
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await wait_for(pilot, lambda: len(app.activity.now.training) == 2)
        end(first, "failed", "out of memory")
        await wait_for(pilot, lambda: len(rung) == 2)
        assert rung[0] == "bell"
        assert "one failed after epoch 0: out of memory." in rung[1]
        assert rung[1].startswith("\x1b]99;")
        end(second, "finished")
        await wait_for(pilot, lambda: len(rung) == 4)
        assert "All 2 runs are done: 1 finished, 1 failed" in rung[3]
        assert any(told in rung[3] for told in toasts(app).split("\n"))
        told = app.screen.query_one("#told", Static)
        await wait_for(pilot, lambda: "All 2 runs are done" in str(told.render()))


@pytest.mark.parametrize(("wanted", "rung"), [("bell", ["bell"]), ("desktop", ["sent"])])
async def test_bell_and_desktop_can_be_turned_off(
    make_app: MakeApp,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    rung: list[str],
) -> None:
    folder = run_in_training(tmp_path / "runs")
    app = make_app(config=Config(bell=wanted == "bell", desktop=wanted == "desktop"))
    found: list[str] = []
    monkeypatch.setattr(app, "bell", lambda: found.append("bell"))
    monkeypatch.setattr(app, "send", lambda text: found.append("sent"))
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await wait_for(pilot, lambda: app.activity.now.training)
        end(folder, "finished")
        await wait_for(pilot, lambda: "finished" in toasts(app))
        assert found == rung


async def test_a_run_that_the_person_stopped_rings_nothing(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_in_training(tmp_path / "runs")
    app = make_app()
    rung: list[str] = []
    monkeypatch.setattr(app, "bell", lambda: rung.append("bell"))
    async with app.run_test(size=SMALL) as pilot:
        await wait_for(pilot, lambda: app.activity.now.training)
        end(folder, "stopped", "stopped by the user")
        await wait_for(pilot, lambda: not app.activity.now.training)
        await pilot.pause()
        assert not rung


async def test_the_start_says_what_ended_since_the_person_was_here(
    make_app: MakeApp, save_run: SaveRun, tmp_path: Path
) -> None:
    old = save_run(name="old")
    for path in old.path.iterdir():
        os.utime(path, (1e9, 1e9))
    mark_visit(tmp_path / "runs")
    save_run((0.6, 0.7246), name="best")
    save_run((0.1,), name="wild", status="diverged")
    app = make_app()
    told = "Since you were here: 1 finished, 1 diverged; best val_acc 0.7246 @ 2 (best)."
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await wait_for(pilot, lambda: told in toasts(app))


async def test_equal_toasts_do_not_pile_up_and_leave_the_keys_in_sight(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        app.action_go("history")
        for _ in range(3):
            app.notify("That was said already.")
        await wait_for(pilot, lambda: app.screen.query("Toast"))
        await pilot.pause()
        (toast,) = app.screen.query("Toast")
        keys = app.screen.query_one(KeyLine)
        assert isinstance(toast, Static)
        assert keys.size.height > 1
        assert toast.region.bottom <= keys.region.y


def test_a_notification_is_said_in_the_way_of_the_terminal() -> None:
    def sent(**environ: str) -> str:
        return notification("cifar-tui", "a; b\x1b\\c", environ)

    assert sent(TERM="xterm-256color") == "\x1b]9;cifar-tui: a; b\\x1b\\c\x1b\\"
    assert sent(TERM="foot") == "\x1b]777;notify;cifar-tui;a; b\\x1b\\c\x1b\\"
    kitty = sent(TERM="xterm-kitty")
    assert kitty.startswith("\x1b]99;i=cifar-tui:d=0;cifar-tui\x1b\\\x1b]99;i=cifar-tui:p=body;a;")
    in_tmux = sent(TERM="tmux-256color", TMUX="/tmp/tmux-0/default,1,0")
    assert in_tmux == "\x1bPtmux;\x1b\x1b]9;cifar-tui: a; b\\x1b\\c\x1b\x1b\\\x1b\\"
    assert sent(TERM="screen", STY="1.x") == "\x1bP\x1b]9;cifar-tui: a; b\\x1b\\c\a\x1b\\"


def test_the_end_of_a_run_reaches_the_terminal(tmp_path: Path, tiny_course: Path) -> None:
    flags = ("--data", str(tiny_course), "--epochs", "15", "--name", "mine")
    child = open_in_pty(tmp_path, "train", "--app", *flags, TMUX="", STY="")
    child.expect("\x1b]9;cifar-tui: mine finished: best val_acc 0.[0-9]{4} @ [0-9]+.\x1b")
    child.send("q")
    assert exit_code(child) == 0


def test_the_app_opens_on_what_trains(tmp_path: Path) -> None:
    run_in_training(tmp_path / "saved_model")
    child = open_in_pty(tmp_path)
    child.expect("LIVE")
    child.expect("elsewhere")
    child.send("q")
    assert exit_code(child) == 0
    assert list((tmp_path / "saved_model").glob(".visited-by-*"))
