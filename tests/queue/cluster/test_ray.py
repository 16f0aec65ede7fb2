"""The Ray backend without Ray: what is asked of it, and a connection that dies or hangs."""

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import UserError
from cifar_tui.queue.choices import Wish, make_backend, withdraw
from cifar_tui.queue.cluster import ray
from cifar_tui.queue.cluster.adapter import Silent
from cifar_tui.queue.cluster.cluster import ClusterQueue
from cifar_tui.queue.cluster.ray import Ray, parse_need
from cifar_tui.queue.cluster.ray_process import machines, times_begun
from cifar_tui.queue.nodes import Node
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from cifar_tui.runs.record import Progress, waiting_job
from cifar_tui.spec.settings import RunSpec

ANSWERS = """
import json, sys
for line in sys.stdin:
    question, argument = json.loads(line)
    with open(sys.argv[1], "a") as asked:
        print(line, end="", file=asked)
    answers = json.loads(sys.argv[2])
    kind, answer = answers.get(question, ["answer", None])
    if kind == "die":
        sys.exit(1)
    if kind == "answer" and question == "states":
        answer = {job: answer for job in argument["jobs"]}
    print(json.dumps([kind, answer]), flush=True)
"""
"""A process that answers in place of the one that talks to Ray."""


@pytest.fixture
def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Has questions answered; returns what was asked."""
    asked = tmp_path / "asked"

    def answer(**answers: Any) -> list[Any]:
        answers = {"where": ["answer", "127.0.0.1:1"], **answers}
        command = [sys.executable, "-c", ANSWERS, str(asked), json.dumps(answers)]
        monkeypatch.setattr(ray, "program", lambda *_, **__: command)
        return [json.loads(line) for line in asked.open()] if asked.exists() else []

    return answer


def test_closing_submits_what_was_queued_and_says_where_it_waits(
    answering: Callable[..., list[Any]], tmp_path: Path
) -> None:
    answering()
    runs = tmp_path / "runs"
    folders = [RunFolder.create(runs, RunSpec(data="demo", device=d)) for d in ("auto", "cpu")]
    backend = ClusterQueue(runs, Ray(runs, {"gpus_per_run": "0.5"}))
    for folder in folders:
        backend.add(folder)
    backend.close()
    backend.start()
    backend.join()
    (orders,) = (argument for question, argument in answering() if question == "submit")
    assert [order["path"] for order in orders] == [str(folder.path) for folder in folders]
    assert [order["gpus"] for order in orders] == [0.5, 0.0], "the CPU needs no GPU"
    told = [Runs(runs).get(folder.id).progress.worker.job for folder in folders]  # type: ignore[union-attr]
    assert told == [order["told"] for order in orders]
    assert told[0].endswith("@127.0.0.1:1")
    assert not any(run.left_behind for run in Runs(runs).all())


def test_a_process_that_dies_or_hangs_is_silence_and_is_started_again(
    answering: Callable[..., list[Any]], tmp_path: Path
) -> None:
    adapter = Ray(tmp_path, {})
    answering(where=["die", None])
    with pytest.raises(Silent, match="no Ray cluster answers"):
        adapter.where()
    answering(where=["silent", ray.NO_CLUSTER])
    with pytest.raises(Silent, match="No Ray cluster runs here"):
        adapter.where()
    adapter.close()
    answering(nodes=["answer", [vars(NODE)]])
    assert adapter.where() == "127.0.0.1:1" and adapter.find_nodes(20) == (NODE,)
    adapter.close()


def test_without_a_cluster_the_reason_is_said_and_runs_stay_here(
    answering: Callable[..., list[Any]], tmp_path: Path
) -> None:
    answering(where=["silent", ray.NO_CLUSTER], nodes=["silent", ray.NO_CLUSTER])
    backend = ClusterQueue(tmp_path / "runs", Ray(tmp_path / "runs", {}))
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data="demo"))
    backend.add(folder)
    backend.close()
    backend.start()
    backend.join()
    assert backend.problem == f"Ray does not take the runs: {ray.NO_CLUSTER}"
    assert backend.queued == [folder.id]
    with pytest.raises(UserError, match="No Ray cluster runs here"):
        backend.find_nodes(20)
    backend.join()


def test_a_run_that_waits_for_a_cluster_that_is_gone_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "find_spec", lambda name: name)
    folder = RunFolder.create(tmp_path, RunSpec(data="demo"))
    with socket.create_server(("127.0.0.1", 0)) as head:
        port = head.getsockname()[1]
    folder.write_progress(Progress(worker=waiting_job(f"ray:abc@127.0.0.1:{port}")))
    assert withdraw(Runs(tmp_path).get(folder.id))
    assert Runs(tmp_path).get(folder.id).status == "stopped"


def write_more(events: Path, kind: str) -> None:
    with events.open("a") as file:
        file.write(json.dumps({"event": kind, "epoch": 1}) + "\n")


def test_a_run_that_was_begun_again_and_again_without_an_epoch_is_noticed(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, RunSpec(data="demo"))
    kinds = ["start", "epoch", "resume", "remark", "resume", "resume"]
    events = folder.path / "events.jsonl"
    for number, kind in enumerate(kinds):
        write_more(events, kind)
        assert times_begun(folder) == [1, 0, 1, 1, 2, 3][number]
    write_more(events, "end")
    assert times_begun(folder) == 0, "it was resumed by a person"


NODE = Node("node7", "ALIVE", cpus=8, cpus_used=2, gpus=1, gpus_used=0.5)


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


def test_a_cluster_that_is_not_reachable_is_named_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "find_spec", lambda name: None)
    assert "pip install 'cifar-tui[ray]'" in ray.why_not({})
    monkeypatch.setattr(ray, "find_spec", lambda name: name)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert "`ray start --head` starts one" in ray.why_not({})
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        assert ray.why_not({"address": address}) == ""
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(address)
        assert ray.why_not({}) == ray.why_not({"address": "auto"}) == ""
    assert "`ray start --head` starts one" in ray.why_not({}), "it was killed"
    assert ray.why_not({"address": address}) == f"No Ray cluster answers at {address}."
    for odd in ("ray://head:10001", "head", "head:99999999"):
        ray.why_not({"address": odd})


def test_what_ray_decides_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "why_not", lambda options: "")
    with pytest.raises(UserError, match="Ray chooses the devices"):
        make_backend(tmp_path, Wish("ray", devices="cuda:0"))
    backend, _ = make_backend(tmp_path, Wish("ray"))
    with pytest.raises(UserError, match="names device cuda:1; Ray gives each run its own"):
        backend.check(RunSpec(data="demo", device="cuda:1"))
    assert parse_need({"gpus_per_run": "0.25"}) == {"cpus": 1, "gpus": 0.25}
    assert parse_need({"cpus_per_run": "2"}) == {"cpus": 2, "gpus": None}
    for wrong in ({"gpus_per_run": "2"}, {"cpus_per_run": "0.5"}, {"gpus_per_run": "many"}):
        with pytest.raises(UserError):
            parse_need(wrong)
