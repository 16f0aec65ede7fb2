"""What a run folder says about its run: summary, notes and the events of its epochs."""

import functools
import os
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cifar_tui.text import plain

Line = Annotated[str, AfterValidator(plain)]
"""Text on one line, in which control characters are shown, not obeyed."""
Count = Annotated[int, Field(ge=0, lt=2**31)]
Status = Literal[
    "queued",
    "running",
    "paused",
    "finished",
    "stopped",
    "diverged",
    "failed",
    "crashed",
    "stale",
]
JOB = "CIFAR_TUI_JOB"
"""What a process that is a cluster's job is told of it, as in `slurm:12_3`."""
ENDED: frozenset[str] = frozenset({"finished", "stopped", "diverged", "failed", "crashed"})


class Point(BaseModel):
    """Validation figures at one epoch; accuracies are fractions from 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: Count
    val_acc: float | None = None
    val_loss: float | None = None
    train_acc: float | None = None
    train_loss: float | None = None

    def beats(self, best: "Point | None") -> bool:
        """Whether it is the best so far: of finite losses, and the first of the highest val_acc."""
        if self.val_acc is None or self.val_loss is None or self.train_loss is None:
            return False
        return best is None or best.val_acc is None or self.val_acc > best.val_acc


class Worker(BaseModel):
    """The process that trains a run, told apart from any other that ever had its pid."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str
    boot: str
    pid: int
    started: float
    job: Line = ""
    """The cluster's job that it is, which may start again elsewhere after the process is gone."""


class Summary(BaseModel):
    """summary.json: what lists show of a run, written anew after each epoch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Line
    name: Line = ""
    status: Status = "queued"
    reason: Line = ""
    epochs_done: Count = 0
    epochs: Count = 0
    best: Point | None = None
    last: Point | None = None
    initial_loss: float | None = None
    parameters: Count | None = None
    device: Line = ""
    source: Line = ""
    seconds: float = 0.0
    spec: dict[str, Any] = Field(default_factory=dict)
    """The settings as last read from spec.toml; with epochs, those that they were trained with."""
    spec_sha256: Line = ""
    """Of spec.toml as it then was; empty where `spec` was never compared with it."""
    unknown: tuple[Line, ...] = ()
    """Settings that an imported file did not tell; `spec` has their defaults."""


class Notes(BaseModel):
    """notes.json: what the user says of a run; empty values leave the spec's in force."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Line = ""
    tags: tuple[Line, ...] | None = None
    note: Line = ""
    pinned: bool = False


class Progress(BaseModel):
    """progress.json: where a run is inside its epoch; `counter` is the heartbeat."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    worker: Worker
    counter: int = 0
    phase: Literal["starting", "train", "val", "paused"] = "starting"
    epoch: Count = 0
    images_done: Count = 0
    images: Count = 0
    images_per_second: float | None = None
    seconds_left: float | None = None

    @property
    def part(self) -> float:
        """The share of the epoch's training that is done, from 0 to 1; validation comes after."""
        if self.phase == "val":
            return 1.0
        return min(1.0, self.images_done / self.images) if self.images else 0.0


@functools.lru_cache(maxsize=1)
def this_host() -> str:
    """This machine's name."""
    return socket.gethostname()


@functools.lru_cache(maxsize=1)
def boot_id() -> str:
    """What changes with each start of this machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import psutil

        return str(int(psutil.boot_time()))


def this_worker() -> Worker:
    """The identity of this process."""
    pid = os.getpid()
    started, job = _start_time(pid) or 0.0, os.environ.get(JOB, "")
    return Worker(host=this_host(), boot=boot_id(), pid=pid, started=started, job=job)


def waiting_job(job: str) -> Worker:
    """A job in a cluster's queue, in place of the process that it will be."""
    return Worker(host="", boot="", pid=0, started=0.0, job=job)


def is_alive(worker: Worker) -> bool | None:
    """Whether that process still runs; None when it cannot be told.

    A process on another host cannot be asked, one of another user may be hidden, and a cluster's
    job may start again.
    """
    if worker.host != this_host() or (worker.job and is_gone(worker)):
        return None
    return None if _is_hidden(worker) else not is_gone(worker)


def is_gone(worker: Worker) -> bool:
    """Whether that process has ended on this machine, whatever becomes of its cluster's job."""
    if worker.host != this_host() or _is_hidden(worker):
        return False
    return worker.boot != boot_id() or _start_time(worker.pid) != worker.started


def _is_hidden(worker: Worker) -> bool:
    """Whether its pid is another user's process of which /proc shows nothing (hidepid)."""
    if worker.boot != boot_id() or _start_time(worker.pid) is not None:
        return False
    try:
        os.kill(worker.pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        pass
    return False


def _start_time(pid: int) -> float | None:
    """When a process started, in ticks since boot; None when it is gone or a zombie.

    Read from /proc, as a time of day would shift whenever the clock is set.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else float(fields[19])
    except (OSError, IndexError, ValueError):
        return None if Path("/proc/self/stat").exists() else _start_time_elsewhere(pid)


def _start_time_elsewhere(pid: int) -> float | None:
    """The same on systems without /proc, in seconds."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (psutil.Error, ValueError, OverflowError):
        return None
