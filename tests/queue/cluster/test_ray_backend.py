"""The Ray backend without Ray: the dispatcher's queue, and what a program shows of it."""

import errno
import itertools
import os
import queue
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.data.dataset import describe
from cifar_tui.data.loading import open_dataset
from cifar_tui.errors import UserError
from cifar_tui.files import write_atomic, write_json
from cifar_tui.locks import Lock
from cifar_tui.queue.choices import Wish, make_backend
from cifar_tui.queue.cluster import ray_backend, ray_images, ray_store
from cifar_tui.queue.cluster.ray_backend import Line, RayBackend, parse_need
from cifar_tui.queue.cluster.ray_dispatcher import DEATHS, Dispatcher
from cifar_tui.queue.cluster.ray_line import machines, next_of
from cifar_tui.queue.cluster.ray_mirror import Greeting, Parcel, Reply
from cifar_tui.queue.cluster.ray_place import sweep
from cifar_tui.queue.cluster.ray_store import Need
from cifar_tui.queue.nodes import Node
from cifar_tui.runs import liveness, record
from cifar_tui.runs.folder import Order, RunFolder
from cifar_tui.runs.listing import Run, Runs, read_progress
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.spec.spec import RunSpec

NEED = {"cpus": 1, "gpus": 0.5}


class Bench:
    """A dispatcher whose places are opened and filled by the test."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.dispatcher = Dispatcher(str(runs))
        self.dispatcher.why_not()
        self.opened: list[str] = []
        self.dispatcher._open = self._open  # type: ignore[method-assign]

    def _open(self, name: str, need: Need) -> str:
        self.opened.append(name)
        return name

    def put(self, count: int, need: dict[str, Any] = NEED) -> list[str]:
        folders = [RunFolder.create(self.runs, RunSpec(data="demo")) for _ in range(count)]
        for folder in folders:
            self.dispatcher.put(folder.id, None, "/", need)
        return [folder.id for folder in folders]

    def place(self) -> str:
        """A place for which Ray found room."""
        before = len(self.opened)
        self.dispatcher._open_places()
        assert len(self.opened) == before + 1
        self.dispatcher.begin(self.opened[-1])
        return self.opened[-1]

    def take(self, name: str) -> str | None:
        given = self.dispatcher.take(name)
        return given and given[0]

    def end(self, run_id: str, status: str, epochs: int = 0) -> None:
        folder = RunFolder(self.runs / run_id)
        summary = self.run(run_id).summary
        folder.write_summary(summary.model_copy(update={"status": status, "epochs_done": epochs}))

    def run(self, run_id: str) -> Run:
        return Runs(self.runs).get(run_id)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "runs").mkdir()
    return Bench(tmp_path / "runs")


def test_a_place_trains_one_run_after_another_and_the_queue_can_be_changed(bench: Bench) -> None:
    a, b, c = bench.put(3)
    first = bench.place()
    assert bench.take(first) == a
    assert bench.dispatcher.move(c, -1)
    second = bench.place()
    bench.dispatcher.hold()
    assert bench.take(second) is None
    bench.dispatcher._open_places()
    assert len(bench.opened) == 2, "a held queue asks for no place"
    bench.dispatcher.go_on()
    bench.end(a, "finished")
    assert bench.take(first) == c
    assert bench.dispatcher.state()["training"] == [c]
    assert bench.dispatcher.queued == [b]


def test_only_one_place_is_waited_for_and_no_more_than_there_are_runs(bench: Bench) -> None:
    bench.put(2)
    bench.place()
    bench.place()
    bench.dispatcher._open_places()
    assert len(bench.opened) == 2
    bench.put(1, {"cpus": 2, "gpus": 0.0})
    bench.dispatcher._open_places()
    bench.dispatcher._open_places()
    assert len(bench.opened) == 3, "one that needs something else waits for a place of its own"


def test_a_run_whose_process_is_lost_comes_first_until_it_dies_without_progress(
    bench: Bench,
) -> None:
    a, b = bench.put(2)
    for death in range(DEATHS + 1):
        name = bench.place()
        assert bench.take(name) == a
        bench.end(a, "running", epochs=min(death, 1))
        bench.dispatcher._close_place(name, "the node died")
        if death < DEATHS:
            assert bench.dispatcher.queued == [a, b]
            assert bench.run(a).status == "queued"
    assert bench.dispatcher.queued == [b]
    crashed = bench.run(a)
    assert (crashed.status, crashed.summary.reason) == ("crashed", "the node died")


def test_a_stopped_run_is_not_taken_up_when_its_process_ends(bench: Bench) -> None:
    (a,) = bench.put(1)
    name = bench.place()
    bench.take(name)
    bench.end(a, "stopped")
    bench.dispatcher._close_place(name, "")
    assert bench.dispatcher.own == []


@pytest.mark.parametrize("order", ["stop", "pause"])
def test_what_a_lost_node_was_told_is_obeyed_where_its_run_resumes(
    bench: Bench, order: Order
) -> None:
    (a,) = bench.put(1)
    name = bench.place()
    bench.take(name)
    bench.end(a, "running", epochs=2)
    RunFolder(bench.runs / a).write_order(order)
    bench.dispatcher._close_place(name, "the node died")
    assert bench.dispatcher.queued == [a] and bench.run(a).status == "queued"
    second = bench.place()
    assert bench.take(second) == a and bench.dispatcher.lend(second).order == order


def test_a_run_that_could_not_be_trained_comes_first_in_a_held_queue(bench: Bench) -> None:
    a, b = bench.put(2)
    name = bench.place()
    bench.take(name)
    bench.dispatcher.say("the disk is full")
    assert bench.take(name) is None
    assert bench.dispatcher.queued == [a, b] and bench.dispatcher.held
    assert "held" in bench.dispatcher.problem and "the disk is full" in bench.dispatcher.problem
    bench.dispatcher.go_on()
    assert bench.take(name) == a and bench.dispatcher.problem == ""


def test_a_run_that_somebody_else_trains_is_left_to_them(bench: Bench) -> None:
    a, b = bench.put(2)
    name = bench.place()
    bench.take(name)
    with Lock(bench.runs / a / "lock") as theirs:
        assert theirs.take()
        assert bench.take(name) == b, "as yet nobody says that they train it"
        assert bench.dispatcher.queued == [a] and not bench.dispatcher.held
        bench.end(b, "finished")
        assert bench.take(name) == a
        RunFolder(bench.runs / a).write_progress(Progress(worker=this_worker()))
        assert bench.take(name) is None
    assert bench.dispatcher.own == [] and not bench.dispatcher.held


def test_a_line_that_cannot_be_started_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    runs = tmp_path / "file" / "runs"
    backend = RayBackend(runs, {"cpus": 1, "gpus": None}, lambda: Line(runs, {}))
    with pytest.raises(UserError, match="Cannot start what talks to Ray: Not a directory"):
        backend.check(RunSpec(data="demo"))
    backend.close()
    backend.join()
    assert not backend.alive


def test_a_place_that_does_not_see_the_folder_trains_a_copy_until_it_is_lost(bench: Bench) -> None:
    a, b = bench.put(2)
    first = bench.place()
    assert bench.take(first) == a
    lent = bench.dispatcher.lend(first)
    assert {"spec.toml", "summary.json"} <= lent.files.keys()
    begun = Parcel(lent.token, 1, 0, b'{"event": "start"}\n', {})
    greeting = Greeting(lent.token, b"", "")
    assert bench.dispatcher.take_in(first, begun) == Reply()
    RunFolder(bench.runs / a).write_order("pause")
    assert bench.dispatcher.greet(first, greeting) == Reply("pause")
    bench.dispatcher._close_place(first, "the node died")
    assert bench.dispatcher.take_in(first, begun).over
    assert bench.dispatcher.greet(first, greeting).over
    second = bench.place()
    assert bench.take(second) == a
    lent = bench.dispatcher.lend(second)
    assert lent.events == len(begun.lines)
    assert bench.dispatcher.take_in(second, begun).over, "an earlier lending's, come late"
    bench.end(a, "finished")
    assert bench.take(second) == b and bench.dispatcher.lend(second).events == 0
    assert bench.dispatcher.take_in(second, replace(begun, token=lent.token)).over
    assert Lock(bench.runs / a / "lock").take(), "nobody holds a run that is done"


def test_a_head_without_the_run_says_so(bench: Bench, tmp_path: Path) -> None:
    bench.dispatcher.put("20260101-000000-run", None, "/", NEED)
    assert "head" in bench.dispatcher.problem and "does not see" in bench.dispatcher.problem
    elsewhere = Dispatcher(str(tmp_path / "elsewhere"))
    assert f"does not see {tmp_path / 'elsewhere'}; start the cluster" in elsewhere.why_not()


def test_a_place_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    gone = this_worker().model_copy(update={"pid": 2**22 - 1})
    for name, worker in {"killed": gone, "alive": this_worker(), "other": None}.items():
        (tmp_path / f"cifar-tui-ray-{name}" / "runs").mkdir(parents=True)
        if worker:
            write_json(tmp_path / f"cifar-tui-ray-{name}" / "worker.json", worker.model_dump())
    sweep(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["cifar-tui-ray-alive", "cifar-tui-ray-other"]


def test_images_are_sent_once_and_only_where_they_are_missing(
    tiny_course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[ray_images.Packed] = []
    shelf = ray_images.Shelf(lambda packed: put.append(packed) or len(put))
    offer = shelf.offer(tiny_course.name, str(tiny_course.parent))
    assert offer is not None and shelf.offer(str(tiny_course), "/") == offer and offer.ref == 1
    ours, sent = open_dataset(str(tiny_course)), ray_images.unpack(put[0])
    assert describe(sent) == describe(ours)
    assert shelf.offer("demo", "/") is None and shelf.offer("data", str(tmp_path)) is None
    damaged = {**put[0].arrays, "val-labels": put[0].arrays["val-labels"][::-1]}
    with pytest.raises(UserError, match="damaged"):
        ray_images.unpack(replace(put[0], arrays=damaged))
    monkeypatch.setattr(ray_images, "LARGEST", 1000)
    refused = ray_images.Shelf(put.append).offer(str(tiny_course), "/")
    assert refused is not None and "too many to be sent" in refused.problem and len(put) == 1
    assert ray_images.is_here(str(tiny_course)) and not ray_images.is_here(str(tmp_path))


def test_what_ray_cannot_start_is_not_tried_for_ever(bench: Bench) -> None:
    bench.put(1)
    for _ in range(DEATHS):
        bench.place()
        bench.dispatcher._close_place(bench.opened[-1], "No module named 'torch'")
    assert bench.dispatcher.held
    assert bench.dispatcher.problem == "Ray cannot start a run: No module named 'torch'"


def test_runs_that_wait_share_a_heartbeat_and_those_in_training_have_their_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = bench.put(2)
    assert bench.take(bench.place()) == a
    elsewhere = Runs(bench.runs)
    monkeypatch.setattr(liveness, "STALE_AFTER", -1.0)
    monkeypatch.setattr(liveness, "READ_EVERY", 0.0)
    before = read_progress(bench.runs / b)

    def left_behind() -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(record, "this_host", lambda: "another machine")
            return elsewhere.get(b).left_behind

    for _ in range(2):
        bench.dispatcher._store._next_beat = 0
        bench.dispatcher._store.beat()
        assert not left_behind()
    bench.dispatcher._store.beat()
    assert left_behind(), "it beats now and then, and was looked at before that"
    assert read_progress(bench.runs / b) == before, "nothing is written for each run that waits"


def test_runs_of_a_dispatcher_that_is_gone_are_known_on_its_head_at_a_single_look(
    bench: Bench,
) -> None:
    (a,) = bench.put(1)
    last = liveness.read_beat(bench.runs)
    assert last is not None and not Runs(bench.runs).get(a).left_behind
    gone = this_worker().model_copy(update={"pid": 2**22 - 1})
    for changes, left in (
        ({"worker": gone}, False),  # Ray may be starting another
        ({"worker": gone, "written": last.written - liveness.STALE_AFTER}, True),
        ({"written": last.written - liveness.STALE_AFTER}, False),
        ({"queue": "another"}, True),
    ):
        liveness.write_beat(bench.runs, last.model_copy(update=changes))
        assert Runs(bench.runs).get(a).left_behind == left


def test_a_run_that_somebody_queues_once_more_still_waits_here(bench: Bench) -> None:
    (a,) = bench.put(1)
    gone = this_worker().model_copy(update={"pid": 2**22 - 1})
    RunFolder(bench.runs / a).write_progress(Progress(worker=gone))
    assert bench.run(a).left_behind
    bench.dispatcher.put(a, None, "/", NEED)
    assert bench.dispatcher.queued == [a] and not bench.run(a).left_behind
    bench.dispatcher.drop(a)
    assert bench.run(a).left_behind, "nobody has it"


def test_a_run_that_cannot_be_read_is_named(bench: Bench) -> None:
    bench.put(1)
    folder = RunFolder.create(bench.runs, RunSpec(data="demo"))
    (folder.path / "summary.json").write_text("{")
    bench.dispatcher.obey("me", [order("put", folder.id, None, "/", NEED)])
    assert f"{folder.id} cannot be trained" in bench.dispatcher.problem


def test_orders_told_again_are_obeyed_once(bench: Bench) -> None:
    a, b, c = bench.put(3)
    orders = [{"number": 1, "do": "move", "with": (c, -1)}]
    for client in ("one", "one", "two"):
        bench.dispatcher.obey(client, orders)
    assert bench.dispatcher.queued == [c, a, b]


def test_a_damaged_queue_is_set_aside_and_an_unreadable_one_is_no_empty_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (a,) = bench.put(1)
    bench.dispatcher._save()
    bench.dispatcher._store.release()
    store = bench.runs / ray_store.STORE
    content = store.read_bytes()

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    again = Dispatcher(str(bench.runs))
    with monkeypatch.context() as patch:
        patch.setattr(ray_store, "open_regular", refuse)
        assert "Permission denied" in again.why_not()
        with pytest.raises(RuntimeError):
            again.obey("me", [order("hold")])
    again._save()
    assert store.read_bytes() == content
    assert again.why_not() == "" and again.queued == [a]
    again._store.release()
    store.write_bytes(content[:-9])
    third = Dispatcher(str(bench.runs))
    assert third.why_not() == "" and third.queued == [] and "damaged" in third.problem
    assert (bench.runs / f"{ray_store.STORE}.damaged").read_bytes() == content[:-9]
    assert bench.run(a).left_behind


def test_a_disk_that_was_full_is_no_problem_any_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(ray_store, "write_atomic", full)
        bench.put(1)
        bench.dispatcher._save()
        assert "No space left" in bench.dispatcher.problem
    bench.dispatcher._save()
    assert bench.dispatcher.problem == ""


def test_a_new_dispatcher_takes_up_what_the_last_one_had(bench: Bench) -> None:
    a, b, c = bench.put(3)
    assert bench.take(bench.place()) == a and bench.take(bench.place()) == b
    bench.end(a, "running", epochs=3)
    bench.end(b, "finished")
    (dropped,) = bench.put(1)
    bench.dispatcher.obey("me", [order("hold"), order("drop", dropped)])
    before = (bench.runs / c / "summary.json").stat(), (bench.runs / c / "progress.json").stat()
    again = Bench(bench.runs)
    assert "kept by another Ray cluster" in again.dispatcher.why_not()
    assert again.dispatcher.own == []
    bench.dispatcher._store._lock.release()
    assert again.dispatcher.why_not() == ""
    assert again.dispatcher.queued == [a, c] and again.dispatcher.held
    assert again.run(a).status == "queued" and again.run(a).summary.epochs_done == 3
    after = (bench.runs / c / "summary.json").stat(), (bench.runs / c / "progress.json").stat()
    assert after == before and not again.run(c).left_behind, "what waited still waits"
    again.dispatcher.go_on()
    assert again.take(again.place()) == a


def test_a_folder_that_cannot_be_written_has_no_queue(bench: Bench) -> None:
    bench.dispatcher._store.release()
    (bench.runs / ".ray.lock").unlink()
    (bench.runs / ".ray.lock").mkdir()
    other = Dispatcher(str(bench.runs))
    assert f"Cannot keep the queue of {bench.runs}" in other.why_not()
    (bench.runs / ".ray.lock").rmdir()
    assert other.why_not() == ""


def test_a_long_queue_is_stored_once_for_many_orders(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [RunFolder.create(bench.runs, RunSpec(data="demo")) for _ in range(50)]
    written: list[Path] = []

    def note(path: Path, content: bytes) -> None:
        written.append(path)
        write_atomic(path, content)

    monkeypatch.setattr(ray_store, "write_atomic", note)
    orders = [order("put", folder.id, None, "/", NEED) for folder in folders]
    bench.dispatcher.obey("me", orders)
    assert len(written) == 1
    assert [entry.run_id for entry in bench.dispatcher._store.load().waiting] == [
        folder.id for folder in folders
    ]


def order(name: str, *arguments: Any) -> dict[str, Any]:
    return {"number": next(NUMBERS), "do": name, "with": arguments}


NUMBERS = itertools.count(1)
NODE = Node("node7", "ALIVE", cpus=8, cpus_used=2, gpus=1, gpus_used=0.5)


class Wire:
    """In place of the line's process: a dispatcher in this one."""

    def __init__(self, bench: Bench) -> None:
        self._dispatcher = bench.dispatcher
        self._orders: queue.Queue[dict[str, Any]] = queue.Queue()
        self._client = uuid.uuid4().hex
        self._cut = False

    def tell(self, order: dict[str, Any]) -> None:
        self._orders.put(order)

    def reports(self) -> Iterator[dict[str, Any]]:
        seen = 0
        yield {"nodes": [asdict(NODE)]}
        while not self._cut:
            yield {**self._dispatcher.state(), "seen": seen, "slots": 2}
            if batch := next_of(self._orders, 0.02):
                self._dispatcher.obey(self._client, batch)
                seen = batch[-1]["number"]

    def cut(self) -> None:
        self._cut = True


