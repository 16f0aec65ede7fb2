"""Who still has a run in hand: seen from containers, other hosts and other users."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_tui.errors import UserError
from cifar_tui.locks import Lock
from cifar_tui.runs.control import requeue
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs, read_run
from cifar_tui.runs.record import Progress, Worker, this_worker
from cifar_tui.spec.settings import RunSpec
from tests.conftest import Command


def ended_process() -> Worker:
    """A process of this machine that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return this_worker().model_copy(update={"pid": process.pid})


def in_training(runs: Path, worker: Worker, *, silent: bool, data: str = "demo") -> RunFolder:
    """A run as that process trains or left it; `silent` lets its last heartbeat be a minute old."""
    folder = RunFolder.create(runs, RunSpec(name="mine", data=data, epochs=1))
    summary = read_run(folder.path).summary
    folder.write_summary(summary.model_copy(update={"status": "running"}))
    folder.write_progress(Progress(worker=worker, counter=5))
    (folder.path / "lock").touch()
    if silent:
        os.utime(folder.path / "progress.json", (time.time() - 60, time.time() - 60))
    return folder


def status(folder: RunFolder) -> str:
    return Runs(folder.path.parent).get(folder.id).status


@pytest.mark.parametrize(
    ("boot", "silent", "expected"),
    [
        ("", True, "crashed"),
        ("", False, "running"),
        ("another", True, "stale"),
        ("another", False, "running"),
    ],
)
def test_one_look_tells_what_became_of_a_run_under_another_host_name(
    tmp_path: Path, boot: str, silent: bool, expected: str
) -> None:
    changes = {"host": "box1"} | ({"boot": boot} if boot else {})
    folder = in_training(tmp_path, ended_process().model_copy(update=changes), silent=silent)
    assert status(folder) == expected


def test_a_run_that_a_container_left_can_be_archived_deleted_and_resumed_at_once(
    cifar: Command, tmp_path: Path, tiny_course: Path
) -> None:
    runs = tmp_path / "saved_model"
    box1 = ended_process().model_copy(update={"host": "box1"})
    folder = in_training(runs, box1, silent=True, data=str(tiny_course))
    for command in (("archive", "last"), ("delete", "last"), ("restore", "last")):
        assert cifar("runs", *command).returncode == 0
    done = cifar("runs", "resume", "last")
    assert done.returncode == 0, done.stderr
    assert cifar("runs", "watch", "last").returncode == 0
    assert status(folder) == "finished"


def test_a_lock_that_is_held_tells_more_than_a_pid_of_another_container(tmp_path: Path) -> None:
    folder = in_training(tmp_path, ended_process(), silent=False)
    with Lock(folder.path / "lock") as held:
        assert held.take()
        assert status(folder) == "running"
    assert status(folder) == "crashed"


def test_a_run_whose_process_lives_but_does_not_train_it_is_crashed(tmp_path: Path) -> None:
    assert status(in_training(tmp_path, this_worker(), silent=True)) == "crashed"
    assert status(in_training(tmp_path, this_worker(), silent=False)) == "running"


def test_a_silent_run_that_some_process_holds_is_not_taken_over(tmp_path: Path) -> None:
    elsewhere = Worker(host="elsewhere", boot="another", pid=1, started=1.0)
    folder = in_training(tmp_path, elsewhere, silent=True)
    with Lock(folder.path / "lock") as held:
        assert held.take()
        with pytest.raises(UserError, match="mine is silent, but a process still holds it"):
            requeue(Runs(tmp_path).get(folder.id))
    assert requeue(Runs(tmp_path).get(folder.id)).id == folder.id


def test_a_run_of_a_process_that_the_system_hides_is_not_called_crashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with hidepid=2: /proc shows nothing of the process, and signals are not permitted."""

    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    folder = in_training(tmp_path, ended_process(), silent=False)
    (folder.path / "lock").unlink()
    assert status(folder) == "crashed"
    monkeypatch.setattr(os, "kill", refuse)
    assert status(folder) == "running"


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in which all users may write."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


AS_ANOTHER_USER = """
import _strptime  # all that is imported is so beforehand, where only root may read
import os
from pathlib import Path
import cifar_tui.queue.queue
from cifar_tui import cli
from cifar_tui.queue import headless
os.setuid(12345)
raise SystemExit(cli.run(["runs", "resume", "last"]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_users_run_is_not_resumed_and_it_is_said_why(shared: Path) -> None:
    folder = in_training(shared / "saved_model", ended_process(), silent=True)
    (folder.path / "lock").chmod(0o600)
    for path in (folder.path.parent, folder.path):
        path.chmod(0o777)
    (shared / "locks").mkdir()
    (shared / "locks").chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_USER],
        cwd=shared,
        env={
            **os.environ,
            "CIFAR_TUI_LOCKS": str(shared / "locks"),
            "XDG_CONFIG_HOME": str(shared / "config"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == (
        "cifar-tui: mine cannot be resumed by you, as you may not write "
        f"saved_model/{folder.id}/lock, which belongs to root.\n"
    )
    assert done.returncode == 2
    assert read_run(folder.path).status == "running"
