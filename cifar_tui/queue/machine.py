"""What nvidia-smi and top would say: the GPUs, the processors and the memory, and who uses them."""

import os
import platform
import re
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

import psutil

FRESH_SECONDS = 0.5
FIRST_CPU_SECONDS = 0.1
KEPT = 1500
"""Readings of the use of each device that are kept: those of 12 minutes at least."""
DETAILED = 60
"""The number of busiest processes whose owner and command are looked up."""
GIB = 2**30
_REASONS = {
    "NVMLError_LibraryNotFound": "No NVIDIA driver here (NVML library not found): "
    "runs use the CPU.",
    "NVMLError_DriverNotLoaded": "The NVIDIA driver is not loaded: runs use the CPU.",
    "NVMLError_LibRmVersionMismatch": "The NVIDIA driver and its NVML library have different "
    "versions, as after an update: restart the machine to see its GPUs.",
}


@dataclass(frozen=True)
class Process:
    """One process; `mine` when the person running this program owns it.

    `memory_bytes` is what it holds of a GPU, `resident_bytes` of the machine's memory;
    `cpu_percent` is of one core. They are None where the system does not tell.
    """

    pid: int
    user: str
    name: str
    memory_bytes: int | None
    mine: bool
    command: str = ""
    resident_bytes: int | None = None
    cpu_percent: float | None = None


@dataclass(frozen=True)
class Gpu:
    """One GPU: percent, bytes, degrees Celsius and watts, None where the driver has no figure."""

    index: int
    name: str
    uuid: str
    driver: str
    utilisation: int | None
    memory_used: int | None
    memory_total: int | None
    temperature: int | None
    power: float | None
    power_limit: float | None
    processes: tuple[Process, ...]


@dataclass(frozen=True)
class Snapshot:
    """The machine at one moment; `reason` is one sentence when there are no GPUs to list.

    CPU percent (since the snapshot before), memory (bytes) and load (1, 5, 15 minutes) are of the
    whole machine; `cores` has the percent of each.
    """

    gpus: tuple[Gpu, ...]
    driver: str | None
    reason: str | None
    cpu_name: str
    cpu_count: int
    cpu_percent: float
    memory_used: int
    memory_total: int
    load: tuple[float, float, float]
    cores: tuple[float, ...] = ()


class _Cpu:
    """How busy the processors were between two readings, whichever threads take them."""

    def __init__(self) -> None:
        self._before: list[tuple[float, float]] = []
        self._percents = (0.0, [0.0])

    def percents(self) -> tuple[float, list[float]]:
        """Percent of all cores' time and of each one's since the last reading.

        The first reading waits a moment.
        """
        if not self._before:
            self._before = _cpu_seconds()
            sleep(FIRST_CPU_SECONDS)
        now = _cpu_seconds()
        spans = [
            (busy - busy_before, every - every_before)
            for (busy, every), (busy_before, every_before) in zip(now, self._before, strict=False)
        ]
        if any(passed > 0 for _, passed in spans):
            total = (sum(busy for busy, _ in spans), sum(passed for _, passed in spans))
            self._percents = (_percent_of(total), list(map(_percent_of, spans)))
            self._before = now
        return self._percents


def _percent_of(span: tuple[float, float]) -> float:
    busy, passed = span
    return min(max(100 * busy / passed, 0.0), 100.0) if passed > 0 else 0.0


Shares = Mapping[str, float | None]
"""How much of each device was in use, from 0 to 1; None where that is not known."""

_lock = Lock()
_cpu = _Cpu()
_latest: tuple[float, Snapshot] | None = None
_history: deque[tuple[float, Shares]] = deque(maxlen=KEPT)


def snapshot(nvml: Any = None) -> Snapshot:
    """The machine now, or as it was up to half a second ago; never raises for want of a driver.

    `nvml` stands in for the pynvml module, and is then read afresh each time.
    """
    global _latest
    import pynvml

    with _lock:
        if nvml is not None:
            return _read(nvml)
        if _latest is None or monotonic() - _latest[0] >= FRESH_SECONDS:
            _latest = (monotonic(), _read(pynvml))
            _history.append((_latest[0], shares(_latest[1])))
        return _latest[1]


def history() -> list[tuple[float, Shares]]:
    """When each snapshot was taken, in seconds of no particular start, and what was in use."""
    with _lock:
        return list(_history)


