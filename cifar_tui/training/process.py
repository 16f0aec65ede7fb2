"""A process that trains: its settings, made before torch is imported, and the slot it trains in."""

import ctypes
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SPIN = {"GOMP_SPINCOUNT": "20000"}
"""How long torch's threads wait busily for each other before they sleep, in rounds of a loop.

By default they never sleep, and where another program wants a core, each step then waits for whole
time slices of the scheduler (docs/notes/performance.md).
"""
OURS: dict[str, str] = {}
"""What was set here, and not by the user."""
SLOT, CORES = "CIFAR_TUI_SLOT", "CIFAR_TUI_CORES"
"""What a process that trains in a slot is told of it."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""glibc's names in malloc.h."""


def prepare_process() -> None:
    """Keep freed memory, use no more threads than cores, and let those sleep that wait long.

    GPUs are numbered as nvidia-smi numbers them; CUDA alone would put the fastest first.

    What the user has set wins. To be called before torch is imported and before the threads that
    train are made.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        _set(SPIN)
    _set({"OMP_NUM_THREADS": str(usable_cores()), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    keep_freed_memory()


def _set(wanted: Mapping[str, str]) -> None:
    for name in wanted.keys() - os.environ.keys():
        os.environ[name] = OURS[name] = wanted[name]


def as_started(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what this process has set for itself, for one with other cores."""
    return {name: value for name, value in environ.items() if OURS.get(name) != value}


def program(*arguments: str, module: str = "cifar_tui") -> list[str]:
    """The command that starts this program again, which imports nothing from the working folder."""
    return [sys.executable, "-P", "-m", module, *arguments]


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores this process may use; torch by itself counts those of the whole machine.

    A container's share is `limit period` in microseconds (cgroup v2 in the kernel's documentation).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        limit, period = quota.read_text().split()
        share = math.ceil(int(limit) / int(period))
    except (OSError, ValueError):
        return cores or 1
    return max(1, min(cores or 1, share))


def keep_freed_memory() -> None:
    """Stop glibc from handing freed memory back to the system; does nothing without glibc.

    A batch's activations are megabytes each, which glibc maps and unmaps every time; the kernel
    then clears their pages anew, a third of a step's time on a CPU (docs/notes/performance.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, 1 << 30) or mallopt(M_MMAP_THRESHOLD, 32 << 20)
        mallopt(M_ARENA_MAX, 1)


@dataclass(frozen=True)
class Slot:
    """One place to train: `cuda:1`, or `cpu:0` with its share of the cores."""

    name: str
    cores: tuple[int, ...] = ()

    @property
    def device(self) -> str:
        """The torch device of what is trained here."""
        return "cpu" if self.name.startswith("cpu") else self.name

    def takes(self, device: str) -> bool:
        """Whether a run whose spec names this device can be trained here."""
        named = "cuda:0" if device == "cuda" else device
        return device == "auto" or named == self.device

    def environment(self) -> dict[str, str]:
        """What its process must be told."""
        return {SLOT: self.name} | ({CORES: ",".join(map(str, self.cores))} if self.cores else {})


def this_slot(environ: Mapping[str, str] = os.environ) -> Slot | None:
    """The slot that this process trains in, if any."""
    name = environ.get(SLOT)
    return Slot(name) if name else None


def settle(environ: Mapping[str, str] = os.environ) -> None:
    """Keep this process to its slot's cores; to be called before torch is imported."""
    cores = environ.get(CORES)
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
