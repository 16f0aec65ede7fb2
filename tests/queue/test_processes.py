"""Runs side by side in processes of their own: the same folders, and no run lost."""

import errno
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cifar_tui.errors import UserError
from cifar_tui.files import LineReader
from cifar_tui.queue.processes import Child, Died, Lost, Pool
from cifar_tui.queue.train_run import perform
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training import process
from cifar_tui.training.process import Slot
from tests.conftest import Command, json_lines
from tests.waiting import until

SLOTS = (Slot("cpu:0"), Slot("cpu:1"))
PATIENCE = 120.0


def make_runs(runs: Path, data: Path, count: int, epochs: int = 2) -> list[RunFolder]:
    specs = [RunSpec(data=str(data), epochs=epochs, seed=seed) for seed in range(count)]
    return [RunFolder.create(runs, spec) for spec in specs]


def train_all(pool: Pool, folders: Sequence[RunFolder]) -> None:
    """Have the runs trained, or held back, and the pool ended."""
    for folder in folders:
        pool.add(folder)
    pool.finish()
    pool.start()
    pool.join()


def kinds(folder: RunFolder) -> list[str]:
    return [event["event"] for event in LineReader(folder.path / "events.jsonl").read()]


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number of threads everywhere, for which fp32 gives the same bits."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_runs_of_two_slots_give_the_folders_that_one_thread_gives(
    tmp_path: Path, tiny_course: Path, one_thread: None
) -> None:
    import torch

    folders = make_runs(tmp_path / "runs", tiny_course, 3)
    pool = Pool(tmp_path / "runs", SLOTS)
    train_all(pool, folders)
    assert pool.problem == "" and pool.own == []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = make_runs(tmp_path / "alone", tiny_course, 3)
    for folder in alone:
        perform(folder)
    torch.set_num_threads(threads)
    for folder, other in zip(folders, alone, strict=True):
        assert sorted(os.listdir(folder.path)) == sorted(os.listdir(other.path))
        assert figures(folder) == figures(other)
        assert Runs(folder.path.parent).get(folder.id).status == "finished"


def figures(folder: RunFolder) -> list[tuple[float, ...]]:
    names = ("train_loss", "train_acc", "val_loss", "val_acc")
    return [tuple(getattr(epoch, name) for name in names) for epoch in read_epochs(folder.path)]


@pytest.mark.slow
def test_a_run_whose_process_is_killed_goes_on_in_another(
    tmp_path: Path, tiny_course: Path
) -> None:
    (folder,) = make_runs(tmp_path / "runs", tiny_course, 1, epochs=400)
    known = Runs(tmp_path / "runs")

    def run() -> Run:
        return known.get(folder.id)

    pool = Pool(tmp_path / "runs", SLOTS)
    pool.add(folder)
    pool.start()
    try:
        until(lambda: run().summary.epochs_done > 1)  # the first one's checkpoint is there
        first = run()
        assert first.progress is not None
        os.kill(first.progress.worker.pid, signal.SIGKILL)
        until(lambda: "resume" in kinds(folder))
        until(lambda: run().summary.epochs_done > first.summary.epochs_done)
        second = run()
        assert second.progress is not None
        assert second.progress.worker.pid not in (first.progress.worker.pid, os.getpid())
        os.kill(second.progress.worker.pid, signal.SIGKILL)
        until(lambda: pool.own == [])
        assert run().status == "crashed"
    finally:
        pool.close()
        pool.join()


def test_closing_stops_what_is_in_training_and_leaves_what_waits(
    tmp_path: Path, tiny_course: Path
) -> None:
    folders = make_runs(tmp_path / "runs", tiny_course, 3, epochs=10_000)
    known = Runs(tmp_path / "runs")
    pool = Pool(tmp_path / "runs", SLOTS)
    for folder in folders:
        pool.add(folder)
    pool.start()
    until(lambda: all(known.get(f.id).summary.epochs_done > 0 for f in folders[:2]))
    assert sorted(pool.training) == sorted(folder.id for folder in folders[:2])
    assert pool.queued == [folders[2].id]
    pool.close()
    pool.join()
    assert [known.get(f.id).status for f in folders] == ["stopped", "stopped", "queued"]


