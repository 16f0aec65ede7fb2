"""Turns on a device: where their locks lie, and what stands in the way of them."""

import os
import pwd
import tempfile
import threading
import time
from pathlib import Path

import pytest

from cifar_tui.errors import UserError
from cifar_tui.locks import Lock
from cifar_tui.queue.train_run import perform
from cifar_tui.queue.turns import device_turn, holders, locks_folder
from cifar_tui.runs.control import user_name
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_progress, read_run
from cifar_tui.spec.settings import RunSpec
from tests.apps import run_in_training
from tests.conftest import Command


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of this user's in place of the real one, where no other folder is named."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.delenv("CIFAR_TUI_LOCKS")
    monkeypatch.setattr(
        pwd, "getpwuid", lambda uid: pwd.struct_passwd(("me", "x", uid, 0, "", str(folder), ""))
    )
    return folder


def test_neither_the_environment_nor_the_temporary_folder_moves_the_locks(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with device_turn("cpu") as first, device_turn("cpu") as second:
        assert first.take(tmp_path / "one")
        for name in ("TMPDIR", "HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
            monkeypatch.setenv(name, str(tmp_path))
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        assert not second.take(tmp_path / "two")
    (folder,) = {path.parent for path in home.rglob("*.lock")}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_locks_that_others_may_write_is_refused(home: Path) -> None:
    locks_folder().chmod(0o777)
    with pytest.raises(UserError, match="no folder of your own; remove it, or CIFAR_TUI_LOCKS="):
        locks_folder()


@pytest.mark.parametrize("planted", ["link", "folder", "file"])
def test_what_another_user_put_in_place_of_a_lock_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    monkeypatch.setenv("CIFAR_TUI_LOCKS", str(tmp_path))
    with device_turn("cpu") as turn:
        turn.take(tmp_path / "run")
    (lock,) = tmp_path.glob("*.lock")
    lock.unlink()
    if planted == "link":
        lock.symlink_to(tmp_path / "elsewhere")
    elif planted == "folder":
        lock.mkdir()
    elif os.geteuid() == 0:
        lock.touch()
        os.chown(lock, 12345, -1)
    else:
        pytest.skip("only root can make a file of another user")
    with pytest.raises(UserError, match=rf"Cannot take turns by {lock}: .*; CIFAR_TUI_LOCKS="):
        device_turn("cpu").take(tmp_path / "run")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("train", "--data", "demo"),
        ("train", "--data", "demo", "--detach"),
        ("train", "--data", "demo", "--devices", "cpu:1"),
        ("lab", "run", "lab1-baseline", "--data", "demo", "--subset", "100"),
    ],
    ids=" ".join,
)
def test_a_folder_of_locks_that_is_missing_is_told_before_a_run_is_made(
    cifar: Command, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = cifar(*command, env={**os.environ, "CIFAR_TUI_LOCKS": "/nonexistent"})
    assert done.returncode == 2
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("cifar-tui:")]
    assert sentence == (
        "cifar-tui: CIFAR_TUI_LOCKS names /nonexistent, which is no folder; make it, or unset "
        "CIFAR_TUI_LOCKS."
    )
    assert not (tmp_path / "saved_model").exists()


def test_a_run_waits_and_says_why_while_the_folder_of_locks_is_missing(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks = tmp_path / "locks"
    monkeypatch.setenv("CIFAR_TUI_LOCKS", str(locks))
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data=str(tiny_course), epochs=1))
    thread = threading.Thread(target=perform, args=(folder,))
    thread.start()
    end = time.monotonic() + 60
    while not (reason := read_run(folder.path).summary.reason):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert reason.startswith("waits for cpu: CIFAR_TUI_LOCKS names")
    locks.mkdir()
    thread.join()
    assert read_run(folder.path).status == "finished"


def test_a_run_that_waits_says_whose_run_has_the_device_and_for_how_long(tmp_path: Path) -> None:
    busy = run_in_training(tmp_path / "others", name="busy")
    progress = read_progress(busy.path)
    assert progress is not None
    busy.write_progress(progress.model_copy(update={"seconds_left": 751}))
    me = user_name(os.getuid())
    with device_turn("cpu") as has, device_turn("cpu") as waits:
        assert has.take(busy.path, "busy")
        reason = waits.lacks("cpu", tmp_path / "runs" / "mine", "mine")
        far = f"pid {os.getpid()}, epoch 3/10, 0:12:31 left"
        assert reason == f"waits for cpu, used by {me}'s busy in {tmp_path / 'others'} ({far})"
        assert holders(tmp_path / "others") == {os.getpid(): f"{me}'s busy ({far})"}
    assert holders(tmp_path) == {}


def test_a_lock_of_an_early_version_names_the_run_that_it_knows(tmp_path: Path) -> None:
    with device_turn("cpu") as turn:
        assert turn.take(tmp_path / "one")
    (path,) = locks_folder().glob("*cpu.lock")
    with Lock(path) as early:
        assert early.take("20260101-000000-one")
        reason = device_turn("cpu").lacks("cpu", tmp_path / "two", "two")
    assert reason == "waits for cpu, used by 20260101-000000-one"