def shares(found: Snapshot) -> Shares:
    """The use of each GPU and of the processors, then of their memories, each by its name."""
    use: dict[str, float | None] = {}
    for gpu in found.gpus:
        use[f"gpu {gpu.index}"] = None if gpu.utilisation is None else gpu.utilisation / 100
    use["cpu"] = found.cpu_percent / 100
    for gpu in found.gpus:
        use[f"gpu {gpu.index} memory"] = share_of(gpu.memory_used, gpu.memory_total)
    return use | {"memory": share_of(found.memory_used, found.memory_total)}


def share_of(used: int | None, total: int | None) -> float | None:
    """How much is used, from 0 to 1; None where that is not known."""
    return None if used is None or not total else used / total


def busiest(least: float = 1.0, always: Collection[int] = ()) -> list[Process]:
    """The processes that kept the processors busy since the last call, the busiest first.

    Those below `least` percent of a core are left out, unless their pid is one of `always`. The
    first call waits a moment. Takes about 20 us per process of the machine.
    """
    _first_look()
    percents = _cpu_percents()
    pids = [pid for pid, percent in percents.items() if percent >= least or pid in always]
    pids.sort(key=lambda pid: (pid not in always, -percents[pid]))
    found = [replace(_process(pid, None), cpu_percent=percents[pid]) for pid in pids[:DETAILED]]
    return sorted(found, key=lambda process: -(process.cpu_percent or 0.0))


@cache
def _first_look() -> None:
    _cpu_percents()
    sleep(FIRST_CPU_SECONDS)


def _cpu_percents() -> dict[int, float]:
    found: dict[int, float] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found[process.pid] = process.cpu_percent()
    return found


def gpu_for(device: str, snapshot: Snapshot, environ: Mapping[str, str] = os.environ) -> Gpu | None:
    """The GPU torch means by `cuda:N` (or `cuda`, `auto`: the first), None if there is none.

    N counts through CUDA_VISIBLE_DEVICES, whose entries are indices or starts of UUIDs, as far as
    its first wrong entry; like nvidia-smi this takes the GPUs in PCI order.
    """
    match = re.fullmatch(r"auto|cuda(?::(\d+))?", device)
    visible = _visible(snapshot.gpus, environ.get("CUDA_VISIBLE_DEVICES"))
    number = int(match[1] or 0) if match else len(visible)
    return visible[number] if number < len(visible) else None


def memory_of_process(pid: int, snapshot: Snapshot) -> dict[int, int]:
    """Bytes this process holds, by GPU index; GPUs that do not tell are left out."""
    return {
        gpu.index: process.memory_bytes
        for gpu in snapshot.gpus
        for process in gpu.processes
        if process.pid == pid and process.memory_bytes is not None
    }


def resident_memory(pid: int) -> int | None:
    """Bytes of the machine's memory that a process of this host holds; None if it has ended."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def strip_line(snapshot: Snapshot, device: str) -> str:
    """One line on the device of a run: `cuda:0 H100 87% 2.1/80 GB`, `cpu 2 cores 63% 3.1/24 GB`.

    A GB is 2**30 bytes, as in the names of GPUs.
    """
    gpu = gpu_for(device, snapshot)
    if gpu is not None:
        label = device if ":" in device else "cuda:0"
        memory = memory_words(gpu.memory_used, gpu.memory_total)
        return f"{label} {short_name(gpu.name)} {percent_words(gpu.utilisation)} {memory}"
    if device.startswith("cuda"):
        return f"{device} n/a"
    label = "cpu" if device == "auto" else device
    memory = memory_words(snapshot.memory_used, snapshot.memory_total)
    return f"{label} {core_words(snapshot)} {percent_words(snapshot.cpu_percent)} {memory}"


def short_name(name: str) -> str:
    """A GPU's name without maker, bus and memory: `NVIDIA H100 80GB HBM3` is `H100`."""
    short = re.sub(r"\b(NVIDIA|GeForce|Tesla|Quadro) ", "", name)
    return re.sub(r"[ -](SXM|PCIe|NVL|HBM|\d+GB|Generation).*", "", short, flags=re.IGNORECASE)


def _read(nvml: Any) -> Snapshot:
    gpus, driver, reason = _gpus(nvml)
    memory = psutil.virtual_memory()
    percent, cores = _cpu.percents()
    return Snapshot(
        gpus=gpus,
        driver=driver,
        reason=reason,
        cpu_name=_cpu_name(),
        cpu_count=psutil.cpu_count() or 1,
        cpu_percent=percent,
        memory_used=memory.total - memory.available,
        memory_total=memory.total,
        load=psutil.getloadavg(),
        cores=tuple(cores),
    )


