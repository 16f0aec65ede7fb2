"""Tells which network a state dict from elsewhere belongs to, and gives its weights our names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cifar_tui.errors import UserError
from cifar_tui.models.build import build_model
from cifar_tui.spec.checks import errors_of, make_spec
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
    matched: str = ""
    """How weights under other names were told apart."""


def recognise(weights: Mapping[Any, Any], shortcut: str = "A") -> Recognised:
    """The network these weights fit; raises UserError naming what does not fit.

    Shortcuts without parameters leave no trace: `shortcut` (A or none) says which they were.
    """
    if not weights or not all(isinstance(name, str) for name in weights):
        raise UserError("it holds no named weights")
    named = {_our_name(name): value for name, value in _unwrapped(weights).items()}
    matched = ""
    try:
        settings = _settings(named, shortcut)
        wanted = _wanted(settings)
        _require_fit(named, wanted, settings)
    except UserError:
        found = _by_order(named, shortcut)
        if found is None:
            raise
        settings, names = found
        wanted, matched = _wanted(settings), _told(names)
        named = {ours: named[theirs] for theirs, ours in names.items()}
    ours = {}
    for name, tensor in wanted.items():
        value = named.get(name, torch.zeros((), dtype=tensor.dtype))  # a counter may be missing
        ours[name] = value.to(tensor.dtype).contiguous()
        if not bool(ours[name].isfinite().all()):
            raise UserError(f"{name} has numbers that are not finite")
    return Recognised(settings, ours, matched)


def _wanted(settings: Mapping[str, Any]) -> dict[str, Tensor]:
    with torch.device("meta"):
        return build_model(make_spec(settings)).state_dict()


def _by_order(
    named: Mapping[str, Any], shortcut: str
) -> tuple[dict[str, Any], dict[str, str]] | None:
    """The network whose layers have these shapes in this order, with our name for each of theirs.

    A layer's parts (weight, bias, running_mean, running_var) must be called so.
    """
    theirs = {name: value for name, value in named.items() if not name.endswith(COUNTER)}
    if not all(isinstance(value, Tensor) for value in theirs.values()):
        return None
    for settings in _candidates([tuple(value.shape) for value in theirs.values()], shortcut):
        ours = {n: value for n, value in _wanted(settings).items() if not n.endswith(COUNTER)}
        if _parts(ours) == _parts(theirs):
            return settings, dict(zip(theirs, ours, strict=True))
    return None


def _candidates(shapes: Sequence[tuple[int, ...]], shortcut: str) -> Iterator[dict[str, Any]]:
    kernels = [shape for shape in shapes if len(shape) == 4]
    if len(kernels) == 2:
        yield from ({"model": "simplenn", "batch_norm": bn} for bn in (False, True))
    depth = sum(shape[2] == 3 for shape in kernels) + 1
    values = {"model": "resnet", "depth": depth, "width": kernels[0][0] if kernels else 0}
    values["shortcut"] = "B" if any(shape[2] == 1 for shape in kernels) else shortcut
    if not errors_of(values):
        yield from (values | {"conv_bias": bias} for bias in (False, True))


def _parts(weights: Mapping[str, Tensor]) -> list[tuple[str, tuple[int, ...]]]:
    return [(name.rpartition(".")[2], tuple(value.shape)) for name, value in weights.items()]


def _told(names: Mapping[str, str]) -> str:
    """How they were matched, by the first names: `conv_1.weight is conv1.weight, ...`."""
    shown = [f"{_quoted(theirs)} is {ours}" for theirs, ours in list(names.items())[:SHOWN]]
    return f"{', '.join(shown)}, and so on for {len(names)} tensors"


def _require_fit(
    named: Mapping[str, Any], wanted: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> None:
    misfits = _misfits(named, wanted)
    if misfits:
        more = f" and {len(misfits) - SHOWN} more" if len(misfits) > SHOWN else ""
        raise UserError(f"{_called(settings)} differs: {', '.join(misfits[:SHOWN])}{more}")


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
    if blocks and any(name.startswith("layer4.") for name in named):
        raise UserError("it is a ResNet of four stages, as for ImageNet; those here have three")
    if blocks:
        projected = any(".shortcut." in name for name in named)
        found = {"model": "resnet", "depth": 6 * (max(blocks) + 1) + 2}
        found |= {"shortcut": "B" if projected else shortcut, "conv_bias": "conv1.bias" in named}
        first = getattr(named.get("conv1.weight"), "shape", (0,))
        width = {"width": first[0]} if len(first) == 4 else {}
        return found if errors_of(found | width) else found | width
    if "conv1.weight" in named and any(name.startswith("fc1.") for name in named):
        return {"model": "simplenn", "batch_norm": any(n.startswith("bn1.") for n in named)}
    some = ", ".join(_quoted(name) for name in list(named)[:SHOWN])
    raise UserError(f"its names are neither SimpleNN's nor a CIFAR ResNet's: {some}, ...")


def _called(settings: Mapping[str, Any]) -> str:
    if settings["model"] == "resnet":
        width = f" of width {settings['width']}" * (settings.get("width", 16) != 16)
        return f"ResNet-{settings['depth']}{width} with shortcuts {settings['shortcut']}"
    return f"SimpleNN {'with' if settings['batch_norm'] else 'without'} batch norm"


def _misfits(named: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> list[str]:
    """What is missing, of another shape or kind, or too much, in words."""
    found = []
    for name, tensor in wanted.items():
        value = named.get(name)
        if value is None and not name.endswith(COUNTER):
            found.append(f"{name} is missing")
        elif not isinstance(value, Tensor | None):
            found.append(f"{name} is no tensor")
        elif value is not None and value.shape != tensor.shape:
            found.append(f"{name} is {_shape(value.shape)}, not {_shape(tensor.shape)}")
    return found + [f"{_quoted(name)} is unknown" for name in named if name not in wanted]


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _quoted(name: str) -> str:
    return plain(name if len(name) <= 40 else name[:39] + "…")
