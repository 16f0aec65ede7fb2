"""What the device pages say, with NVML played by a small stand-in where there is no GPU."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import psutil
import pynvml
import pytest

from cifar_tui.features.devices.tables import cpu_lines, gpu_lines, process_table
from cifar_tui.queue import machine
from cifar_tui.queue.machine import (
    Gpu,
    Process,
    Snapshot,
    gpu_for,
    memory_of_process,
    resident_memory,
    strip_line,
)
from tests.conftest import Command

GIB = 2**30


class FakeNvml:
    """pynvml for two GPUs: an H100 that tells all, and an A100 in MIG mode that tells little."""

    NVMLError = pynvml.NVMLError
    nvmlMemory_v2 = pynvml.nvmlMemory_v2
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def __init__(self, processes: dict[int, int | None] | None = None, count: int = 2) -> None:
        self.processes = processes or {}
        self.count = count

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.86.15"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index > 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return index

    def nvmlDeviceGetName(self, gpu: int) -> str:
        return ["NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB"][gpu]

    def nvmlDeviceGetUUID(self, gpu: int) -> str:
        return ["GPU-aaaa1111", "GPU-bbbb2222"][gpu]

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> Any:
        self._only_the_first(gpu)
        return SimpleNamespace(gpu=87, memory=40)

    def nvmlDeviceGetMemoryInfo(self, gpu: int, version: int | None = None) -> Any:
        if version is not None and gpu == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        reserved = GIB if version is None and gpu == 0 else 0
        return SimpleNamespace(used=int(2.1 * GIB) + reserved, total=[80, 40][gpu] * GIB)

    def nvmlDeviceGetTemperature(self, gpu: int, sensor: int) -> int:
        return 61

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:
        self._only_the_first(gpu)
        return 412_500

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: int) -> int:
        return 700_000

    def nvmlDeviceGetGraphicsRunningProcesses(self, gpu: int) -> list[Any]:
        return self.nvmlDeviceGetComputeRunningProcesses(gpu)[:1]

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: int) -> list[Any]:
        self._only_the_first(gpu)
        return [SimpleNamespace(pid=p, usedGpuMemory=m) for p, m in self.processes.items()]

    def _only_the_first(self, gpu: int) -> None:
        if gpu != 0:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


class BrokenNvml(FakeNvml):
    """pynvml whose first call fails with the given code."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code

    def nvmlInit(self) -> None:
        raise pynvml.NVMLError(self.code)


@pytest.fixture
def two() -> Snapshot:
    return machine.snapshot(nvml=FakeNvml({os.getpid(): 3 * GIB}))


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """A process of another user, alive for the test; only root can start one, others take pid 1."""
    if os.getuid() != 0:
        if psutil.Process(1).username() == psutil.Process().username():
            pytest.skip("every process here is this user's own")
        yield psutil.Process(1)
        return
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=65534) as child:
        yield psutil.Process(child.pid)
        child.communicate()


def has_driver() -> bool:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    return True


@pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")
def test_a_machine_without_driver_says_so_and_shows_its_cpu() -> None:
    found = machine.snapshot()
    assert (found.gpus, found.driver) == ((), None)
    assert found.reason == ("No NVIDIA driver here (NVML library not found): runs use the CPU.")
    assert found.cpu_count == psutil.cpu_count()
    assert found.cpu_name
    assert 0 <= found.cpu_percent <= 100
    assert 0 < found.memory_used < found.memory_total == psutil.virtual_memory().total
    assert len(found.load) == 3


def test_a_gpu_that_tells_all(two: Snapshot) -> None:
    gpu = two.gpus[0]
    assert (two.driver, two.reason) == ("570.86.15", None)
    assert replace(gpu, processes=()) == Gpu(
        index=0,
        name="NVIDIA H100 80GB HBM3",
        uuid="GPU-aaaa1111",
        driver="570.86.15",
        utilisation=87,
        memory_used=int(2.1 * GIB),
        memory_total=80 * GIB,
        temperature=61,
        power=412.5,
        power_limit=700.0,
        processes=(),
    )


