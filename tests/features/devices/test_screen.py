"""The devices screen over made-up machines and real run folders."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.containers import VerticalScroll
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Static

from cifar_tui.app import CifarApp
from cifar_tui.features.devices.graphs import Past
from cifar_tui.features.devices.screen import DevicesScreen
from cifar_tui.queue.machine import GIB, Gpu, Process, Snapshot
from cifar_tui.queue.nodes import Node
from cifar_tui.queue.queue import ThreadQueue
from cifar_tui.queue.turns import device_turn
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.record import Point, Progress, this_worker
from tests.apps import MakeApp, SaveRun, run_in_training
from tests.waiting import screen_text, wait_for

SIZES = [(80, 24), (140, 40)]

CPU_ONLY = Snapshot(
    gpus=(),
    driver=None,
    reason="No NVIDIA driver here (NVML library not found): runs use the CPU.",
    cpu_name="Imaginary CPU",
    cpu_count=16,
    cpu_percent=63.4,
    memory_used=3 * GIB,
    memory_total=24 * GIB,
    load=(0.5, 11.25, 3.0),
)
H100 = Gpu(
    index=0,
    name="NVIDIA H100 80GB HBM3",
    uuid="GPU-aaaa1111",
    driver="570.86.15",
    utilisation=87,
    memory_used=15 * GIB,
    memory_total=80 * GIB,
    temperature=61,
    power=412.5,
    power_limit=700.0,
    processes=(
        Process(4242, "alice", "python3.11", 12 * GIB, mine=False),
        Process(os.getpid(), "me", "cifar-tui", 3 * GIB, mine=True),
    ),
)
MIG = replace(
    H100, index=1, name="NVIDIA A100-SXM4-40GB", utilisation=None, power=None, processes=()
)
IDLE = replace(H100, index=2, utilisation=0, memory_used=GIB // 2, processes=())


def machine(*gpus: Gpu) -> Snapshot:
    return replace(CPU_ONLY, gpus=gpus, driver="570.86.15", reason=None)


TRAINING = Process(os.getpid(), "me", "cifar-tui", None, True, "cifar-tui", 3 * GIB, 720.4)
THEIRS = Process(77, "anna", "python3.11", None, False, "python3.11 train.py", GIB, 160.0)
PAST = [(float(when), {"cpu": 0.5, "memory": 0.1}) for when in range(0, 300, 2)]


async def show(
    pilot: Pilot[None], read: Callable[[], Snapshot], *busy: Process, past: Past = PAST
) -> DevicesScreen:
    screen = DevicesScreen(read, lambda: past, lambda least, always: busy)
    await pilot.app.push_screen(screen)
    await wait_for(pilot, lambda: screen.query("#processes > Static"))
    await pilot.pause()
    return screen


async def settle(pilot: Pilot[None]) -> None:
    """Let everything that is being read arrive."""
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def lines(app: CifarApp) -> list[str]:
    """What the screen shows between its first and last line, top to bottom."""
    found = [app.screen.query_one("#answer", Static), *app.screen.query("Lines > Static")]
    return [str(line.content) for line in found]


def part(app: CifarApp, name: str) -> list[str]:
    """The lines of one part of the screen."""
    return [str(line.content) for line in app.screen.query(f"#{name} > Static").results(Static)]


def words(line: str) -> str:
    """A line without the room between its columns."""
    return " ".join(line.split())


def start(folder: RunFolder, device: str, status: Any = "running", **worker: Any) -> None:
    """Make a saved run one that this process has in training, in its twelfth epoch."""
    summary = read_run(folder.path).summary
    update = {
        "status": status,
        "device": device,
        "epochs": 30,
        "best": Point(epoch=11, val_acc=0.7),
    }
    folder.write_summary(summary.model_copy(update=update))
    who = this_worker().model_copy(update=worker)
    figures = {"epoch": 12, "images_per_second": 18_200.0, "seconds_left": 42.0}
    folder.write_progress(Progress(worker=who, counter=1, phase="train", **figures))


@pytest.mark.parametrize("size", SIZES)
async def test_without_a_driver_it_says_why(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await show(pilot, lambda: CPU_ONLY, past=[])
        first, *rest = map(words, lines(app))
        assert first == "16 cores, 63% busy"
        assert rest[:2] == [CPU_ONLY.reason, "cpu Imaginary CPU, 16 cores, load 0.50 11.25 3.00"]
        assert re.fullmatch(r"busy █+\S? 63% memory █+\S? 3.0/24 GB", rest[2])
        assert rest[3:] == [
            "No run is in training.",
            "pid user cpu % RAM GB command or run",
            "1014 others, small or not seen here",
        ]
        idle = replace(CPU_ONLY, cpu_percent=0.4)
        await show(pilot, lambda: idle, past=[])
        assert lines(app)[-1] == "No process uses more than 1 % of a core."


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (140, 40), (200, 60)])
async def test_who_uses_the_cpu(
    make_app: MakeApp, save_run: SaveRun, size: tuple[int, int]
) -> None:
    start(save_run(name="lab2-bn"), "cpu")
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await show(pilot, lambda: replace(CPU_ONLY, cores=(50.0,) * 16), TRAINING, THEIRS)
        assert lines(app)[0] == "16 cores, 63% busy: lab2-bn 45%, anna's python3.11 (pid 77) 10%"
        text = screen_text(app)
        assert re.search(rf"{os.getpid()} me +720 +3.0 lab2-bn, epoch 12/30", text)
        assert re.search(r"77 anna +160 +1.0 python3.11 train", text)
        assert re.search(r"█+\S? +63%.*3.0/24 GB", text)
        assert re.search(r"cpu(, last|  ▄▄▄)", text) and re.search(
            r"lab2-bn +running.* 12/30", text
        )
        assert max(map(len, lines(app)[1:])) <= size[0]
        assert "B backend" in text.splitlines()[-1]


async def test_a_wide_window_has_the_history_beside_the_bars(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await show(pilot, lambda: CPU_ONLY)
        history, cpu = (screen.query_one(name) for name in ("#history", "#cpu"))
        await wait_for(pilot, lambda: history.region.y > cpu.region.y)
        await pilot.resize_terminal(140, 40)
        await wait_for(pilot, lambda: history.region.x > cpu.region.x)
        await wait_for(pilot, lambda: "memory, last 4 min" in screen_text(app))
        await pilot.resize_terminal(80, 24)
        await wait_for(pilot, lambda: history.region.y > cpu.region.y)


async def test_runs_in_other_folders_are_named(make_app: MakeApp, tmp_path: Path) -> None:
    other = run_in_training(tmp_path / "others", name="busy")
    app = make_app()
    async with app.run_test(size=(140, 40)) as pilot:
        with device_turn("cpu") as turn:
            assert turn.take(other.path, "busy")
            await show(pilot, lambda: CPU_ONLY, TRAINING)
            await wait_for(pilot, lambda: "No run of this folder is in training." in lines(app))
            where = f"busy in {other.path.parent}"
            assert f"{where} (pid {os.getpid()}, epoch 3/10" in part(app, "runs")[1]
            assert where in part(app, "processes")[1], "as the command of its process"


async def test_the_key_opens_it_on_the_real_machine(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f6")
        await wait_for(pilot, lambda: app.screen.query("#processes > Static"))
        assert app.current_mode == "devices"
        assert re.match(r"\d+ cores?, \d+% busy|\d+ GPU", lines(app)[0])
        assert any(re.search(r"busy .*\d+% +memory .*/\d+ GB", line) for line in lines(app))


@pytest.mark.parametrize("size", SIZES)
async def test_gpus_with_their_processes(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await show(pilot, lambda: machine(H100, MIG, IDLE))
        first, head, gpu, mig, *_ = lines(app)
        assert first == "3 GPUs, 1 free (2), 30.5 of 240 GB"
        assert words(head) == "gpu name busy memory temp C power W"
        assert re.fullmatch(r"0 H100.* █+\S? 87% █+\S? 15.0/80 GB 61 412/700", words(gpu))
        assert re.fullmatch(r"1 A100.* n/a █+\S? 15.0/80 GB 61 n/a/700", words(mig))
        head, theirs, ours, _ = part(app, "processes")
        assert words(head) == "pid user gpu GPU GB cpu % RAM GB command or run"
        assert words(theirs) == "4242 alice 0 12.0 - n/a python3.11"
        assert words(ours) == f"{os.getpid()} me 0 3.0 - n/a cifar-tui"
        assert max(map(len, lines(app))) <= size[0]


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_on_a_gpu_with_the_memory_it_holds(
    make_app: MakeApp, save_run: SaveRun, size: tuple[int, int]
) -> None:
    start(save_run(name="lab2-bn"), "cuda:0")
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await show(pilot, lambda: machine(H100))
        assert lines(app)[0] == "1 GPU, 87% busy, 15.0 of 80 GB; training lab2-bn on cuda:0"
        head, row = part(app, "runs")
        assert row.split()[:5] == ["lab2-bn", "running", "cuda:0", str(os.getpid()), "12/30"]
        assert row.endswith("    3.0 GB on GPU 0")
        assert ("img/s" in head) == ("18.2k" in row) == ("0:00:42" in row) == (size[0] > 120)
        assert max(map(len, lines(app))) <= size[0]


async def test_runs_on_other_devices(make_app: MakeApp, save_run: SaveRun) -> None:
    start(save_run(name="a"), "cpu", "paused")
    start(save_run(name="b"), "cuda:0", host="elsewhere")
    save_run(name="ended")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await show(pilot, lambda: machine(MIG))
        assert lines(app)[0] == "1 GPU, n/a busy, 15.0 of 80 GB; a is paused on cpu"
        head, here, there = part(app, "runs")
        assert head.startswith("run  ")
        assert re.search(r"^a +paused +cpu .* \d+\.\d GB resident$", here)
        assert there.startswith("b  ")
        assert there.endswith("on elsewhere")


async def test_a_gpu_process_that_the_driver_hides_is_not_proven(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    start(save_run(name="boxed"), "cuda:0")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await show(pilot, lambda: machine(replace(H100, processes=())))
        assert part(app, "runs")[-1].endswith("NVML: not listed")


async def test_names_are_shown_as_they_are(make_app: MakeApp, save_run: SaveRun) -> None:
    start(save_run(name="[red]x[/]"), "cuda:0")
    evil = Process(9, "[b]\x07e", "x", GIB, mine=False, command="\x1b[2Jevil")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await show(pilot, lambda: machine(replace(H100, processes=(evil,))))
        rendered = screen_text(app)
        assert "training [red]x[/] on cuda:0" in rendered
        assert "[b]\\x07e" in rendered
        assert "\\x1b[2Jevil" in rendered


async def test_lines_are_drawn_only_as_far_as_they_changed(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = CPU_ONLY
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await show(pilot, lambda: now)
        block = screen.query_one("#cpu")
        drawn: list[tuple[str, tuple[Region, ...]]] = []
        refresh = Widget.refresh

        def noting(self: Widget, *regions: Region, **options: Any) -> Widget:
            if isinstance(self, Static) and self.parent is block:
                drawn.append((str(self.content), regions))
            return refresh(self, *regions, **options)

        monkeypatch.setattr(Widget, "refresh", noting)
        now = replace(CPU_ONLY, cpu_percent=64.4)
        await wait_for(pilot, lambda: drawn)
        ((line, regions),) = drawn
        assert regions == (Region(0, 0, line.index("64%") + 2, 1),)
        await wait_for(pilot, lambda: line in screen_text(app))


async def test_processes_come_and_go(make_app: MakeApp) -> None:
    now = machine(replace(H100, processes=()))
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await show(pilot, lambda: now)
        assert len(screen.query("#gpus > Static")) == 2
        now = machine(H100)
        await wait_for(pilot, lambda: len(screen.query("#processes > Static")) == 4)
        now = CPU_ONLY
        await wait_for(pilot, lambda: len(screen.query("#processes > Static")) == 2)


async def test_many_processes_scroll(make_app: MakeApp) -> None:
    crowd = tuple(Process(pid, "bob", "python", GIB, mine=False) for pid in range(100, 160))
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await show(pilot, lambda: machine(replace(H100, processes=crowd)))
        last = screen.query("#processes > Static").last()
        area = screen.query_one(VerticalScroll).region
        assert last.region.y >= area.bottom
        await pilot.press("end")
        await wait_for(pilot, lambda: last.region.y < area.bottom)


async def test_nothing_is_read_while_another_screen_is_shown(make_app: MakeApp) -> None:
    reads = 0

    def read() -> Snapshot:
        nonlocal reads
        reads += 1
        return CPU_ONLY

    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await show(pilot, read)
        app.switch_mode("history")
        await settle(pilot)
        so_far = reads
        assert so_far > 0
        screen.look_again()
        await settle(pilot)
        assert reads == so_far
        app.switch_mode("new")
        await wait_for(pilot, lambda: reads > so_far)


def cluster(count: int) -> tuple[Node, ...]:
    """So many nodes, every other one full."""
    return tuple(
        Node(f"gpu{i:03}", "mixed", 64, 32, 4, 4 * (i % 2), 512 * GIB, 100 * GIB)
        for i in range(count)
    )


@pytest.mark.parametrize("size", SIZES)
async def test_on_a_cluster_the_runs_come_first_then_the_nodes_they_are_on(
    make_app: MakeApp,
    save_run: SaveRun,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start(save_run(name="lab2-bn"), "cuda:0", host="gpu003.cluster.edu")
    start(save_run(name="lab2-lr"), "cuda:0", "paused", host="gpu003.cluster.edu")
    start(save_run(name="other"), "cuda:0", host="gpu002")
    monkeypatch.setattr(ThreadQueue, "nodes", cluster(500))
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await show(pilot, lambda: CPU_ONLY)
        first, head, *rows = lines(app)
        assert words(first) == (
            "500 nodes, 250 with room, 16000 of 32000 cores and 1000 of 2000 GPUs taken; "
            "3 runs of ours"
        )
        assert head.startswith("run  ") and rows[0].endswith("on gpu003.cluster.edu")
        assert [words(row) for row in rows[3:7]] == [
            "node state cores GPUs memory GB runs of ours",
            "gpu002 mixed 32/64 0/4 100/512 other",
            "gpu003 mixed 32/64 4/4 100/512 2: lab2-bn, lab2-lr",
            "gpu000 mixed 32/64 0/4 100/512",
        ]
        shown = screen_text(app)
        assert re.search(r"\d+ more: \d+ with room, \d+ full", shown)
        assert len(app.screen.query("Lines > Static")) < 2 * size[1]


async def test_nodes_come_and_go(
    make_app: MakeApp, save_run: SaveRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(save_run(name="lab2-bn"), "cuda:0", "paused", host="gpu001")
    monkeypatch.setattr(ThreadQueue, "nodes", ())
    app = make_app()

    def order() -> list[str]:
        text = screen_text(app)
        return sorted(("lab2-bn  ", "Imaginary CPU", "gpu001  mixed"), key=text.find)

    async with app.run_test(size=(80, 24)) as pilot:
        await show(pilot, lambda: CPU_ONLY)
        assert order()[1:] == ["Imaginary CPU", "lab2-bn  "]
        monkeypatch.setattr(ThreadQueue, "nodes", cluster(2))
        await wait_for(pilot, lambda: order() == ["lab2-bn  ", "gpu001  mixed", "Imaginary CPU"])
        assert lines(app)[0].endswith("; lab2-bn is paused on gpu001")
        monkeypatch.setattr(ThreadQueue, "nodes", ())
        await wait_for(pilot, lambda: order()[1:] == ["Imaginary CPU", "lab2-bn  "])
        assert lines(app)[0].startswith("16 cores, 63% busy")


async def test_the_nodes_of_a_slurm_that_is_here_but_not_in_use_come_last(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sinfo = tmp_path / "sinfo"
    sinfo.write_text("#!/bin/sh\necho 'mixed|6/2/0/8|2000|500|gpu:2|gpu:1|node7'\n")
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await show(pilot, lambda: CPU_ONLY)
        await wait_for(pilot, lambda: re.search(r"node7 +mixed +6/8 +1/2", screen_text(app)))
        assert lines(app)[0].startswith("16 cores, 63% busy")
        text = screen_text(app)
        assert text.find("Imaginary CPU") < text.find("No run is in training") < text.find("node7")


async def test_hostile_names_of_nodes_are_shown_and_not_obeyed(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = (Node("[b]\x1b[2Jx", "\x07[/]", 8, 1), Node("a" * 300, "idle", 8, 1))
    monkeypatch.setattr(ThreadQueue, "nodes", nodes)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await show(pilot, lambda: CPU_ONLY)
        assert "[b]\\x1b[2Jx" in screen_text(app) and "\\x07[/]" in screen_text(app)
        assert max(map(len, lines(app))) <= 80
