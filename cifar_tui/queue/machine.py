"""What nvidia-smi would say: the GPUs and who uses them, with the machine's CPU and memory; and
the slots on it: the places where runs train at the same time, one per GPU or share of the cores."""

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

import psutil

from cifar_tui.errors import UserError
from cifar_tui.training.process import Slot, usable_cores

FRESH_SECONDS = 0.5
FIRST_CPU_SECONDS = 0.1
GIB = 2**30
BUSY_PERCENT = 50
"""A GPU is used heavily by others from this utilisation or share of its memory on."""
HELP = "as in cuda:0,cuda:1 or cpu:2 (two runs on the CPU), or all"
_REASONS = {
    "NVMLError_LibraryNotFound": "No NVIDIA driver here (NVML library not found): "
    "runs use the CPU.",
    "NVMLError_DriverNotLoaded": "The NVIDIA driver is not loaded: runs use the CPU.",
    "NVMLError_LibRmVersionMismatch": "The NVIDIA driver and its NVML library have different "
    "versions, as after an update: restart the machine to see its GPUs.",
}


@dataclass(frozen=True)
class Process:
    """One process on a GPU; `mine` when the person running this program owns it."""

    pid: int
    user: str
    name: str
    memory_bytes: int | None
    mine: bool


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
    whole machine.
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


class _Cpu:
    """How busy the processors were between two readings, whichever threads take them."""

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None
        self._percent = 0.0

    def percent(self) -> float:
        """Percent of all processors' time since the last reading; the first waits a moment."""
        if self._before is None:
            self._before = _cpu_seconds()
            sleep(FIRST_CPU_SECONDS)
        now = _cpu_seconds()
        busy, passed = (after - before for after, before in zip(now, self._before, strict=True))
        if passed > 0:
            self._percent = min(max(100 * busy / passed, 0.0), 100.0)
            self._before = now
        return self._percent


_lock = Lock()
_cpu = _Cpu()
_latest: tuple[float, Snapshot] | None = None


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
        return _latest[1]


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
        return f"{label} {short_name(gpu.name)} {_percent(gpu.utilisation)} {memory}"
    if device.startswith("cuda"):
        return f"{device} n/a"
    label = "cpu" if device == "auto" else device
    memory = memory_words(snapshot.memory_used, snapshot.memory_total)
    return f"{label} {core_words(snapshot)} {_percent(snapshot.cpu_percent)} {memory}"


def short_name(name: str) -> str:
    """A GPU's name without maker, bus and memory: `NVIDIA H100 80GB HBM3` is `H100`."""
    short = re.sub(r"\b(NVIDIA|GeForce|Tesla|Quadro) ", "", name)
    return re.sub(r"[ -](SXM|PCIe|NVL|HBM|\d+GB|Generation).*", "", short, flags=re.IGNORECASE)


def _read(nvml: Any) -> Snapshot:
    gpus, driver, reason = _gpus(nvml)
    memory = psutil.virtual_memory()
    return Snapshot(
        gpus=gpus,
        driver=driver,
        reason=reason,
        cpu_name=_cpu_name(),
        cpu_count=psutil.cpu_count() or 1,
        cpu_percent=_cpu.percent(),
        memory_used=memory.total - memory.available,
        memory_total=memory.total,
        load=psutil.getloadavg(),
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
    """The process with its owner and name, `?` where the system does not tell."""
    user = name = "?"
    try:
        process = psutil.Process(pid)
        name = process.name()
        user = process.username()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass
    return Process(pid, user, name, memory_bytes, mine=user == psutil.Process().username())


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


def _cpu_seconds() -> tuple[float, float]:
    """(busy, all) seconds of all processors since boot; a guest's are in its host's already."""
    times = psutil.cpu_times()
    every = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return every - times.idle - getattr(times, "iowait", 0.0), every


def core_words(snapshot: Snapshot) -> str:
    return f"{snapshot.cpu_count} core{'s' if snapshot.cpu_count != 1 else ''}"


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0f}%"