def test_fields_that_fail_are_none_and_the_others_stay(two: Snapshot) -> None:
    mig = two.gpus[1]
    assert (mig.utilisation, mig.power, mig.processes) == (None, None, ())
    assert (mig.memory_total, mig.temperature, mig.power_limit) == (40 * GIB, 61, 700.0)


def test_a_lost_gpu_keeps_its_row() -> None:
    lost = machine.snapshot(nvml=FakeNvml(count=3)).gpus[2]
    assert (lost.index, lost.name, lost.uuid) == (2, "GPU", "n/a")
    assert (lost.memory_used, lost.utilisation, lost.processes) == (None, None, ())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "NVML library not found"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "not loaded"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "restart the machine"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "Insufficient Permissions"),
    ],
)
def test_each_failing_driver_has_its_sentence(code: int, words: str) -> None:
    found = machine.snapshot(nvml=BrokenNvml(code))
    assert found.gpus == ()
    assert found.reason is not None
    assert words in found.reason
    assert found.reason.endswith(".")


def test_a_driver_without_gpus_says_so() -> None:
    found = machine.snapshot(nvml=FakeNvml(count=0))
    assert (found.gpus, found.driver) == ((), "570.86.15")
    assert found.reason == "The NVIDIA driver lists no GPU here: runs use the CPU."


def test_processes_have_their_owner_and_the_largest_is_first(stranger: psutil.Process) -> None:
    nvml = FakeNvml({os.getpid(): GIB, stranger.pid: 5 * GIB})
    theirs, mine = machine.snapshot(nvml=nvml).gpus[0].processes
    assert (theirs.pid, theirs.user, theirs.mine) == (stranger.pid, stranger.username(), False)
    assert (theirs.name, theirs.memory_bytes) == (stranger.name(), 5 * GIB)
    assert (mine.pid, mine.user, mine.mine) == (os.getpid(), psutil.Process().username(), True)


def test_a_process_that_has_ended_is_listed_without_owner() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    (process,) = machine.snapshot(nvml=FakeNvml({ended.pid: None})).gpus[0].processes
    assert (process.user, process.name, process.mine) == ("?", "?", False)
    assert process.memory_bytes is None


def test_memory_of_a_process_by_gpu(two: Snapshot) -> None:
    assert memory_of_process(os.getpid(), two) == {0: 3 * GIB}
    assert memory_of_process(os.getppid(), two) == {}


@pytest.mark.parametrize(
    ("visible", "device", "index"),
    [
        (None, "cuda:0", 0),
        (None, "cuda:1", 1),
        (None, "cuda:2", None),
        (None, "cuda", 0),
        (None, "auto", 0),
        (None, "cpu", None),
        (None, "mps", None),
        ("1,0", "cuda:0", 1),
        ("1,0", "cuda:1", 0),
        ("1", "cuda:1", None),
        ("GPU-bbbb2222", "cuda:0", 1),
        ("GPU-bb, GPU-aa", "cuda:1", 0),
        ("GPU-", "cuda:0", None),
        ("", "auto", None),
        ("-1", "cuda:0", None),
        ("0,9,1", "cuda:1", None),
    ],
)
def test_cuda_n_counts_through_the_visible_devices(
    two: Snapshot, visible: str | None, device: str, index: int | None
) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    gpu = gpu_for(device, two, environ)
    assert (gpu.index if gpu else None) == index


def test_the_strip_of_a_gpu(two: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert strip_line(two, "cuda:0") == "cuda:0 H100 87% 2.1/80 GB"
    assert strip_line(two, "auto") == "cuda:0 H100 87% 2.1/80 GB"
    assert strip_line(two, "cuda:1") == "cuda:1 A100 n/a 2.1/40 GB"
    assert strip_line(two, "cuda:7") == "cuda:7 n/a"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert strip_line(two, "cuda:0") == "cuda:0 A100 n/a 2.1/40 GB"


def test_the_strip_of_a_cpu(two: Snapshot) -> None:
    here = replace(
        two,
        gpus=(),
        cpu_count=2,
        cpu_percent=63.2,
        memory_used=int(3.1 * GIB),
        memory_total=24 * GIB,
    )
    assert strip_line(here, "cpu") == "cpu 2 cores 63% 3.1/24 GB"
    assert strip_line(here, "auto") == "cpu 2 cores 63% 3.1/24 GB"
    assert strip_line(replace(here, cpu_count=1), "mps") == "mps 1 core 63% 3.1/24 GB"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("Tesla V100-PCIE-16GB", "V100"),
        ("NVIDIA GeForce RTX 3090", "RTX 3090"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
    ],
)
def test_short_names(name: str, short: str) -> None:
    assert machine.short_name(name) == short


