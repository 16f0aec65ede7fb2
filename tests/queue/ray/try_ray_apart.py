"""Runs on a Ray cluster whose nodes see neither the folder of runs nor the images.

The head is this machine; each node lives in a mount namespace of its own, in which an empty file
system lies over both.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["OMP_NUM_THREADS"] = "1"

from ray.cluster_utils import Cluster

from cifar_tui.files import LineReader
from cifar_tui.queue.choices import Wish, make_backend
from cifar_tui.queue.cluster.ray_backend import RayBackend
from cifar_tui.runs.control import order
from cifar_tui.runs.events import WORDS, EpochDone, read_events
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs, read_meta
from tests.conftest import Command, json_lines
from tests.queue.ray.try_ray import end_all, figures, kill_dispatcher, make_run, trainer, until

APART = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
HIDE = 'mount -t tmpfs none "$0" && exec "$@"'


class Nodes:
    """A head that trains nothing, and nodes that see an empty folder in place of `hidden`."""

    def __init__(self, hidden: Path) -> None:
        self.hidden = hidden
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0})
        self.processes: list[subprocess.Popen[bytes]] = []

    def add(self) -> None:
        """One more node, which ends with its process; returns when it has joined."""
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        start += ["--address", self.cluster.address, "--num-cpus", "2", "--num-gpus", "1"]
        command = [*APART, "bash", "-c", HIDE, str(self.hidden), *start]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, **pipes)
        self.processes.append(process)
        said = []
        while "Ray runtime started" not in "".join(said[-1:]):
            said.append(process.stdout.readline().decode())
            assert said[-1], "".join(said)

    def kill(self, pid: int) -> None:
        """Lose the node of this process as a power cut would."""
        raylet = next(p for p in psutil.Process(pid).parents() if p.name() == "raylet")
        node = next(
            p
            for p in self.processes
            if p.poll() is None and psutil.Process(p.pid) in raylet.parents()
        )
        for process in (*raylet.children(recursive=True), raylet):
            process.kill()
        node.wait(60)

    def end(self) -> None:
        """Leave no process."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)
        self.cluster.shutdown()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, tiny_course: Path) -> Iterator[Nodes]:
    if subprocess.run([*APART, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    hidden = tmp_path_factory.mktemp("hidden")
    shutil.copytree(tiny_course, hidden / "data")
    nodes = Nodes(hidden)
    try:
        nodes.add()
        nodes.add()
        yield nodes
    finally:
        nodes.end()


@pytest.fixture
def runs(nodes: Nodes, request: pytest.FixtureRequest) -> Path:
    """A folder of runs that no node sees."""
    return nodes.hidden / request.node.name


@pytest.fixture
def backend(nodes: Nodes, runs: Path) -> Iterator[RayBackend]:
    options = {"address": nodes.cluster.address, "gpus_per_run": "1"}
    backend, _ = make_backend(runs, Wish("ray", options=options))
    assert isinstance(backend, RayBackend)
    backend.start()
    yield backend
    end_all(backend, Runs(runs))
    backend.close()
    backend.join()


def require_apart(run: RunFolder) -> None:
    """The process that trains the run really sees neither the run nor the images."""
    seen = Path(f"/proc/{trainer(run)}/root{run.path.parent.parent}")
    assert list(seen.iterdir()) == []


def test_six_runs_give_the_folders_that_the_thread_gives(
    nodes: Nodes, runs: Path, cifar: Command, tmp_path: Path
) -> None:
    asked = ["train", "--data", nodes.hidden / "data", "--epochs", "2", "--json"]
    asked += ["--grid", "lr=0.1,0.03,0.01", "--grid", "batch_size=64,128"]
    alone = cifar(*asked, "--runs", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    options = [f"address={nodes.cluster.address}", "gpus_per_run=0.5"]
    on = ["--backend", "ray", *(flag for text in options for flag in ("--option", text))]
    ours = cifar(*asked, *on, "--runs", runs)
    assert ours.returncode == 0, ours.stderr
    assert [event["event"] for event in json_lines(ours.stdout)].count("end") == 6
    pairs = zip(Runs(runs).all(), Runs(tmp_path / "alone").all(), strict=True)
    for run, other in pairs:
        assert run.spec == other.spec
        assert run.status == other.status == "finished"
        assert sorted(os.listdir(run.path)) == sorted(os.listdir(other.path))
        assert figures(run.path) == figures(other.path)
        kinds = [[WORDS[type(e)] for e in read_events(r.path)] for r in (run, other)]
        assert kinds[0] == kinds[1]
        assert read_meta(run.path)["dataset"] == read_meta(other.path)["dataset"]
        for name in ("best.pt", "last.pt"):
            assert (run.path / name).read_bytes() == (other.path / name).read_bytes()
    assert len({trainer(RunFolder(run.path)) for run in Runs(runs).all()}) >= 2


def test_a_run_pauses_goes_on_and_stops_as_told(
    nodes: Nodes, runs: Path, backend: RayBackend
) -> None:
    run = make_run(runs, nodes.hidden / "data", 100_000)
    backend.add(run)
    known = Runs(runs)
    until(lambda: known.get(run.id).summary.epochs_done >= 1)
    require_apart(run)
    order(known.get(run.id), "pause")
    until(lambda: known.get(run.id).status == "paused")
    order(known.get(run.id), "go")
    until(lambda: known.get(run.id).status == "running")
    order(known.get(run.id), "stop")
    until(lambda: known.get(run.id).status == "stopped")
    until(lambda: not backend.own)
    assert run.read_order() is None and backend.problem == ""


def test_a_run_whose_node_is_killed_resumes_on_the_other(
    nodes: Nodes, runs: Path, backend: RayBackend
) -> None:
    run = make_run(runs, nodes.hidden / "data", 100_000)
    backend.add(run)
    known = Runs(runs)
    until(lambda: known.get(run.id).summary.epochs_done >= 3)
    before, epochs = trainer(run), known.get(run.id).summary.epochs_done
    nodes.kill(before)
    events = LineReader(run.path / "events.jsonl")
    seen: list[dict[str, Any]] = []

    def resumed() -> bool:
        seen.extend(events.read())
        return any(event["event"] == "resume" for event in seen)

    until(resumed)
    resume = next(event for event in seen if event["event"] == "resume")
    assert resume["epoch"] >= epochs - 1
    until(lambda: known.get(run.id).summary.epochs_done > resume["epoch"] + 1)
    assert trainer(run) != before
    require_apart(run)
    order(known.get(run.id), "stop")
    until(lambda: known.get(run.id).status == "stopped")
    trained = [e.epoch for e in read_events(run.path) if isinstance(e, EpochDone)]
    assert sorted(set(trained)) == list(range(1, max(trained) + 1)), "no epoch is missing"
    nodes.add()


def test_runs_go_on_when_the_process_of_the_dispatcher_dies(
    nodes: Nodes, runs: Path, backend: RayBackend
) -> None:
    trained, waits = (make_run(runs, nodes.hidden / "data", 100_000) for _ in range(2))
    third = make_run(runs, nodes.hidden / "data", 100_000)
    for run in (trained, waits, third):
        backend.add(run)
    known = Runs(runs)
    until(lambda: known.get(trained.id).summary.epochs_done >= 2)
    worker, done = trainer(trained), known.get(trained.id).summary.epochs_done
    assert known.get(third.id).status == "queued"
    kill_dispatcher(runs)
    until(lambda: trainer(trained) != worker)
    until(lambda: known.get(trained.id).summary.epochs_done > done)
    epochs = [e.epoch for e in read_events(trained.path) if isinstance(e, EpochDone)]
    assert sorted(set(epochs)) == list(range(1, max(epochs) + 1)), "no epoch is missing"
