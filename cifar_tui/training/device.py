"""Where a run computes, and in which precision."""

from collections.abc import Callable

import torch
from torch import Tensor

from cifar_tui.errors import UserError
from cifar_tui.spec import RunSpec
from cifar_tui.training.slot import this_slot


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