def _gpus(nvml: Any) -> tuple[tuple[Gpu, ...], str | None, str | None]:
    """The GPUs, the driver's version, and why there are none; NVML stays open, opening is slow."""
    try:
        nvml.nvmlInit()
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        fallback = f"The NVIDIA driver does not list its GPUs: {error}."
        return (), None, _REASONS.get(type(error).__name__, fallback)
    driver = _ask(nvml, "nvmlSystemGetDriverVersion")
    gpus = tuple(_gpu(nvml, index, driver or "n/a") for index in range(count))
    reason = None if gpus else "The NVIDIA driver lists no GPU here: runs use the CPU."
    return gpus, driver, reason


def _gpu(nvml: Any, index: int, driver: str) -> Gpu:
    """One GPU, asked field by field: what it cannot tell (MIG: utilisation) becomes None."""
    handle = _ask(nvml, "nvmlDeviceGetHandleByIndex", index)

    def ask(function: str, *arguments: Any) -> Any:
        return None if handle is None else _ask(nvml, function, handle, *arguments)

    rates = ask("nvmlDeviceGetUtilizationRates")
    # The second version leaves out what the driver reserves, as nvidia-smi does.
    memory = ask("nvmlDeviceGetMemoryInfo", nvml.nvmlMemory_v2) or ask("nvmlDeviceGetMemoryInfo")
    return Gpu(
        index=index,
        name=ask("nvmlDeviceGetName") or "GPU",
        uuid=ask("nvmlDeviceGetUUID") or "n/a",
        driver=driver,
        utilisation=rates.gpu if rates else None,
        memory_used=memory.used if memory else None,
        memory_total=memory.total if memory else None,
        temperature=ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
        power=_watts(ask("nvmlDeviceGetPowerUsage")),
        power_limit=_watts(ask("nvmlDeviceGetEnforcedPowerLimit")),
        processes=_processes(
            ask("nvmlDeviceGetGraphicsRunningProcesses"),
            ask("nvmlDeviceGetComputeRunningProcesses"),
        ),
    )


def _ask(nvml: Any, function: str, *arguments: Any) -> Any:
    try:
        return getattr(nvml, function)(*arguments)
    except nvml.NVMLError:
        return None


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _processes(*lists: list[Any] | None) -> tuple[Process, ...]:
    """NVML's process lists as one, each process once, the largest first."""
    memory = {found.pid: found.usedGpuMemory for some in lists for found in some or ()}
    processes = (_process(pid, used) for pid, used in memory.items())
    return tuple(sorted(processes, key=lambda p: (-(p.memory_bytes or 0), p.pid)))


def _process(pid: int, memory_bytes: int | None) -> Process:
    """The process with its owner, name and command, `?` where the system does not tell."""
    told: dict[str, Any] = {}
    with suppress(psutil.Error):
        told = psutil.Process(pid).as_dict(["username", "name", "cmdline", "memory_info"])
    user, name = (told.get(key) or "?" for key in ("username", "name"))
    program, *rest = told.get("cmdline") or [""]
    memory = told.get("memory_info")
    return Process(
        pid,
        user,
        name,
        memory_bytes,
        mine=user == psutil.Process().username(),
        command=" ".join([os.path.basename(program), *rest]),
        resident_bytes=memory.rss if memory else None,
    )


def _visible(gpus: tuple[Gpu, ...], wanted: str | None) -> list[Gpu]:
    """The GPUs CUDA shows for this CUDA_VISIBLE_DEVICES, in its order; all if it is unset."""
    if wanted is None:
        return list(gpus)
    visible: list[Gpu] = []
    for entry in (part.strip() for part in wanted.split(",")):
        named = [g for g in gpus if entry and (entry == str(g.index) or g.uuid.startswith(entry))]
        if len(named) != 1:
            break
        visible.append(named[0])
    return visible


@cache
def _cpu_name() -> str:
    """The processor's name; Linux keeps it in /proc/cpuinfo, where Python does not look."""
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        match = None
    return match[1].strip() if match else platform.processor() or platform.machine()


def _cpu_seconds() -> list[tuple[float, float]]:
    """(busy, all) seconds of each core since boot; a guest's are in its host's already."""
    found = []
    for times in psutil.cpu_times(percpu=True):
        every = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        found.append((every - times.idle - getattr(times, "iowait", 0.0), every))
    return found


def core_words(snapshot: Snapshot) -> str:
    return f"{snapshot.cpu_count} core{'s' if snapshot.cpu_count != 1 else ''}"


def percent_words(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0f}%"


def memory_words(used: int | None, total: int | None) -> str:
    if used is None or total is None:
        return "n/a"
    return f"{used / GIB:.1f}/{total / GIB:.0f} GB"
