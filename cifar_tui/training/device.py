"""Where a run computes, in which precision, how much a device is given ahead, and `meta.json`."""

import platform
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.loading import IMAGES
from cifar_tui.errors import UserError
from cifar_tui.runs.record import this_host
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.process import this_slot

SECRET = ("--webhook", "--on-end")
"""Flags whose values are not written down."""
PACKAGES = ("cifar-tui", "torch", "numpy")


def choose_device(spec: RunSpec) -> torch.device:
    """The torch device a spec means, `auto` being that of this process's slot where it has one.

    Raises UserError when this machine does not have it.
    """
    slot = this_slot()
    if spec.device == "auto" and slot is not None:
        return torch.device(slot.device)
    if spec.device == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    device = torch.device(spec.device)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise UserError(
                f"device {spec.device} is not here: torch sees {count} NVIDIA GPUs; "
                "use --device auto or cpu."
            )
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device mps is not here: it needs an Apple GPU; use --device auto or cpu.")
    return device


def make_current(device: torch.device) -> None:
    """Let this thread's streams and events be the device's own; else they are those of `cuda:0`."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def check_precision(spec: RunSpec, device: torch.device) -> None:
    """Raise UserError where the device cannot compute in the spec's precision; changes nothing."""
    if spec.precision == "tf32" and device.type != "cuda":
        raise UserError(f"precision tf32 needs an NVIDIA GPU, not {device}; use fp32 or bf16.")


def set_precision(spec: RunSpec, device: torch.device) -> None:
    """Make matrix products and convolutions of this process as exact as the spec asks.

    cuDNN is held to deterministic kernels, so that the same seed gives the same numbers. Only
    whoever trains may call this: the flags belong to the whole process. Raises UserError as
    `check_precision` does.
    """
    check_precision(spec, device)
    tf32 = spec.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.deterministic = True


def forward(model: Callable[[Tensor], Tensor], images: Tensor, spec: RunSpec) -> Tensor:
    """Logits (B,10) of images (B,3,32,32); the layers run in bfloat16 where the spec asks for it,
    the loss never does."""
    if spec.precision != "bf16":
        return model(images)
    with torch.autocast(images.device.type, dtype=torch.bfloat16):
        return model(images).float()


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was given, so that times are honest."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def device_name(device: torch.device) -> str:
    """The device as people know it, like `cuda:0 NVIDIA H100` or `cpu`."""
    if device.type == "cuda":
        return f"{device} {torch.cuda.get_device_name(device)}"
    return str(device)


AHEAD = 0.05
"""Seconds of work that a device may be given ahead: it never runs dry and obeys soon."""
LEAST = 2
"""Batches that it may always be given ahead, however long they take."""


class Mark(Protocol):
    """A point in the work of a device, as a recorded `torch.cuda.Event` is."""

    def query(self) -> bool:
        """Whether the device has come as far as this."""

    def synchronize(self) -> None:
        """Wait until it has."""


def marker(device: torch.device) -> Callable[[], Mark] | None:
    """What marks how far a device was given work; None where that is done once it is given."""
    if device.type != "cuda":
        return None

    def mark() -> Mark:
        event = torch.cuda.Event(blocking=True)
        event.record(torch.cuda.current_stream(device))
        return event

    return mark


class Backlog:
    """The batches that a device was given and has not trained yet.

    Python hands a GPU its steps many times faster than it takes them: without a bound a whole epoch
    would wait in its queue, and neither orders nor progress would reach the run meanwhile.
    """

    def __init__(
        self, mark: Callable[[], Mark] | None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._mark = mark
        self._clock = clock
        self._began = clock()
        self._waiting: deque[tuple[Mark, int]] = deque()
        self._batches = 0
        self._images = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, images: int) -> int:
        """Note that the device was given one more batch, and so `images` in all.

        Waits while it has too much to do; returns how many images it has trained.
        """
        if self._mark is None:
            return images
        self._waiting.append((self._mark(), images))
        while self._waiting and self._waiting[0][0].query():
            self._take()
        while len(self._waiting) > self._most():
            self.wait()
        return self._images

    def wait(self) -> int:
        """Wait for the oldest batch; returns how many images are trained."""
        self._waiting[0][0].synchronize()
        self._take()
        return self._images

    def settle(self) -> None:
        """Wait until all is done."""
        while self._waiting:
            self.wait()

    def _take(self) -> None:
        _, self._images = self._waiting.popleft()
        self._batches += 1

    def _most(self) -> float:
        """How many batches last as long as the device may be ahead, by its speed so far."""
        seconds = self._clock() - self._began
        return max(LEAST, AHEAD * self._batches / seconds) if seconds > 0 else LEAST


def without_secrets(argv: Sequence[str]) -> list[str]:
    """A command line without what would let others speak to the user's webhooks."""
    kept = list(argv)
    for place, word in enumerate(argv):
        flag, equals, _ = word.partition("=")
        if flag in SECRET and equals:
            kept[place] = f"{flag}=..."
        elif flag in SECRET and place + 1 < len(kept):
            kept[place + 1] = "..."
    return kept


def describe_environment(dataset: Dataset, device: torch.device) -> dict[str, Any]:
    """Versions, host, device, command line, git commit and data set of a run."""
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {n: _version(n) for n in PACKAGES},
        "host": this_host(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "argv": without_secrets(sys.argv),
        "git": _git_commit(Path.cwd()),
        "dataset": {
            "source": dataset.source,
            "folder": str(dataset.folder.resolve()) if dataset.folder else None,
            "fingerprint": dataset.fingerprint,
            "classes": list(dataset.classes),
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit(folder: Path) -> str | None:
    """The commit checked out in `folder`, or None outside a repository."""
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def check_run(spec: RunSpec) -> Dataset:
    """Find out what would fail at once: raises UserError for device, precision or images.

    Changes nothing of how this process computes, as another run may be in training in it.
    """
    check_precision(spec, choose_device(spec))
    return IMAGES.open(spec.data)