def test_a_snapshot_is_kept_for_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1e9
    monkeypatch.setattr(machine, "monotonic", lambda: now)
    monkeypatch.setattr(machine, "_latest", None)
    first = machine.snapshot()
    now += 0.4
    assert machine.snapshot() is first
    now += 0.2
    assert machine.snapshot() is not first


class FakeTimes:
    """psutil.cpu_times of one core that is busy for a quarter of the time, and an idle one."""

    def __init__(self) -> None:
        self.readings = 0

    def __call__(self, percpu: bool) -> list[Any]:
        self.readings += 1
        n = float(self.readings)
        busy = self.Times(user=10 + 0.4 * n, system=5 + 0.1 * n, idle=90 + n, iowait=0.5 * n)
        return [busy, self.Times(user=3, system=2, idle=40 + 2 * n, iowait=0)]

    class Times(NamedTuple):
        user: float
        system: float
        idle: float
        iowait: float
        guest: float = 3.0


def test_cpu_percent_is_right_whichever_threads_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_times", FakeTimes())
    monkeypatch.setattr(machine, "_cpu", machine._Cpu())
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(machine.snapshot, FakeNvml()).result()
        assert found.cpu_percent == pytest.approx(12.5)
        assert found.cores == pytest.approx((25, 0))


def test_a_clock_that_stands_still_keeps_the_last_cpu_percent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = FakeTimes()
    monkeypatch.setattr(psutil, "cpu_times", times)
    monkeypatch.setattr(machine, "_cpu", machine._Cpu())
    first = machine.snapshot(FakeNvml()).cpu_percent
    times.readings -= 1
    assert machine.snapshot(FakeNvml()).cpu_percent == first > 0


def test_resident_memory_of_a_process() -> None:
    here = resident_memory(os.getpid())
    assert here is not None
    assert 2**20 < here < psutil.virtual_memory().total
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert resident_memory(ended.pid) is None


@pytest.fixture
def shared(two: Snapshot) -> Snapshot:
    """The two GPUs with this process, another user's, and one of which little is known."""
    processes = (
        Process(4242, "alice-with-a-very-long-name", "python3.11", 12 * GIB, mine=False),
        Process(os.getpid(), "me", "cifar-tui", 3 * GIB, mine=True),
        Process(7, "\x1b[2Jeve", "\x1b[2Jevil", None, mine=False),
    )
    first, second = two.gpus
    return replace(
        two,
        gpus=(replace(first, processes=processes), second),
        cpu_name="Imaginary CPU",
        cpu_count=16,
        cpu_percent=63.4,
        memory_used=int(3.1 * GIB),
        memory_total=24 * GIB,
        load=(0.5, 11.25, 3.0),
    )


def test_the_lines_of_a_shared_machine(shared: Snapshot) -> None:
    assert list(map(str, gpu_lines(shared))) == [
        "gpu  name            busy              memory                 temp C  power W",
        "  0  H100 80GB HBM3  █████████▋   87%  ▎           2.1/80 GB      61  412/700",
        "  1  A100-SXM4-40GB               n/a  ▋           2.1/40 GB      61  n/a/700",
    ]
    assert list(map(str, cpu_lines(replace(shared, cores=())))) == [
        "cpu  Imaginary CPU, 16 cores, load 0.50 11.25 3.00, driver 570.86.15",
        "     busy ██████████████          63%   memory ██▉                    3.1/24 GB",
    ]


