"""A run's folder and its copy elsewhere: whatever happens between them, home is never ahead."""

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar_tui.files import LineReader, write_atomic
from cifar_tui.queue.cluster import ray_mirror
from cifar_tui.queue.cluster.ray_mirror import Copy, Courier, Greeting, Home, Lent, Parcel, Reply
from cifar_tui.queue.train_run import perform
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_progress, read_run
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.spec.spec import RunSpec
from cifar_tui.training.checkpoint import load
from tests.told import tell

SAME = ("events.jsonl", "summary.json", "best.pt", "last.pt")


class DiskFull(OSError):
    """What the tests put in the way of a write."""

    def __init__(self) -> None:
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC))


def work(folder: RunFolder, first: int, epochs: int) -> Iterator[None]:
    """The writes of a run in the worker's order, one at each step; every second epoch is best."""
    summary = read_run(folder.path).summary
    for epoch in range(first, epochs + 1):
        folder.write_progress(Progress(worker=this_worker(), counter=epoch, epoch=epoch))
        yield
        tell(folder, {"event": "epoch", "epoch": epoch}, durable=True)
        yield
        folder.write_summary(summary.model_copy(update={"epochs_done": epoch, "status": "running"}))
        yield
        best = epoch - 1 + epoch % 2
        if best == epoch:
            write_atomic(folder.best, json.dumps({"epoch": epoch}).encode())
            yield
        write_atomic(folder.last, json.dumps({"epoch": epoch, "best": best}).encode())
        yield
        tell(folder, {"event": "checkpoint", "epoch": epoch})
        yield
    tell(folder, {"event": "end"}, durable=True)
    yield
    folder.write_summary(summary.model_copy(update={"epochs_done": epochs, "status": "finished"}))
    yield


def content(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes()) if path.exists() else {"epoch": 0, "best": 0}


def require_resumable(folder: RunFolder) -> int:
    """Whatever came home can be resumed without a hole; returns the epoch to go on from."""
    events = LineReader(folder.path / "events.jsonl").read()
    seen = [event["epoch"] for event in events if event["event"] == "epoch"]
    last, best = content(folder.last), content(folder.best)
    assert last["epoch"] <= max(seen, default=0)
    assert best["epoch"] >= last["best"]
    summary = read_run(folder.path).summary
    assert summary.epochs_done <= max(seen, default=0)
    if summary.status == "finished":
        assert events[-1]["event"] == "end" and last["epoch"] == summary.epochs_done
    return int(last["epoch"])


class Apart:
    """A run's home and the copy of it, with a line between them that does its worst."""

    def __init__(self, where: Path, epochs: int = 5) -> None:
        self.where = where
        self.epochs = epochs
        self.folder = RunFolder.create(where / "runs", RunSpec(data="demo", epochs=epochs))
        self.late: list[Parcel] = []
        self.copies = 0
        self.reached = 0
        self.lend()

    def lend(self) -> None:
        """Begin a copy on another node, with what is at home; what the last sent may come late."""
        self.copies += 1
        self.home = Home(self.folder)
        lent = self.home.lend()
        assert not lent.refused
        self.before = (self.folder.path / "events.jsonl").read_bytes() if lent.events else b""
        (self.where / f"node{self.copies}").mkdir()
        self.copy = Copy(self.where / f"node{self.copies}" / self.folder.id, lent)
        done = content(self.copy.last)["epoch"]
        self.steps = work(self.copy, done + 1, self.epochs)

    def act(self, action: str, writes: int, patch: pytest.MonkeyPatch) -> None:
        """One thing that happens; after it, home must be as a crash on the spot leaves it."""
        if action == "work":
            for _ in range(writes):
                next(self.steps, None)
        elif action == "send":
            self.home.greet(self.copy.greeting())
            if parcel := self.copy.pack():
                assert self.home.take_in(parcel) == Reply()
                self.copy.delivered(parcel)
        elif action == "send twice" and (parcel := self.copy.pack()):
            self.home.take_in(parcel)
            self.home.take_in(parcel)
        elif action == "hold back" and (parcel := self.copy.pack()):
            self.late.append(parcel)
        elif action == "arrive late" and self.late:
            self.home.take_in(self.late.pop())
        elif action == "disk full" and (parcel := self.copy.pack()):
            with patch.context() as full:
                refuse_after(full, writes % 4)
                assert self.home.take_in(parcel).refused in (0, errno.ENOSPC)
        elif action == "node lost":
            self.home.close()
            assert self.home.greet(self.copy.greeting()).over
            self.lend()
        reached = require_resumable(self.folder)
        assert reached >= self.reached, "nothing that came home is taken back"
        self.reached = reached
        ours = (self.folder.path / "events.jsonl").read_bytes() if self.copies else b""
        assert (self.before + events_of(self.copy)).startswith(ours)


def events_of(folder: RunFolder) -> bytes:
    path = folder.path / "events.jsonl"
    return path.read_bytes() if path.exists() else b""


