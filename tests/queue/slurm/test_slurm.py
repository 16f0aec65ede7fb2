"""Runs in a real Slurm of one machine: the folders of any backend, whatever is in their way."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cifar_tui.app import CifarApp
from cifar_tui.files import LineReader
from cifar_tui.queue.cluster import cluster
from cifar_tui.queue.cluster.cluster import ClusterQueue
from cifar_tui.queue.cluster.slurm import Slurm
from cifar_tui.runs.control import order
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.spec.settings import RunSpec
from tests.conftest import Command
from tests.queue.slurm.cluster import AWAY
from tests.waiting import screen_text, until, wait_for

LONG = 100_000
"""Epochs of a run that does not end by itself."""


def call(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def make_runs(runs: Path, data: Path, count: int = 1, epochs: int = LONG) -> list[RunFolder]:
    specs = [RunSpec(data=str(data), epochs=epochs, seed=seed) for seed in range(count)]
    return [RunFolder.create(runs, spec) for spec in specs]


def look(folder: RunFolder) -> Run:
    return Runs(folder.path.parent).get(folder.id)


def kinds(folder: RunFolder) -> list[str]:
    return [event["event"] for event in LineReader(folder.path / "events.jsonl").read()]


def figures(path: Path) -> list[tuple[float, ...]]:
    names = ("epoch", "lr", "train_loss", "train_acc", "val_loss", "val_acc")
    return [tuple(getattr(epoch, name) for name in names) for epoch in read_epochs(path)]


def job_of(folder: RunFolder) -> str:
    progress = look(folder).progress
    assert progress is not None
    return progress.worker.job.removeprefix("slurm:").partition("@")[0]


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """A folder of runs; no job is left at the end."""
    yield tmp_path / "runs"
    call("scancel", f"--user={os.getuid()}")
    until(lambda: not call("squeue", "--noheader"))


@pytest.fixture
def start(runs: Path) -> Iterator[Callable[..., ClusterQueue]]:
    """Starts a backend over runs; it ends with the test."""
    started: list[ClusterQueue] = []

    def begin(*folders: RunFolder, **options: str) -> ClusterQueue:
        backend = ClusterQueue(runs, Slurm(runs, options))
        for folder in folders:
            backend.add(folder)
        backend.start()
        started.append(backend)
        return backend

    yield begin
    for backend in started:
        backend.close()
        backend.join()


def test_a_lab_of_six_gives_the_folders_that_the_thread_gives(
    cifar: Command, tmp_path: Path, runs: Path, tiny_course: Path
) -> None:
    flags = ("lab2-lr", "--epochs", "2", "--data", tiny_course)
    alone = cifar("lab", "run", *flags, "--runs", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    on = ("--backend", "slurm", "--option", "at_once=2", "--option", "time=30")
    done = cifar("lab", "run", *flags, "--runs", runs, *on)
    assert done.returncode == 0, done.stderr
    by_lr = [{run.spec.lr: run for run in Runs(f).all()} for f in (tmp_path / "alone", runs)]
    assert len(by_lr[0]) == len(by_lr[1]) == 6
    for lr, run in by_lr[0].items():
        other = by_lr[1][lr]
        assert sorted(os.listdir(run.path)) == sorted(os.listdir(other.path))
        assert figures(run.path) == figures(other.path)
        assert run.status == other.status
    assert not list((runs / ".slurm").iterdir())


@pytest.mark.parametrize(
    "how", ["requeued", "preempted", "preempted for good", "at its time limit"]
)
def test_a_run_that_gives_way_goes_on_by_itself_to_the_same_numbers(
    start: Callable[..., ClusterQueue],
    tmp_path: Path,
    tiny_course: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    monkeypatch.setattr(cluster, "ASK_EVERY", 0.5)
    monkeypatch.setattr(cluster, "LOST_AFTER", 2.0)
    (folder,) = make_runs(tmp_path / "runs", tiny_course, epochs=60)
    backend = start(folder, partition="cheap" if how == "preempted for good" else "short")
    until(lambda: look(folder).summary.epochs_done >= 2)
    assert backend.training == [folder.id]
    if how == "requeued":
        call("scontrol", "requeue", job_of(folder))
    elif how.startswith("preempted"):
        call("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
    else:
        call("scancel", "--batch", "--signal=USR1", job_of(folder))
    until(lambda: look(folder).status == "queued")
    assert not look(folder).left_behind
    assert "goes on from its last whole epoch" in look(folder).summary.reason
    until(lambda: backend.queued == [folder.id])
    until(lambda: backend.own == [])
    assert look(folder).status == "finished"
    assert kinds(folder).count("resume") == 1 and kinds(folder).count("end") == 1
    (whole,) = make_runs(tmp_path / "whole", tiny_course, epochs=60)
    subprocess.run(
        [sys.executable, "-m", "cifar_tui", "worker", whole.id, "--runs", str(tmp_path / "whole")],
        check=True,
    )
    assert figures(folder.path) == figures(whole.path)


def test_runs_are_stopped_paused_and_dropped_as_everywhere(
    start: Callable[..., ClusterQueue], runs: Path, tiny_course: Path
) -> None:
    folders = make_runs(runs, tiny_course, 4)
    first, second, third, fourth = folders
    backend = start(*folders, at_once="1")
    until(lambda: look(first).summary.epochs_done >= 1)
    assert backend.queued == [folder.id for folder in folders[1:]]
    assert not any(look(folder).left_behind for folder in folders)
    order(look(second), "stop")
    until(lambda: look(second).status == "stopped")
    assert backend.drop(third.id)
    until(lambda: len(call("squeue", "--noheader", "--array").splitlines()) == 2)
    order(look(first), "pause")
    until(lambda: look(first).status == "paused")
    order(look(first), "stop")
    until(lambda: look(first).status == "stopped")
    until(lambda: look(fourth).status == "running")
    assert (look(second).summary.epochs_done, look(third).status) == (0, "queued")
    assert kinds(first)[-1] == "end" and kinds(second) == ["end"]


async def test_every_node_is_shown_with_what_is_taken_and_our_runs_there(
    start: Callable[..., ClusterQueue], cifar: Command, runs: Path, tiny_course: Path
) -> None:
    first, second = make_runs(runs, tiny_course, 2)
    backend = start(first, second, gpus="pretend:1")
    until(lambda: look(first).summary.epochs_done >= 1)
    asked = cifar("devices", "--backend", "slurm", "--runs", runs, "--json")
    assert asked.returncode == 0, asked.stderr
    away, here = sorted(json.loads(asked.stdout)["nodes"], key=lambda node: node["name"] != AWAY)
    assert here["state"] == "mixed" and here["runs"] == [first.id]
    assert (here["cpus"], here["cpus_used"]) == (2, 1)
    assert (here["gpus"], here["gpus_used"], here["has_room"]) == (1, 1, False)
    assert away["state"] in ("down", "down*") and not away["usable"]
    assert (away["cpus"], away["gpus"], away["runs"]) == (64, 4, [])
    assert look(second).status == "queued"
    app = CifarApp(runs, "demo", backend)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f6")
        await wait_for(pilot, lambda: AWAY in screen_text(app))
        rows = [" ".join(line.split()) for line in screen_text(app).splitlines()]
        assert any(row.startswith("2 nodes, 0 with room, 1 of 2 cores and 1 of 1") for row in rows)
        assert any("mixed 1/2 1/1" in row and row.endswith(look(first).name) for row in rows)
        assert any(re.match(rf"{AWAY} down\*? 0/64 0/4 0/500", row) for row in rows)


def test_leaving_leaves_the_jobs_alone_and_a_program_that_comes_later_finds_them(
    start: Callable[..., ClusterQueue], runs: Path, tiny_course: Path
) -> None:
    running, waiting = make_runs(runs, tiny_course, 2)
    backend = start(running, waiting, at_once="1")
    until(lambda: look(running).status == "running")
    backend.close()
    backend.join()
    before = look(running).summary.epochs_done
    until(lambda: look(running).summary.epochs_done > before)
    later = start()
    until(lambda: later.training == [running.id] and later.queued == [waiting.id])
    order(look(running), "stop")
    until(lambda: later.own == [waiting.id])
    until(lambda: look(waiting).status == "running")


def test_a_run_whose_job_is_cancelled_is_stopped_whether_it_had_begun_or_not(
    start: Callable[..., ClusterQueue],
    runs: Path,
    tiny_course: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "ASK_EVERY", 0.5)
    monkeypatch.setattr(cluster, "LOST_AFTER", 2.0)
    running, waiting, killed = make_runs(runs, tiny_course, 3)
    backend = start(running, waiting, killed, at_once="1")
    until(lambda: look(running).summary.epochs_done >= 1)
    call("scancel", job_of(waiting))
    until(lambda: look(waiting).status == "stopped")
    assert "was cancelled" in look(waiting).summary.reason
    call("scancel", job_of(running))
    until(lambda: look(running).status == "stopped")
    until(lambda: look(killed).summary.epochs_done >= 1)
    progress = look(killed).progress
    assert progress is not None
    os.kill(progress.worker.pid, signal.SIGKILL)
    until(lambda: look(killed).status == "crashed")
    assert "Slurm ended its job" in look(killed).summary.reason
    until(lambda: backend.own == [])


def test_a_queued_run_is_stopped_from_any_shell(
    cifar: Command, runs: Path, tiny_course: Path
) -> None:
    flags = ("--data", tiny_course, "--epochs", "3", "--runs", runs)
    later = ("--backend", "slurm", "--option", "sbatch=--begin=now+1hour")
    detached = cifar("train", "--detach", "--name", "mine", *flags, *later)
    assert detached.returncode == 0, detached.stderr
    assert "is stopped" in cifar("runs", "stop", "mine", "--runs", runs).stdout
    assert Runs(runs).find("mine").status == "stopped"
    assert not call("squeue", "--noheader")


def test_what_slurm_refuses_is_said_and_the_runs_are_kept(
    cifar: Command, runs: Path, tiny_course: Path
) -> None:
    flags = ("--data", tiny_course, "--epochs", "1", "--runs", runs, "--backend", "slurm")
    refused = cifar("train", "--detach", *flags, "--option", "partition=nowhere")
    assert refused.returncode == 2
    assert "Slurm does not take the runs: " in refused.stderr
    assert "Invalid partition" in refused.stderr
    (run,) = Runs(runs).all()
    assert run.left_behind
    assert cifar("train", *flags, "--option", "partition=short").returncode == 0
    assert Runs(runs).all()[1].status == "finished"