def test_the_processes_of_a_shared_machine(shared: Snapshot) -> None:
    loads = [
        Process(os.getpid(), "me", "python3.11", None, True, "python3.11 -m x", GIB, 99.6),
        Process(99, "bob", "gcc", None, False, "gcc -O2 x.c", GIB // 2, 151.4),
    ]
    table = process_table(shared, loads, {4242: "lab2-bn, epoch 3/10, 0:00:42 left"})
    head, *rows = [" ".join(line.split()) for line in table.screen_lines(80)]
    assert head == "pid user gpu GPU GB cpu % RAM GB command or run"
    assert rows == [
        "4242 alice-with… 0 12.0 - n/a lab2-bn, epoch 3/10, 0:00:42 left",
        f"{os.getpid()} me 0 3.0 100 1.0 cifar-tui",
        "7 \\x1b[2Jeve 0 n/a - n/a \\x1b[2Jevil",
        "99 bob - - 151 0.5 gcc -O2 x.c",
        "763 others, small or not seen here",
    ]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_window(shared: Snapshot, width: int) -> None:
    machine = replace(shared, cores=tuple(float(i) for i in range(100)), cpu_name="x" * 300)
    lines = [*gpu_lines(machine, width), *cpu_lines(machine, width)]
    assert max(len(line) for line in lines) <= width


@pytest.mark.parametrize(("count", "lines"), [(2, 1), (8, 2), (16, 1), (256, 4)])
def test_many_cores_are_folded(shared: Snapshot, count: int, lines: int) -> None:
    _, _, *cores = map(str, cpu_lines(replace(shared, cores=(0.0,) * (count - 1) + (100.0,))))
    assert len(cores) == lines
    assert cores[-1].endswith("100%" if count < 16 else "█")


def test_without_a_driver_the_lines_say_why(shared: Snapshot) -> None:
    reason = "No NVIDIA driver here (NVML library not found): runs use the CPU."
    assert list(map(str, gpu_lines(replace(shared, gpus=(), reason=reason)))) == [reason]


def test_the_busiest_process_comes_first_and_says_what_it_runs(stranger: psutil.Process) -> None:
    code = "print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        machine.busiest()
        end = time.monotonic() + 60
        while (found := {one.pid: one for one in machine.busiest(always={stranger.pid})}) and (
            not (found.get(child.pid) and found[child.pid].cpu_percent)
        ):
            assert time.monotonic() < end
        child.kill()
        child.communicate()
    mine, theirs = found[child.pid], found[stranger.pid]
    assert mine.mine and mine.command == f"{os.path.basename(sys.executable)} -c {code}"
    assert mine.resident_bytes and theirs.user == stranger.username() != mine.user
    percents = [one.cpu_percent or 0.0 for one in found.values()]
    assert percents == sorted(percents, reverse=True)


def test_the_use_of_devices_is_kept(two: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_latest", None)
    before = len(machine.history())
    found = machine.snapshot()
    (_, use), *more = machine.history()[before:]
    assert not more and use["cpu"] == found.cpu_percent / 100
    of_gpus = machine.shares(two)
    assert list(of_gpus)[:4] == ["gpu 0", "gpu 1", "cpu", "gpu 0 memory"]
    assert (of_gpus["gpu 0"], of_gpus["gpu 1"]) == (0.87, None)
    assert of_gpus["gpu 1 memory"] == pytest.approx(2.1 / 40)


def test_the_command_prints_the_machine(cifar: Command) -> None:
    said = cifar("devices")
    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    (head,) = [number for number, line in enumerate(lines) if line.split()[:2] == ["pid", "user"]]
    assert all(len(line) <= 80 for line in lines[:head])
    assert f"{psutil.cpu_count()} core" in said.stdout
    read = json.loads(cifar("devices", "--json").stdout)
    assert read["memory_total"] == psutil.virtual_memory().total
    if read["reason"]:
        assert said.stdout.splitlines()[0] == read["reason"]
    assert all(0 <= share <= 100 for share in read["cores"])
    wanted = {"pid", "user", "command", "cpu_percent", "run"}
    assert all(wanted <= set(process) for process in read["processes"])


def test_a_snapshot_is_json_ready(two: Snapshot) -> None:
    read = json.loads(json.dumps(asdict(two)))
    assert read["gpus"][0]["processes"][0]["pid"] == os.getpid()
    assert read["gpus"][1]["utilisation"] is None
    assert read["cpu_count"] == psutil.cpu_count()


def test_devices_need_neither_torch_nor_textual() -> None:
    code = (
        "import sys; from cifar_tui.queue import machine; machine.snapshot();"
        "print([m for m in ('torch', 'textual', 'plotext') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