def refuse_after(patch: pytest.MonkeyPatch, writes: int) -> None:
    """Let so many files be replaced at home; the disk is full for the next."""
    left = [writes]

    def limited(path: Path, data: bytes, *, durable: bool = True) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise DiskFull
        write_atomic(path, data, durable=durable)

    patch.setattr(ray_mirror, "write_atomic", limited)


ACTIONS = ("work", "send", "send twice", "hold back", "arrive late", "disk full", "node lost")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(1, 9)), max_size=30))
def test_whatever_happens_home_is_as_a_crash_on_the_spot_leaves_it(
    story: list[tuple[str, int]],
) -> None:
    with TemporaryDirectory() as where, pytest.MonkeyPatch.context() as patch:
        apart = Apart(Path(where))
        (apart.folder.path / "events.jsonl").touch()
        for action, writes in story:
            apart.act(action, writes, patch)
        for _ in apart.steps:
            pass
        apart.act("send", 0, patch)
        for name in (*SAME[1:], "progress.json"):
            assert (apart.folder.path / name).read_bytes() == (apart.copy.path / name).read_bytes()
        assert events_of(apart.folder) == apart.before + events_of(apart.copy)
        assert [e.epoch for e in read_epochs(apart.folder.path)] == [1, 2, 3, 4, 5]


def test_a_parcel_read_while_the_worker_writes_brings_no_checkpoint_without_its_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write falls between any two reads of the courier."""
    apart = Apart(tmp_path, epochs=60)
    plain = ray_mirror.open_regular

    def slow(path: Path) -> Any:
        for _ in range(3):
            next(apart.steps, None)
        return plain(path)

    monkeypatch.setattr(ray_mirror, "open_regular", slow)
    sent = 0
    while read_run(apart.folder.path).summary.status != "finished":
        parcel = apart.copy.pack()
        assert parcel is not None
        apart.home.take_in(parcel)
        apart.copy.delivered(parcel)
        require_resumable(apart.folder)
        sent += 1
    assert sent > 10


def test_a_parcel_that_was_overtaken_takes_nothing_back(tmp_path: Path) -> None:
    apart = Apart(tmp_path)
    (apart.folder.path / "events.jsonl").touch()
    with pytest.MonkeyPatch.context() as patch:
        for action in ("work", "hold back", "work", "send"):
            apart.act(action, 9, patch)
        assert apart.reached == 3
        apart.act("arrive late", 0, patch)


def test_only_one_has_the_run_and_late_parcels_of_another_change_nothing(tmp_path: Path) -> None:
    apart = Apart(tmp_path)
    assert Home(apart.folder).lend() == Lent(refused=errno.EAGAIN)
    assert perform(apart.folder).status == "queued", "home is locked against a trainer on the spot"
    for _ in apart.steps:
        pass
    apart.home.close()
    late = apart.copy.pack()
    assert late is not None and apart.home.take_in(late) == Reply(over=True)
    assert apart.home.lend() == Lent(refused=errno.EAGAIN), "nobody takes its lock again"
    assert read_run(apart.folder.path).status == "queued"
    again = Home(apart.folder)
    assert not again.lend().refused
    assert again.take_in(late).over and again.greet(apart.copy.greeting()).over
    assert read_run(apart.folder.path).status == "queued"


def test_a_greeting_brings_the_heartbeat_and_takes_the_order_along(tmp_path: Path) -> None:
    apart = Apart(tmp_path)
    apart.copy.write_progress(Progress(worker=this_worker(), counter=7))
    apart.folder.write_order("pause")
    assert apart.home.greet(apart.copy.greeting()) == Reply("pause")
    progress = read_progress(apart.folder.path)
    assert progress is not None and progress.counter == 7
    assert apart.copy.pack() is None, "a heartbeat alone is no parcel"
    with pytest.MonkeyPatch.context() as patch:
        refuse_after(patch, 0)
        assert apart.home.greet(apart.copy.greeting()) == Reply("pause"), "a full disk at home"
    token = apart.copy.greeting().token
    with pytest.raises(ValueError):
        apart.home.greet(Greeting(token, b" " * 2**17, ""))


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {"../other/best.pt": b""}},
        {"files": {"spec.toml": b""}},
        {"files": {"notes.json": b"{}"}},
        {"lines": b'{"event": "half'},
        {"files": {"progress.json": b"{}"}},
        {"files": {"summary.json": b" " * (2**30)}},
        {"at": -1},
    ],
)
def test_what_is_no_parcel_of_a_run_is_refused_whole(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    apart = Apart(tmp_path)
    good: dict[str, Any] = {"number": 1, "at": 0, "lines": b"{}\n", "files": {}}
    good["token"] = apart.copy.greeting().token
    before = sorted(os.listdir(apart.folder.path))
    with pytest.raises(ValueError):
        apart.home.take_in(Parcel(**good | changes))
    assert sorted(os.listdir(apart.folder.path)) == before


def test_a_run_that_was_deleted_is_not_lent(tmp_path: Path) -> None:
    assert Home(RunFolder(tmp_path / "gone")).lend() == Lent(refused=errno.ENOENT)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def figures(path: Path) -> list[tuple[Any, ...]]:
    names = ("train_loss", "train_acc", "val_loss", "val_acc")
    return [tuple(epoch[name] for name in names) for epoch in read_epochs(path)]


class Near:
    """The way to a home in this process; the next parcel takes until `arrived` is set."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.arrived = threading.Event()
        self.arrived.set()
        self.heard = threading.Event()

    def greet(self, greeting: Greeting) -> Reply:
        return self.home.greet(greeting)

    def send(self, parcel: Parcel, meanwhile: Callable[[], bool]) -> Reply:
        while not self.arrived.wait(0.01):
            if not meanwhile():
                return Reply(over=True)
            self.heard.set()
        return self.home.take_in(parcel)