class Broken(Wire):
    """A line to a cluster that is not there."""

    def reports(self) -> Iterator[dict[str, Any]]:
        yield {"problem": "No Ray cluster runs here."}


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def make(bench: Bench, wire: type[Wire] = Wire) -> RayBackend:
    return RayBackend(bench.runs, NEED, lambda: wire(bench))


def add(backend: RayBackend, runs: Path, **settings: Any) -> str:
    folder = RunFolder.create(runs, RunSpec(data="demo", **settings))
    backend.add(folder)
    return folder.id


def test_closing_hands_over_all_orders_and_stops_nothing(bench: Bench) -> None:
    backend = make(bench)
    a, b = add(backend, bench.runs), add(backend, bench.runs, device="cpu")
    assert backend.own == [a, b]
    backend.close()
    backend.start()
    backend.join()
    assert bench.dispatcher.queued == [a, b]
    assert bench.dispatcher._entries[b].need == Need(1, 0.0), "what names the CPU takes no GPU"
    later = make(bench)
    later.start()
    until(lambda: later.queued == [a, b])
    assert later.move(b, -1) and later.queued == [b, a]
    until(lambda: bench.dispatcher.queued == [b, a])
    assert later.drop(a)
    until(lambda: bench.dispatcher.queued == [b])
    later.close()
    later.join()