def memory_words(used: int | None, total: int | None) -> str:
    if used is None or total is None:
        return "n/a"
    return f"{used / GIB:.1f}/{total / GIB:.0f} GB"


def parse_slots(text: str, look: Callable[[], Snapshot] = snapshot) -> tuple[list[Slot], list[str]]:
    """The slots meant by `--devices`, and a sentence for each device that is left alone.

    `all` takes every GPU that others do not use heavily, or the CPU where there is none. Raises
    UserError for a device that is not here.
    """
    if text == "all":
        return _all_slots(look())
    slots: list[Slot] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        slots += _cpu_slots(word) if word.startswith("cpu") else [_gpu_slot(word, look())]
    names = [slot.name for slot in slots]
    if not slots or len(set(names)) < len(names):
        raise UserError(f"--devices takes each device once, {HELP}; got '{text}'.")
    return slots, []


def require_slot(device: str, slots: Sequence[Slot]) -> None:
    """Raise UserError where a run names a device on which no slot trains."""
    if not slots:
        raise UserError("No device is left to train on; B in the app chooses other ones.")
    if not any(slot.takes(device) for slot in slots):
        names = ", ".join(slot.name for slot in slots) or "none"
        raise UserError(f"A run names device {device}; those in use are {names}.")


def _cpu_slots(word: str) -> list[Slot]:
    """`cpu:2` as two slots that share the cores evenly."""
    match = re.fullmatch(r"cpu(?::([1-9]\d{0,3}))?", word)
    if not match:
        raise UserError(f"'{word}' is no device; --devices takes them {HELP}.")
    count = int(match[1] or 1)
    usable = usable_cores()
    if count > usable:
        raise UserError(f"{word} asks for more runs at a time than the {usable} cores here.")
    if not hasattr(os, "sched_getaffinity"):
        return [Slot(f"cpu:{i}") for i in range(count)]
    cores = sorted(os.sched_getaffinity(0))
    return [Slot(f"cpu:{i}", tuple(cores[i::count])) for i in range(count)]


def _gpu_slot(word: str, found: Snapshot) -> Slot:
    match = re.fullmatch(r"cuda(?::(\d{1,2}))?", word)
    if not match:
        raise UserError(f"'{word}' is no device; --devices takes them {HELP}.")
    name = f"cuda:{int(match[1] or 0)}"
    if gpu_for(name, found) is None:
        raise UserError(f"{word} is not here; `cifar-tui devices` shows what is.")
    return Slot(name)


def _all_slots(found: Snapshot) -> tuple[list[Slot], list[str]]:
    names = [f"cuda:{number}" for number in range(len(found.gpus))]
    used = {name: used_by_others(gpu) for name in names if (gpu := gpu_for(name, found))}
    if not used:
        return _cpu_slots("cpu"), []
    slots = [Slot(name) for name, why in used.items() if not why]
    left = [
        f"{name} is left alone: {why}; name it in --devices to use it."
        for name, why in used.items()
        if why
    ]
    if not slots:
        raise UserError(f"Every GPU is used heavily by others. {' '.join(left)}")
    return slots, left


def used_by_others(gpu: Gpu) -> str:
    """Who uses it heavily, in words; empty when nobody else does."""
    others = [process for process in gpu.processes if not process.mine]
    mine = [process for process in gpu.processes if process.mine]
    if mine and not others:
        return ""
    users = ", ".join(sorted({process.user for process in others if process.user})) or "others"
    if gpu.utilisation is not None and gpu.utilisation >= BUSY_PERCENT:
        return f"{users} keep it {gpu.utilisation} % busy"
    share = 100 * (gpu.memory_used or 0) / gpu.memory_total if gpu.memory_total else 0
    return f"{users} hold {share:.0f} % of its memory" if share >= BUSY_PERCENT else ""
