"""What sinfo's answers mean: lines as Slurm 22.05 prints them, and GPUs as clusters name them."""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from cifar_tui.errors import UserError
from cifar_tui.queue import nodes
from cifar_tui.queue.cluster import adapter, cluster, slurm
from cifar_tui.queue.cluster.cluster import ClusterQueue
from cifar_tui.queue.cluster.slurm import Slurm
from cifar_tui.queue.nodes import Node
from tests.conftest import Command
from tests.waiting import until

MIB = 2**20
ANSWER = """\
mixed|1/1/0/2|2000|500|gpu:a100:2|gpu:a100:1(IDX:0),shard:0|vm
mixed|1/1/0/2|2000|500|gpu:a100:2|gpu:a100:1(IDX:0),shard:0|vm
down|0/0/64/64|512000|0|gpu:a100:4,shard:16|gpu:a100:0,shard:0|gpu1
idle|0/2/0/2|1|0|(null)|gpu:0,shard:0|plain
"""


def parse(*fields: str) -> Node:
    (node,) = slurm.parse_nodes("|".join(fields) + "\n")
    return node


def gpus(gres: str, used: str) -> tuple[float, float | None]:
    node = parse("mixed", "1/1/0/2", "1", "0", gres, used, "n")
    return node.gpus, node.gpus_used


def test_each_node_is_there_once_with_its_figures() -> None:
    assert slurm.parse_nodes(ANSWER) == (
        Node("vm", "mixed", 2, 1, 2, 1, 2000 * MIB, 500 * MIB),
        Node("gpu1", "down", 64, 0, 4, 0, 512_000 * MIB, 0, usable=False),
        Node("plain", "idle", 2, 0, memory_used=0),
    )


@pytest.mark.parametrize(
    ("gres", "used", "whole", "taken"),
    [
        ("gpu:8(S:0-1)", "gpu:5(IDX:0-3,6)", 8, 5),
        ("gpu:A30:4(S:0-1),gpu:Q6K:4(S:0-1)", "gpu:A30:4(IDX:0-3),gpu:Q6K:1(IDX:5)", 8, 5),
        ("gpu:(null):4", "gpu:(null):3(IDX:0-2)", 4, 3),
        ("gpu:a100_3g.20gb:2,gpu:a100_2g.10gb:3", "gpu:a100_3g.20gb:1(IDX:0)", 5, 1),
        ("gpu:a100:4,shard:a100:16", "gpu:a100:1(IDX:0),shard:a100:6(0/4,4/4,2/4,0/4)", 4, 2.5),
        ("gpu:2,mps:200", "gpu:0,mps:50(50/100,0/100)", 2, 0.5),
        ("gpu:v100:no_consume:2,lustre:1", "(null)", 2, 0),
        ("gpu", "gpu:1", 1, 1),
        ("nic:2,gpufast:4", "nic:1", 0, None),
        ("(null)", "(null)", 0, None),
        ("gpu:many", "gpu:\x1b[2J", 0, None),
    ],
)
def test_gpus_are_counted_whatever_their_types_and_parts(
    gres: str, used: str, whole: int, taken: float | None
) -> None:
    assert gpus(gres, used) == (whole, taken)


@pytest.mark.parametrize("state", ["idle", "mixed", "allocated", "mixed-", "idle~", "allocated+"])
def test_a_node_takes_work_in_these_states(state: str) -> None:
    assert parse(state, "0/2/0/2", "1", "0", "", "", "n").usable


@pytest.mark.parametrize(
    "state",
    ["down", "down*", "idle*", "drained", "draining", "draining*", "mixed@", "maint", "idle$"]
    + ["reserved", "unknown", "inval", "reboot^", "future", ""],
)
def test_a_node_takes_none_in_these(state: str) -> None:
    assert not parse(state, "0/2/0/2", "1", "0", "", "", "n").has_room


@pytest.mark.parametrize(
    ("cpus", "gres", "used", "room"),
    [
        ("63/1/0/64", "(null)", "(null)", True),
        ("64/0/0/64", "(null)", "(null)", False),
        ("8/56/0/64", "gpu:4", "gpu:4(IDX:0-3)", False),
        ("8/56/0/64", "gpu:4,shard:8", "gpu:3(IDX:0-2),shard:1(0/2,0/2,0/2,1/2)", True),
    ],
)
def test_room_is_a_core_and_a_gpu_or_a_part_of_one(
    cpus: str, gres: str, used: str, room: bool
) -> None:
    assert parse("mixed", cpus, "1", "0", gres, used, "n").has_room == room


@pytest.mark.parametrize(
    "answer", ["", "\n \n", "sinfo: error: slurm_load\n", "idle|0/2\n", "a|b|c|d|e|f|\n"]
)
def test_what_is_no_answer_has_no_nodes(answer: str) -> None:
    assert slurm.parse_nodes(answer) == ()