class OneBadDevice:
    """In place of a slot's process: cpu:0's device fails at its first run, cpu:1's works."""

    def __init__(self, runs: Path, slot: Slot, say: Callable[[str], None]) -> None:
        self._slot = slot

    def train(self, folder: RunFolder) -> None:
        summary = Runs(folder.path.parent).get(folder.id).summary
        if self._slot.name == "cpu:0":
            lost = {"status": "failed", "reason": "the GPU stopped working"}
            folder.write_summary(summary.model_copy(update=lost))
            raise Lost("the GPU stopped working")
        folder.write_summary(summary.model_copy(update={"status": "finished", "reason": ""}))

    def stop(self, reason: str) -> None: ...

    def end(self) -> None: ...


def test_a_device_that_fails_is_taken_out_and_its_run_goes_elsewhere(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cifar_tui.queue.processes.Child", OneBadDevice)
    folders = make_runs(tmp_path / "runs", tiny_course, 3)
    pool = Pool(tmp_path / "runs", SLOTS)
    for folder in folders:
        pool.add(folder)
    pool.start()
    until(lambda: pool.own == [] and pool.slots == 1)
    assert pool.problem == "cpu:0 is used no more: the GPU stopped working"
    assert {Runs(tmp_path / "runs").get(f.id).status for f in folders} == {"finished"}
    pool.close()
    pool.join()


def test_without_any_device_left_the_queue_is_held(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cifar_tui.queue.processes.Child", OneBadDevice)
    folders = make_runs(tmp_path / "runs", tiny_course, 2)
    pool = Pool(tmp_path / "runs", SLOTS[:1])
    train_all(pool, folders)
    assert pool.held and pool.queued == [folder.id for folder in folders]
    assert {Runs(tmp_path / "runs").get(f.id).status for f in folders} == {"queued"}


class Poisoned(OneBadDevice):
    """In place of a slot's process: one that seed 0 kills, every time."""

    def train(self, folder: RunFolder) -> None:
        run = Runs(folder.path.parent).get(folder.id)
        if run.spec is not None and run.spec.seed == 0:
            raise Died
        folder.write_summary(run.summary.model_copy(update={"status": "finished"}))


def test_a_run_that_kills_every_process_costs_no_slot(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cifar_tui.queue.processes.Child", Poisoned)
    folders = make_runs(tmp_path / "runs", tiny_course, 3)
    pool = Pool(tmp_path / "runs", SLOTS[:1])
    train_all(pool, folders)
    known = [Runs(tmp_path / "runs").get(f.id) for f in folders]
    assert [run.status for run in known] == ["crashed", "finished", "finished"]
    assert "process ended 2 times" in known[0].summary.reason
    assert pool.slots == 1 and not pool.held and pool.problem == ""


def test_a_slot_that_kills_every_process_costs_no_run(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = threading.Event()

    class BadSlot(OneBadDevice):
        def train(self, folder: RunFolder) -> None:
            if self._slot.name == "cpu:0":
                raise Died
            assert out.wait(PATIENCE), "the other one takes its time until this one is out"
            super().train(folder)

    monkeypatch.setattr("cifar_tui.queue.processes.Child", BadSlot)
    folders = make_runs(tmp_path / "runs", tiny_course, 4)
    pool = Pool(tmp_path / "runs", SLOTS)
    for folder in folders:
        pool.add(folder)
    pool.finish()
    pool.start()
    until(lambda: pool.slots == 1)
    out.set()
    pool.join()
    assert {Runs(tmp_path / "runs").get(f.id).status for f in folders} == {"finished"}
    assert "cpu:0 is used no more: its process ended under 2 runs in a row" in pool.problem


def test_a_run_that_fails_every_device_is_to_blame_itself(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(OneBadDevice):
        def train(self, folder: RunFolder) -> None:
            run = Runs(folder.path.parent).get(folder.id)
            bad = run.spec is not None and run.spec.seed == 0
            status = {"status": "failed" if bad else "finished"}
            folder.write_summary(run.summary.model_copy(update=status))
            if bad:
                raise Lost("an illegal memory access")

    monkeypatch.setattr("cifar_tui.queue.processes.Child", Broken)
    folders = make_runs(tmp_path / "runs", tiny_course, 3)
    pool = Pool(tmp_path / "runs", SLOTS)
    train_all(pool, folders)
    statuses = [Runs(tmp_path / "runs").get(f.id).status for f in folders]
    assert statuses == ["failed", "finished", "finished"] and pool.slots == 1


def test_what_a_run_was_told_is_obeyed_by_its_next_process(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Once(OneBadDevice):
        def train(self, folder: RunFolder) -> None:
            if folder.read_order() is None:
                folder.write_order("pause")
                raise Died
            orders.append(folder.read_order())
            super().train(folder)

    orders: list[str | None] = []
    monkeypatch.setattr("cifar_tui.queue.processes.Child", Once)
    (folder,) = make_runs(tmp_path / "runs", tiny_course, 1)
    pool = Pool(tmp_path / "runs", SLOTS[1:])
    train_all(pool, [folder])
    assert orders == ["pause"]


def test_without_a_process_to_be_had_the_queue_is_held_and_no_run_blamed(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("cifar_tui.queue.processes.Child", refuse)
    (folder,) = make_runs(tmp_path / "runs", tiny_course, 1)
    pool = Pool(tmp_path / "runs", SLOTS)
    train_all(pool, [folder])
    assert pool.held and pool.queued == [folder.id] and "Cannot allocate" in pool.problem
    assert Runs(tmp_path / "runs").get(folder.id).status == "queued" and pool.slots == 2


def test_a_slots_process_gets_what_the_user_set_and_not_what_this_one_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "OURS", {})
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    process.prepare_process()
    assert os.environ["OMP_NUM_THREADS"]
    assert "OMP_NUM_THREADS" not in process.as_started(os.environ)
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    assert process.as_started(os.environ)["OMP_NUM_THREADS"] == "77"


def test_a_held_queue_stays_held_when_a_process_dies(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, dies = threading.Event(), threading.Event()

    class Doomed(OneBadDevice):
        def train(self, folder: RunFolder) -> None:
            begun.set()
            assert dies.wait(PATIENCE)
            raise Died

    monkeypatch.setattr("cifar_tui.queue.processes.Child", Doomed)
    folders = make_runs(tmp_path / "runs", tiny_course, 2)
    pool = Pool(tmp_path / "runs", SLOTS[:1])
    for folder in folders:
        pool.add(folder)
    pool.start()
    assert begun.wait(PATIENCE)
    pool.hold()
    dies.set()
    until(lambda: pool.queued == [folder.id for folder in folders])
    assert pool.held and pool.training == []
    pool.close()
    pool.join()


def test_closing_reaches_a_process_that_is_just_being_started(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting, go_on = threading.Event(), threading.Event()

    class Slow(Child):
        def __init__(self, runs: Path, slot: Slot, say: Callable[[str], None]) -> None:
            super().__init__(runs, slot, say)
            starting.set()
            assert go_on.wait(PATIENCE)

    monkeypatch.setattr("cifar_tui.queue.processes.Child", Slow)
    (folder,) = make_runs(tmp_path / "runs", tiny_course, 1, epochs=100_000)
    pool = Pool(tmp_path / "runs", SLOTS[:1])
    pool.add(folder)
    pool.start()
    assert starting.wait(PATIENCE)
    pool.close()
    go_on.set()
    pool.join()
    assert Runs(tmp_path / "runs").get(folder.id).status == "queued"


def test_train_on_several_devices_from_the_command_line(
    cifar: Command, tmp_path: Path, tiny_course: Path
) -> None:
    arguments = ["--data", tiny_course, "--epochs", "1", "--grid", "lr=0.01,0.1", "--json"]
    outcome = cifar("train", "--devices", "cpu:1", *arguments)
    assert outcome.returncode == 0, outcome.stderr
    events = json_lines(outcome.stdout)
    assert [event["event"] for event in events].count("end") == 2
    refused = cifar("train", "--devices", "cpu:1", "--device", "cuda:0", *arguments)
    assert refused.returncode == 2
    assert "names device cuda:0; those in use are cpu:0" in refused.stderr
    assert len(Runs(tmp_path / "saved_model").all()) == 2


def test_where_threads_cannot_be_had_nothing_hangs_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, started = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    pool = Pool(tmp_path / "runs", SLOTS)
    with pytest.raises(UserError, match=r"can't start new thread.*allow this user more processes"):
        pool.start()
    pool.join()
    assert started and not pool.alive
