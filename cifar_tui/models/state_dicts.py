"""Tells which network a state dict from elsewhere belongs to, and gives its weights our names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cifar_tui.errors import UserError
from cifar_tui.models.build import build_model
from cifar_tui.spec.checks import make_spec
from cifar_tui.text import plain

WRAPPERS = ("module.", "_orig_mod.", "model.", "net.")
"""What DataParallel, torch.compile and notebooks put before every name."""
RENAMED = ((r"\.downsample\.", ".shortcut."), (r"^linear\.", "fc."))
"""Names of the same layers in torchvision and in the usual CIFAR ResNets."""
COUNTER = ".num_batches_tracked"
SHOWN = 3
"""How many misfits a sentence names."""


@dataclass(frozen=True)
class Recognised:
    """The settings that the weights show, and the weights under our names, float32."""

    settings: dict[str, Any]
    state_dict: dict[str, Tensor]


def recognise(weights: Mapping[Any, Any], shortcut: str = "A") -> Recognised:
    """The network these weights fit; raises UserError naming what does not fit.

    Shortcuts without parameters leave no trace: `shortcut` (A or none) says which they were.
    """
    if not weights or not all(isinstance(name, str) for name in weights):
        raise UserError("it holds no named weights")
    named = {_our_name(name): value for name, value in _unwrapped(weights).items()}
    settings = _settings(named, shortcut)
    with torch.device("meta"):
        wanted = build_model(make_spec(settings)).state_dict()
    for name, tensor in wanted.items():
        if name.endswith(COUNTER):
            named.setdefault(name, torch.zeros((), dtype=tensor.dtype))
    misfits = _misfits(named, wanted)
    if misfits:
        more = f" and {len(misfits) - SHOWN} more" if len(misfits) > SHOWN else ""
        raise UserError(f"{_called(settings)} differs: {', '.join(misfits[:SHOWN])}{more}")
    ours = {name: named[name].to(tensor.dtype).contiguous() for name, tensor in wanted.items()}
    for name, tensor in ours.items():
        if not bool(tensor.isfinite().all()):
            raise UserError(f"{name} has numbers that are not finite")
    return Recognised(settings, ours)


def _unwrapped(weights: Mapping[str, Any]) -> dict[str, Any]:
    """The same without the prefixes that all names share."""
    found = dict(weights)
    while prefix := next((w for w in WRAPPERS if all(n.startswith(w) for n in found)), ""):
        found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def _our_name(name: str) -> str:
    for theirs, ours in RENAMED:
        name = re.sub(theirs, ours, name)
    return name


def _settings(named: Mapping[str, Any], shortcut: str) -> dict[str, Any]:
    """What the names say about the network."""
    blocks = {int(m[1]) for n in named if (m := re.match(r"layer1\.(\d{1,4})\.", n))}
    if blocks:
        projected = any(".shortcut." in name for name in named)
        depth = 6 * (max(blocks) + 1) + 2
        return {"model": "resnet", "depth": depth, "shortcut": "B" if projected else shortcut}
    if "conv1.weight" in named and any(name.startswith("fc1.") for name in named):
        return {"model": "simplenn", "batch_norm": any(n.startswith("bn1.") for n in named)}
    some = ", ".join(_quoted(name) for name in list(named)[:SHOWN])
    raise UserError(f"its names are neither SimpleNN's nor a CIFAR ResNet's: {some}, ...")


def _called(settings: Mapping[str, Any]) -> str:
    if settings["model"] == "resnet":
        return f"ResNet-{settings['depth']} with shortcuts {settings['shortcut']}"
    return f"SimpleNN {'with' if settings['batch_norm'] else 'without'} batch norm"


def _misfits(named: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> list[str]:
    """What is missing, of another shape or kind, or too much, in words."""
    found = []
    for name, tensor in wanted.items():
        value = named.get(name)
        if value is None:
            found.append(f"{name} is missing")
        elif not isinstance(value, Tensor):
            found.append(f"{name} is no tensor")
        elif value.shape != tensor.shape:
            found.append(f"{name} is {_shape(value.shape)}, not {_shape(tensor.shape)}")
    return found + [f"{_quoted(name)} is unknown" for name in named if name not in wanted]


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _quoted(name: str) -> str:
    return plain(name if len(name) <= 40 else name[:39] + "…")
