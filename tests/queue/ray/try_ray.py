"""Runs on a Ray cluster of a head and two nodes on this machine, with made-up GPUs."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["OMP_NUM_THREADS"] = "1"

from ray.cluster_utils import Cluster

from cifar_tui.files import LineReader
from cifar_tui.queue.choices import Wish, make_backend, withdraw
from cifar_tui.queue.cluster import cluster as module
from cifar_tui.queue.cluster import ray as adapter
from cifar_tui.queue.cluster import ray_process
from cifar_tui.queue.cluster.cluster import ClusterQueue
from cifar_tui.runs.control import order
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs, read_meta, read_progress
from cifar_tui.runs.record import this_host, this_worker
from cifar_tui.spec.settings import RunSpec
from tests import waiting
from tests.conftest import Command, json_lines

PATIENCE = 300.0
until = partial(waiting.until, seconds=PATIENCE)
NODE = {"num_cpus": 2, "num_gpus": 1}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that trains nothing, and two nodes."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0})
    for _ in range(2):
        cluster.add_node(**NODE)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def join(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., ClusterQueue]]:
    """Another program that uses the cluster for the same folder of runs."""
    monkeypatch.setattr(module, "ASK_EVERY", 1.0)
    monkeypatch.setattr(module, "LOST_AFTER", 3.0)
    joined: list[ClusterQueue] = []

    def join(**options: str) -> ClusterQueue:
        options = {"address": cluster.address, "gpus_per_run": "1", **options}
        backend, _ = make_backend(tmp_path / "runs", Wish("ray", options=options))
        assert isinstance(backend, ClusterQueue)
        backend.start()
        joined.append(backend)
        return backend

    yield join
    if joined:
        end_all(Runs(tmp_path / "runs"))
    for backend in joined:
        backend.close()
        backend.join()


def end_all(known: Runs) -> None:
    """Leave nothing of a test on the cluster."""
    for run in known.all():
        if run.status in ("running", "paused", "queued", "stale"):
            order(run, "stop")
            withdraw(run)
    until(lambda: all(run.ended or not run.progress.worker.job for run in known.all()))


def make_run(runs: Path, data: Path, epochs: int) -> RunFolder:
    return RunFolder.create(runs, RunSpec(data=str(data), epochs=epochs))


def figures(path: Path) -> list[tuple[float, ...]]:
    names = ("train_loss", "train_acc", "val_loss", "val_acc")
    return [tuple(getattr(epoch, name) for name in names) for epoch in read_epochs(path)]


def trainer(run: RunFolder) -> int:
    progress = read_progress(run.path)
    assert progress is not None
    return progress.worker.pid


def raylet_above(pid: int, cluster: Any) -> Any:
    """The node whose process this is."""
    parents = {process.pid for process in psutil.Process(pid).parents()}
    return next(
        node
        for node in cluster.list_all_nodes()
        if node.all_processes["raylet"][0].process.pid in parents
    )


def test_without_a_cluster_one_sentence_says_how_to_start_one(
    cifar: Command, tmp_path: Path
) -> None:
    refused = cifar("train", "--backend", "ray", "--data", "demo")
    assert refused.returncode == 2
    assert "No Ray cluster runs here; `ray start --head` starts one" in refused.stderr
    assert Runs(tmp_path / "saved_model").all() == []


def test_six_runs_give_the_folders_that_the_thread_gives(
    cluster: Any, cifar: Command, tmp_path: Path, tiny_course: Path
) -> None:
    asked = ["train", "--data", tiny_course, "--epochs", "2", "--grid", "lr=0.1,0.03,0.01"]
    asked += ["--grid", "batch_size=64,128", "--json"]
    alone = cifar(*asked, "--runs", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    options = [f"address={cluster.address}", "gpus_per_run=0.5", "cpus_per_run=1"]
    on = ["--backend", "ray", *(flag for text in options for flag in ("--option", text))]
    ours = cifar(*asked, *on, "--runs", tmp_path / "runs")
    assert ours.returncode == 0, ours.stderr
    assert [event["event"] for event in json_lines(ours.stdout)].count("end") == 6
    pairs = zip(Runs(tmp_path / "runs").all(), Runs(tmp_path / "alone").all(), strict=True)
    for run, other in pairs:
        assert run.spec == other.spec
        assert run.status == other.status == "finished"
        assert sorted(os.listdir(run.path)) == sorted(os.listdir(other.path))
        assert figures(run.path) == figures(other.path)
        assert read_meta(run.path)["threads"] == 1
    assert len({trainer(RunFolder(run.path)) for run in Runs(tmp_path / "runs").all()}) >= 2


def test_a_run_whose_node_is_killed_resumes_on_the_other(
    cluster: Any, join: Callable[[], ClusterQueue], tmp_path: Path, tiny_course: Path
) -> None:
    backend = join()
    run = make_run(tmp_path / "runs", tiny_course, 100_000)
    backend.add(run)
    known = Runs(tmp_path / "runs")
    until(lambda: known.get(run.id).summary.epochs_done >= 2)
    before = trainer(run)
    epochs = known.get(run.id).summary.epochs_done
    cluster.remove_node(raylet_above(before, cluster), allow_graceful=False)
    events = LineReader(run.path / "events.jsonl")
    seen: list[dict[str, Any]] = []

    def resumed() -> bool:
        seen.extend(events.read())
        return any(event["event"] == "resume" for event in seen)

    until(resumed)
    resume = next(event for event in seen if event["event"] == "resume")
    assert resume["epoch"] >= epochs
    until(lambda: known.get(run.id).summary.epochs_done > resume["epoch"])
    assert trainer(run) != before
    order(known.get(run.id), "stop")
    until(lambda: known.get(run.id).status == "stopped")
    until(lambda: not backend.own)
    cluster.add_node(**NODE)


def test_the_machines_of_the_cluster_are_told_with_what_is_taken(
    cluster: Any, join: Callable[[], ClusterQueue], tmp_path: Path, tiny_course: Path
) -> None:
    backend = join()
    (machine,) = backend.find_nodes(PATIENCE)
    assert machine.name == this_host() and machine.usable, "three of Ray's nodes are on it"
    until(lambda: (backend.nodes[0].cpus, backend.nodes[0].gpus) == (4, 2))
    run = make_run(tmp_path / "runs", tiny_course, 100_000)
    backend.add(run)
    until(lambda: backend.nodes[0].gpus_used == 1 and backend.nodes[0].cpus_used == 1)
    assert backend.nodes[0].has_room


def test_runs_outlive_the_program_and_obey_another(
    cluster: Any, join: Callable[[], ClusterQueue], tmp_path: Path, tiny_course: Path
) -> None:
    first = join()
    runs = [make_run(tmp_path / "runs", tiny_course, 100_000) for _ in range(4)]
    for run in runs:
        first.add(run)
    known = Runs(tmp_path / "runs")
    until(lambda: len(first.training) == 2)
    first.close()
    first.join()
    second = join()
    until(lambda: len(second.training) == 2 and len(second.queued) == 2)
    assert [run.left_behind for run in known.all()] == [False] * 4
    third, fourth = second.queued
    assert second.drop(third)
    assert (progress := known.get(third).progress) and progress.worker == this_worker()
    one, other = second.training
    order(known.get(one), "pause")
    until(lambda: known.get(one).status == "paused")
    order(known.get(one), "go")
    until(lambda: known.get(one).status == "running")
    order(known.get(one), "stop")
    until(lambda: known.get(one).status == "stopped")
    until(lambda: sorted(second.training) == sorted([other, fourth]))
    assert second.queued == []
    assert first.problem == second.problem == ""


def test_a_run_whose_process_is_killed_resumes_until_it_dies_without_progress(
    cluster: Any, join: Callable[[], ClusterQueue], tmp_path: Path, tiny_course: Path
) -> None:
    backend = join()
    run = make_run(tmp_path / "runs", tiny_course, 100_000)
    backend.add(run)
    known = Runs(tmp_path / "runs")
    until(lambda: known.get(run.id).summary.epochs_done)
    first = trainer(run)
    done = known.get(run.id).summary.epochs_done
    os.kill(first, signal.SIGKILL)
    until(lambda: trainer(run) != first and known.get(run.id).summary.epochs_done > done)
    with (run.path / "events.jsonl").open("a") as events:
        events.write('{"event": "resume"}\n' * ray_process.DEATHS)
    os.kill(trainer(run), signal.SIGKILL)
    until(lambda: known.get(run.id).ended)
    assert known.get(run.id).summary.reason == "its process died 3 times without a new epoch"


def test_a_waiting_run_is_stopped_from_any_shell_and_room_is_asked_for(
    cluster: Any,
    cifar: Command,
    join: Callable[..., ClusterQueue],
    tmp_path: Path,
    tiny_course: Path,
) -> None:
    backend = join(cpus_per_run="100")
    run = make_run(tmp_path / "runs", tiny_course, 1)
    backend.add(run)
    until(lambda: "no node has what a run needs" in backend.problem)
    backend.close()
    backend.join()
    stopped = cifar("runs", "stop", run.id, "--runs", tmp_path / "runs")
    assert "is stopped" in stopped.stdout, stopped.stderr
    assert Runs(tmp_path / "runs").get(run.id).status == "stopped"


def test_a_node_that_does_not_see_the_folder_of_runs_is_named(
    join: Callable[[], ClusterQueue],
    tmp_path: Path,
    tiny_course: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submit = adapter.Ray.submit
    hidden = tmp_path / "hidden"

    def mislead(self: adapter.Ray, folders: Any) -> list[str]:
        return submit(self, [RunFolder(hidden / folder.id) for folder in folders])

    backend = join()
    run = make_run(tmp_path / "runs", tiny_course, 1)
    monkeypatch.setattr(adapter.Ray, "submit", mislead)
    backend.add(run)
    known = Runs(tmp_path / "runs")
    until(lambda: known.get(run.id).ended)
    assert known.get(run.id).status == "crashed"
    reason = known.get(run.id).summary.reason
    assert f"{this_host()} does not see {hidden / run.id}; Ray's nodes have to share" in reason


def test_a_detached_grid_needs_no_process_here(
    cluster: Any, cifar: Command, tmp_path: Path, tiny_course: Path
) -> None:
    on = ["--backend", "ray", "--option", f"address={cluster.address}", "--runs", tmp_path / "runs"]
    asked = ["--data", tiny_course, "--epochs", "1", "--grid", "lr=0.1,0.01"]
    outcome = cifar("train", *asked, *on, "--detach", "--json")
    assert outcome.returncode == 0, outcome.stderr
    known = Runs(tmp_path / "runs")
    until(lambda: {run.status for run in known.all()} == {"finished"})