def test_figures_that_are_none_count_as_nothing() -> None:
    node = parse("idle", "N/A", "-1", "9" * 30, "gpu:٣", "", "x\x1b[2J")
    assert (node.cpus, node.gpus, node.memory, node.name) == (0, 0, None, "x\x1b[2J")


class Sinfo:
    """Answers for Slurm's commands, and counts how often the nodes are asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.silent = False

    def ask(self, command: Sequence[str], text: str = "", seconds: float = 0) -> str:
        if command[0] != "sinfo":
            return ""
        self.asked += 1
        if self.silent:
            raise adapter.Refused("sinfo gave no answer within 20 s")
        return ANSWER


@pytest.fixture
def sinfo(monkeypatch: pytest.MonkeyPatch) -> Sinfo:
    found = Sinfo()
    monkeypatch.setattr(slurm, "ask", found.ask)
    monkeypatch.setattr(cluster, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(nodes, "LOOK_EVERY", 0.01)
    return found


def test_the_nodes_are_asked_for_only_while_somebody_wants_to_know(
    sinfo: Sinfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = ClusterQueue(tmp_path, Slurm(tmp_path, {}))
    looks = threading.Semaphore(0)
    look = backend._watch.look

    def count() -> None:
        look()
        looks.release()

    monkeypatch.setattr(backend._watch, "look", count)
    backend.start()
    try:
        for _ in range(3):
            assert looks.acquire(timeout=60)
        assert sinfo.asked == 0
        until(lambda: [node.name for node in backend.nodes] == ["vm", "gpu1", "plain"])
        sinfo.silent = True
        until(lambda: backend.nodes == ())
        monkeypatch.setattr(nodes, "LOOK_UNTIL", 0.0)
        for _ in range(2):
            assert looks.acquire(timeout=60)
        before = sinfo.asked
        for _ in range(3):
            assert looks.acquire(timeout=60)
        assert sinfo.asked <= before + 1
    finally:
        backend.close()
        backend.join()


def test_the_nodes_of_a_partition_are_asked_for_where_runs_go_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []
    monkeypatch.setattr(slurm, "ask", lambda command, **_: asked.append(command) or ANSWER)
    assert len(Slurm(tmp_path, {"partition": "gpu"}).find_nodes(1)) == 3
    Slurm(tmp_path, {}).find_nodes(1)
    assert "--partition=gpu" in asked[0] and "--partition" not in " ".join(asked[1])


def test_a_question_without_an_answer_is_one_sentence(sinfo: Sinfo, tmp_path: Path) -> None:
    sinfo.silent = True
    with pytest.raises(UserError, match=r"^Slurm does not tell of its nodes: sinfo gave no answer"):
        Slurm(tmp_path, {}).find_nodes(1)


def commands(folder: Path, sinfo: str) -> dict[str, str]:
    """An environment in which Slurm's commands are there, and sinfo says this."""
    folder.mkdir()
    for name in ("sbatch", "squeue", "scontrol", "scancel"):
        (folder / name).write_text("#!/bin/sh\necho 'Slurmctld(primary) at here is UP'\n")
    (folder / "sinfo").write_text(f"#!/bin/sh\n{sinfo}\n")
    for script in folder.iterdir():
        script.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_the_command_shows_the_nodes(cifar: Command, tmp_path: Path) -> None:
    hostile = "idle|0/8/0/8|1|0|(null)|(null)|evil\x1b[2J"
    env = commands(tmp_path / "bin", f"cat <<'EOF'\n{ANSWER}{hostile}\nEOF")
    said = cifar("devices", "--backend", "slurm", env=env)
    assert said.returncode == 0, said.stderr
    assert "4 nodes, 3 with room, 1 of 12 cores and 1 of 2 GPUs taken" in said.stdout
    assert "evil\\x1b[2J" in said.stdout and "\x1b" not in said.stdout
    read = json.loads(cifar("devices", "--backend", "slurm", "--json", env=env).stdout)
    assert [node["name"] for node in read["nodes"]] == ["vm", "gpu1", "plain", "evil\x1b[2J"]
    assert read["nodes"][0]["gpus_used"] == 1 and read["nodes"][0]["has_room"]
    assert read["cpu_count"] > 0


@pytest.mark.parametrize(
    ("sinfo", "arguments", "words"),
    [
        ("echo 'sinfo: error: Unable to contact' >&2; exit 1", ("slurm",), "Unable to contact"),
        ("", ("slurm", "--option", "partition=a b"), "partition cannot be"),
        ("", ("nowhere",), "There is no backend 'nowhere'"),
    ],
)
def test_a_backend_that_cannot_be_used_is_one_sentence(
    cifar: Command, tmp_path: Path, sinfo: str, arguments: tuple[str, ...], words: str
) -> None:
    env = commands(tmp_path / "bin", sinfo)
    said = cifar("devices", "--backend", *arguments, env=env)
    assert (said.returncode, said.stdout) == (2, "")
    assert words in said.stderr and len(said.stderr.splitlines()) == 1