def test_finishing_waits_for_own_runs_only(bench: Bench) -> None:
    (other,) = bench.put(1)
    backend = make(bench)
    a = add(backend, bench.runs)
    backend.finish()
    backend.start()
    until(lambda: bench.dispatcher.queued == [other, a])
    bench.dispatcher.move(a, -1)
    name = bench.place()
    assert bench.take(name) == a
    bench.end(a, "finished")
    assert bench.take(name) == other
    backend.join()
    assert backend.problem == "" and bench.dispatcher.training == [other]


def test_runs_of_a_cluster_that_is_gone_are_no_longer_shown_as_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_backend, "AGAIN", 0.01)
    wires: list[type[Wire]] = [Wire]
    opened: list[Wire] = []

    def open_wire() -> Wire:
        opened.append(wires[-1](bench))
        return opened[-1]

    backend = RayBackend(bench.runs, NEED, open_wire)
    backend.start()
    a = add(backend, bench.runs)
    until(lambda: bench.dispatcher.queued == [a] and not backend._orders)
    wires.append(Broken)
    opened[-1].cut()
    until(lambda: backend.problem == "No Ray cluster runs here.")
    until(lambda: backend.own == [])
    b = add(backend, bench.runs)
    assert backend.queued == [b], "it waits here until there is a cluster"
    backend.close()
    backend.join()


