"""A cluster's nodes in words, at any number and width."""

import pytest

from cifar_tui.features.devices.tables import node_lines, runs_there, totals
from cifar_tui.queue.nodes import Node
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.runs.record import Progress, this_worker
from tests.apps import SaveRun
from tests.apps import save_run as save_run

GIB = 2**30
FULL = Node("gpu1", "allocated", 16, 16, 4, 4, 128 * GIB, 100 * GIB)
PART = Node("gpu2", "mixed", 16, 4, 4, 1.25, 128 * GIB, 7 * GIB)
FREE = Node("gpu3", "idle", 16, 0, 4, 0, 128 * GIB, 0)
DOWN = Node("gpu4", "down*", 16, 0, 4, 0, 128 * GIB, 0, usable=False)
NODES = (DOWN, FULL, PART, FREE)


def run_on(host: str, save_run: SaveRun, name: str) -> Run:
    folder = save_run(name=name, status="running")
    folder.write_progress(Progress(worker=this_worker().model_copy(update={"host": host})))
    return Runs(folder.path.parent).get(folder.id)


def test_the_totals_leave_out_what_takes_no_work() -> None:
    assert totals(NODES) == "4 nodes, 2 with room, 20 of 48 cores and 5.25 of 12 GPUs taken"
    assert totals([DOWN]) == "1 node, 0 with room"
    assert totals([Node("a", "alive", 8)]) == "1 node, 1 with room"
    assert totals([Node("a", "alive", 64_000, 12_345)]).endswith("12345 of 64000 cores taken")


def test_nodes_with_our_runs_come_first_then_those_with_room(save_run: SaveRun) -> None:
    runs = [run_on("gpu1.cluster.edu", save_run, "lab2-bn"), run_on("GPU1", save_run, "lab2-lr")]
    head, *rows = node_lines(NODES, [*runs, run_on("elsewhere", save_run, "other")])
    assert " ".join(head.split()) == "node state cores GPUs memory GB runs of ours"
    assert [row.split()[0] for row in rows] == ["gpu1", "gpu2", "gpu3", "gpu4"]
    assert rows[0].endswith("  2: lab2-bn, lab2-lr")
    assert rows[1].split() == ["gpu2", "mixed", "4/16", "1.25/4", "7/128"]
    bars = [[i for i, c in enumerate(row) if c == "/"] for row in rows]
    assert all(bar == bars[0] for bar in bars)


def test_an_address_is_no_name_with_a_domain(save_run: SaveRun) -> None:
    nodes = [Node("10.0.0.1", "alive", 8), Node("10.0.0.2", "alive", 8)]
    run = run_on("10.0.0.2", save_run, "one")
    assert runs_there(nodes, [run]) == {"10.0.0.1": [], "10.0.0.2": [run]}


@pytest.mark.parametrize("width", [80, 140])
def test_a_large_cluster_is_counted_beyond_the_rows_there_are(
    save_run: SaveRun, width: int
) -> None:
    nodes = [
        Node(
            f"a-node-with-a-rather-long-name-{i:04}",
            ("down*", "mixed", "allocated", "completing")[i % 4],
            128,
            128 * (i % 4 != 1),
            8,
            8.0,
            2000 * GIB,
            1999 * GIB,
            usable=i % 4 > 0,
        )
        for i in range(500)
    ]
    run = run_on("a-node-with-a-rather-long-name-0003", save_run, "x" * 60)
    lines = node_lines(nodes, [run], width, 10)
    assert len(lines) == 11 and max(map(len, lines)) <= width
    assert "xxxx" in lines[1]
    assert lines[-1] == "491 more: 366 full, 125 out of use"
    assert len(node_lines(nodes, [run], width)) == 501


def test_hostile_names_are_shown_and_not_obeyed() -> None:
    lines = node_lines([Node("\x1b[2J\n\u202ex" * 30, "\x07idle\x1b]0;x\x07", 8)], [])
    assert all(line.isprintable() and len(line) <= 80 for line in lines)


def test_what_a_cluster_has_no_figures_of_takes_no_room() -> None:
    head, row = node_lines([Node("a", "alive", 8)], [])
    assert head.split() == ["node", "state", "cores", "runs", "of", "ours"]
    assert row.split() == ["a", "alive", "-/8"]
