"""What can go wrong while training, as one sentence that says what to do."""

import errno
import traceback

import torch

from cifar_tui.errors import UserError
from cifar_tui.spec import RunSpec


class Stopped(Exception):
    """The run was asked to stop."""


class Preempted(Exception):
    """The run has to give way and is to go on later; says why."""


class Unwritable(Exception):
    """The run's folder cannot be written, and the run was asked to stop."""


class DeviceLost(Exception):
    """The device works no more in this process; only a new process can use it."""


def explain(error: Exception, spec: RunSpec | None) -> tuple[str, dict[str, str]]:
    """The reason why a run failed, and the traceback where it is not the user's doing."""
    if isinstance(error, UserError):
        return str(error), {}
    if isinstance(error, torch.OutOfMemoryError) and spec is not None:
        return (
            f"out of memory with batch_size {spec.batch_size}; try a smaller batch_size, "
            "precision bf16, or a device that others use less",
            {},
        )
    trace = {"traceback": traceback.format_exc()}
    if is_device_lost(error):
        return (
            f"the GPU stopped working in this process ({_short(error)}); restart cifar-tui "
            "before using it again, then resume this run",
            trace,
        )
    return _short(error), trace


def is_device_lost(error: Exception) -> bool:
    """Whether CUDA's context is gone, after which every call in this process fails."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    kind = getattr(torch, "AcceleratorError", None)
    return (kind is not None and isinstance(error, kind)) or "CUDA error" in str(error)


def storage_reason(error: OSError) -> str:
    """Why a run's folder cannot be written, and what would help."""
    advice = {
        errno.ENOSPC: "make room",
        errno.EDQUOT: "make room in your quota",
        errno.EFBIG: "raise the limit on file sizes",
        errno.EROFS: "make it writable",
        errno.EACCES: "make it writable",
        errno.ENOENT: "bring it back",
    }.get(error.errno or 0, "mend it")
    what = error.strerror or type(error).__name__
    return f"cannot write the run folder ({what}); {advice} and training goes on"


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