def train_apart(folder: RunFolder, node: Path, road: Near | None = None) -> None:
    """Train a copy of a run as a place does."""
    road = road or Near(Home(folder))
    node.mkdir()
    copy = Copy(node / folder.id, road.home.lend())
    with Courier(copy, road) as courier:
        perform(copy, lambda: "over" * courier.over)
    road.home.close()


def test_a_run_trained_apart_has_the_files_and_figures_of_one_on_the_spot(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_mirror, "EVERY", 0.01)
    spec = RunSpec(data=str(tiny_course), epochs=3)
    near = RunFolder.create(tmp_path / "near", spec)
    far = RunFolder.create(tmp_path / "far", spec)
    perform(near)
    train_apart(far, tmp_path / "node")
    assert read_run(far.path).status == "finished"
    assert sorted(os.listdir(far.path)) == sorted(os.listdir(near.path))
    assert figures(far.path) == figures(near.path) and len(figures(far.path)) == 3
    for name in ("last.pt", "best.pt"):
        ours, theirs = (replace(load(f.path / name), run="").to_bytes() for f in (far, near))
        assert ours == theirs
    kinds = [event["event"] for event in LineReader(far.path / "events.jsonl").read()]
    assert kinds == ["start"] + ["epoch", "checkpoint"] * 3 + ["end"]


def test_orders_reach_the_copy_and_a_disk_that_is_full_at_home_makes_it_wait(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_mirror, "EVERY", 0.01)
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data=str(tiny_course), epochs=100_000))
    thread = threading.Thread(target=train_apart, args=(folder, tmp_path / "node"))
    thread.start()

    def status() -> str:
        return read_run(folder.path).status

    def waits() -> bool:
        return b"No space left" in (folder.path / "lock").read_bytes()

    try:
        until(lambda: read_run(folder.path).summary.epochs_done >= 2)
        folder.write_order("pause")
        until(lambda: status() == "paused")
        folder.write_order("go")
        until(lambda: status() == "running")
        with monkeypatch.context() as patch:
            refuse_after(patch, 0)
            until(waits)
            copy = tmp_path / "node" / folder.id
            ahead = len(read_epochs(copy)) - read_run(folder.path).summary.epochs_done
            assert ahead <= 2, "it trains no epoch more than could be lost"
        until(lambda: not waits() and status() == "running")
    finally:
        folder.write_order("stop")
        thread.join(30)
    assert not thread.is_alive()
    assert status() == "stopped" and folder.read_order() is None
    epochs = [event.epoch for event in read_epochs(folder.path)]
    assert epochs == list(range(1, len(epochs) + 1))
    lines = LineReader(folder.path / "events.jsonl").read()
    assert len([e for e in lines if e["event"] == "epoch"]) == len(epochs), "each came once"


def train_over_a_slow_line(where: Path, data: Path) -> tuple[RunFolder, Near, threading.Thread]:
    """A run that is trained apart, and whose first parcel does not arrive by itself."""
    folder = RunFolder.create(where / "runs", RunSpec(data=str(data), epochs=100_000))
    road = Near(Home(folder))
    road.arrived.clear()
    thread = threading.Thread(target=train_apart, args=(folder, where / "node", road))
    thread.start()
    return folder, road, thread


def test_on_a_slow_line_orders_and_heartbeats_do_not_wait_for_a_parcel(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_mirror, "EVERY", 0.01)
    folder, road, thread = train_over_a_slow_line(tmp_path, tiny_course)
    copy = tmp_path / "node" / folder.id
    try:
        assert road.heard.wait(60)
        until(lambda: len(read_epochs(copy)) >= 2)
        home = read_progress(folder.path)
        assert home is not None and home.counter and read_run(folder.path).status == "queued"
        until(lambda: (read_progress(folder.path) or home).counter > home.counter)
        folder.write_order("stop")
        until(lambda: read_run(copy).status == "stopped")
        assert read_run(folder.path).status == "queued", "its first parcel is still under way"
    finally:
        folder.write_order("stop")
        road.arrived.set()
        thread.join(60)
    assert not thread.is_alive() and read_run(folder.path).status == "stopped"
    assert read_epochs(folder.path) == read_epochs(copy)


def test_a_parcel_under_way_is_not_waited_for_when_the_run_is_not_the_copys_any_more(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_mirror, "EVERY", 0.01)
    folder, road, thread = train_over_a_slow_line(tmp_path, tiny_course)
    assert road.heard.wait(60)
    road.home.close()
    thread.join(60)
    assert not thread.is_alive()
    assert read_run(folder.path).status == "queued"
