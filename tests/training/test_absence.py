"""Folders that are removed, renamed or refuse to be written while their runs are trained."""

import shutil
from pathlib import Path

import pytest

from cifar_tui.queue import run_writer, train_run
from cifar_tui.queue.queue import ThreadQueue
from cifar_tui.queue.turns import device_turn
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.spec.settings import RunSpec
from tests.waiting import until


def epochs_done(folder: RunFolder) -> int:
    return read_run(folder.path).summary.epochs_done


def make(runs: Path, data: Path, epochs: int, **settings: object) -> RunFolder:
    return RunFolder.create(runs, RunSpec(data=str(data), epochs=epochs, **settings))


def start(*folders: RunFolder) -> ThreadQueue:
    worker = ThreadQueue()
    for folder in folders:
        worker.add(folder)
    worker.finish()
    worker.start()
    return worker


def remove(folder: Path) -> None:
    """Remove a folder in which another thread makes files meanwhile."""
    aside = folder.rename(folder.with_name(".removed"))
    shutil.rmtree(aside, ignore_errors=True)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is given up after a moment, and a device given back at once."""
    monkeypatch.setattr(run_writer, "GRACE", 0.5)
    monkeypatch.setattr(train_run, "HOLD", 0.0)


def test_a_run_whose_folder_is_removed_ends_and_the_next_one_starts(
    tmp_path: Path, tiny_course: Path, impatient: None
) -> None:
    removed, following = make(tmp_path, tiny_course, 100_000), make(tmp_path, tiny_course, 1)
    worker = start(removed, following)
    until(lambda: epochs_done(removed))
    remove(removed.path)
    worker.join()
    assert read_run(following.path).status == "finished"
    assert not removed.path.exists()
    assert worker.problem == f"{removed.path} was removed, and its run has ended with it"


def test_when_all_runs_are_removed_nothing_is_left_that_trains(
    tmp_path: Path, tiny_course: Path, impatient: None
) -> None:
    runs = tmp_path / "runs"
    folders = [make(runs, tiny_course, 100_000) for _ in range(3)]
    worker = start(*folders)
    until(lambda: epochs_done(folders[0]))
    remove(runs)
    worker.join()
    assert not runs.exists()
    with device_turn("cpu") as turn:
        assert turn.take(runs / "another")


def test_runs_that_are_renamed_and_brought_back_lose_nothing(
    tmp_path: Path, tiny_course: Path
) -> None:
    runs = tmp_path / "runs"
    folders = make(runs, tiny_course, 15, subset=200), make(runs, tiny_course, 1)
    worker = start(*folders)
    until(lambda: epochs_done(folders[0]))
    runs.rename(tmp_path / "elsewhere")
    until(lambda: "bring" in worker.problem)
    (tmp_path / "elsewhere").rename(runs)
    worker.join()
    assert [read_run(folder.path).status for folder in folders] == ["finished", "finished"]
    assert [epoch.epoch for epoch in read_epochs(folders[0].path)] == list(range(1, 16))


def test_a_run_that_cannot_be_written_for_long_gives_its_device_to_others(
    tmp_path: Path, tiny_course: Path, impatient: None
) -> None:
    folder = make(tmp_path, tiny_course, 15, subset=200)
    worker = start(folder)
    until(lambda: epochs_done(folder))
    events = folder.path / "events.jsonl"
    events.rename(folder.path / "aside")
    events.mkdir()  # refuses to be written, also to root
    with device_turn("cpu") as other:
        until(lambda: other.take(tmp_path / "other"))
        assert read_run(folder.path).status == "paused"
        events.rmdir()
        (folder.path / "aside").rename(events)
        until(lambda: "waits for cpu, used by" in read_run(folder.path).summary.reason)
    worker.join()
    assert read_run(folder.path).status == "finished"
    assert [epoch.epoch for epoch in read_epochs(folder.path)] == list(range(1, 16))