def test_nodes_are_those_of_the_cluster_as_long_as_it_answers(bench: Bench) -> None:
    backend = make(bench)
    assert backend.nodes == () and backend.find_nodes(20) == (NODE,) == backend.nodes
    backend.close()
    backend.join()
    lost = make(bench, Broken)
    with pytest.raises(UserError, match="No Ray cluster runs here"):
        lost.find_nodes(20)
    lost.close()
    lost.join()


def test_a_machine_counts_once_however_many_nodes_are_or_were_on_it() -> None:
    def node(number: int, host: str, alive: bool = True, **has: float) -> dict[str, Any]:
        named = {"NodeID": f"n{number}", "NodeManagerHostname": host, "Alive": alive}
        return {**named, "Resources": has if alive else {}}

    nodes = [node(1, "a", CPU=4, GPU=1), node(2, "a", CPU=4), node(3, "a", False)]
    nodes += [node(4, "b", CPU=2), node(5, "c", False)]
    free = {"n1": {"CPU": 1.0, "GPU": 0.75}, "n2": {"CPU": 4.0}}
    assert machines(nodes, free) == [
        Node("a", "ALIVE", cpus=8, cpus_used=3, gpus=1, gpus_used=0.25),
        Node("b", "ALIVE", cpus=2, cpus_used=2, gpus=0, gpus_used=0),
        Node("c", "DEAD", cpus=0, usable=False),
    ]
    assert [node.cpus_used for node in machines(nodes, None)] == [None, None, None]


