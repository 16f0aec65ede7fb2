"""What can go wrong while training, as a sentence that says what to do."""

import errno
import traceback
from pathlib import Path

import torch

from cifar_tui.errors import UserError
from cifar_tui.spec.settings import RunSpec

LOST = (
    "illegal memory access",
    "illegal instruction",
    "unspecified launch failure",
    "launch timed out",
    "device-side assert",
    "misaligned address",
    "hardware stack error",
    "not supported on global/shared address space",
    "invalid program counter",
    "uncorrectable ecc",
    "uncorrectable nvlink",
    "context is destroyed",
    "no cuda-capable device",
    "device(s) is/are busy or unavailable",
    "cuda error: unknown error",
)
"""What `cudaGetErrorString` says of errors after which a process cannot use the device again (the
runtime's "Error Handling" in NVIDIA's documentation)."""
LIBRARIES = ("cublas_status", "cudnn_status", "cudnn error")


class Stopped(Exception):
    """The run was asked to stop."""


class Mismatch(UserError):
    """What a run would go on with is not its own: other images, settings or another's weights."""


class Preempted(Exception):
    """The run has to give way and is to go on later; says why."""


class Unwritable(Exception):
    """The run's folder cannot be written, and the run was asked to stop."""


class Gone(Unwritable):
    """The run's folder is no more, as somebody removed it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} was removed, and its run has ended with it")


class DeviceLost(Exception):
    """The device works no more in this process; only a new process can use it."""


def explain(error: Exception, spec: RunSpec | None) -> tuple[str, str]:
    """The reason why a run failed, and the traceback where it is not the user's doing."""
    if isinstance(error, UserError):
        return str(error), ""
    if is_out_of_memory(error) and spec is not None:
        return (
            f"out of memory with batch_size {spec.batch_size}; try a smaller batch_size, "
            "precision bf16, or a device that others use less",
            "",
        )
    trace = traceback.format_exc()
    if is_device_lost(error):
        return (
            f"the GPU stopped working in this process ({_short(error)}); restart cifar-tui "
            "before using it again, then resume this run",
            trace,
        )
    return _short(error), trace


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device had too little memory, whichever of CUDA's libraries asked for it."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "cuda" in text and ("out of memory" in text or "alloc_failed" in text)


def is_device_lost(error: Exception) -> bool:
    """Whether CUDA's context is gone, after which every call in this process fails.

    What cuBLAS and cuDNN report is looked into by asking the device itself: want of memory looks
    the same as a lost context there.
    """
    text = str(error).lower()
    if any(sign in text for sign in LOST):
        return True
    if not any(name in text for name in LIBRARIES) or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError as found:
        return any(sign in str(found).lower() for sign in LOST)
    return False


def storage_reason(error: OSError) -> str:
    """Why a run's folder cannot be written, and what would help."""
    advice = {
        errno.ENOSPC: "make room",
        errno.EDQUOT: "make room in your quota",
        errno.EFBIG: "raise the limit on file sizes",
        errno.EROFS: "make it writable",
        errno.EACCES: "make it writable",
        errno.ENOENT: "bring it back within a minute",
    }.get(error.errno or 0, "mend it")
    what = error.strerror or type(error).__name__
    return f"cannot write the run folder ({what}); {advice} and training goes on"


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