def test_without_a_cluster_the_reason_is_said_and_runs_stay_here(bench: Bench) -> None:
    backend = make(bench, Broken)
    with pytest.raises(UserError, match="No Ray cluster runs here"):
        backend.check(RunSpec(data="demo"))
    a = add(backend, bench.runs)
    backend.close()
    backend.join()
    assert backend.queued == [a] and not backend.alive


def test_a_cluster_that_is_not_reachable_is_named_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_backend, "find_spec", lambda name: None)
    assert "pip install 'cifar-tui[ray]'" in ray_backend.why_not({})
    monkeypatch.setattr(ray_backend, "find_spec", lambda name: name)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert "`ray start --head` starts one" in ray_backend.why_not({})
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        assert ray_backend.why_not({"address": address}) == ""
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(address)
        assert ray_backend.why_not({}) == ray_backend.why_not({"address": "auto"}) == ""
    assert "`ray start --head` starts one" in ray_backend.why_not({}), "it was killed"
    assert ray_backend.why_not({"address": address}) == f"No Ray cluster answers at {address}."
    for odd in ("ray://head:10001", "head", "head:99999999"):
        ray_backend.why_not({"address": odd})


def test_what_ray_decides_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_backend, "why_not", lambda options: "")
    with pytest.raises(UserError, match="Ray chooses the devices"):
        make_backend(tmp_path, Wish("ray", devices="cuda:0"))
    backend, _ = make_backend(tmp_path, Wish("ray"))
    with pytest.raises(UserError, match=r"cuda:1 is none that it sees"):
        backend.check(RunSpec(data="demo", device="cuda:1"))
    assert parse_need({"gpus_per_run": "0.25"}) == {"cpus": 1, "gpus": 0.25}
    assert parse_need({"cpus_per_run": "2"}) == {"cpus": 2, "gpus": None}
    for wrong in ({"gpus_per_run": "2"}, {"cpus_per_run": "0.5"}, {"gpus_per_run": "many"}):
        with pytest.raises(UserError):
            parse_need(wrong)
