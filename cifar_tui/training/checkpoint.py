"""best.pt and last.pt: plain Python types and tensors, read with weights_only=True."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cifar_tui.errors import UserError
from cifar_tui.models.build import build_model
from cifar_tui.models.torch_file import read_best
from cifar_tui.runs.record import Point
from cifar_tui.spec.checks import make_spec
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.step import make_optimiser

FORMAT = 1
FIELDS: dict[str, Any] = {"state_dict": dict, "optimiser": dict, "spec": dict, "best": dict | None}
FIELDS |= {"epoch": int, "step": int, "lr": float}
BEST = ("val_acc", "val_loss", "train_acc", "train_loss", "epoch")
"""What is known of the best epoch; the training figures are None where it was trained elsewhere."""
RULES = ("momentum", "dampening", "weight_decay", "nesterov", "maximize")
"""What SGD takes from the settings; a checkpoint must agree."""
WAYS = ("foreach", "fused", "differentiable")
"""How SGD computes the same."""


@dataclass(frozen=True)
class Checkpoint:
    """The state after a whole epoch; `state_dict`, `epoch` and `lr` are the course's names."""

    state_dict: dict[str, torch.Tensor]
    epoch: int
    lr: float
    optimiser: dict[str, Any]
    step: int
    spec: RunSpec
    best: Point | None
    run: str = ""
    """The run that trained it, by the id it was begun with; empty where that is not known."""
    fingerprint: str = ""
    """Of the images it was trained on."""

    def content(self) -> dict[str, Any]:
        """What the file holds: plain types, and tensors on the CPU wherever the run trains."""
        fields = {
            "format": FORMAT,
            "state_dict": self.state_dict,
            "epoch": self.epoch,
            "lr": self.lr,
            "optimiser": self.optimiser,
            "step": self.step,
            "spec": self.spec.model_dump(mode="json"),
            "best": self.best and {name: getattr(self.best, name) for name in BEST},
            "run": self.run,
            "fingerprint": self.fingerprint,
        }
        return {name: _on_cpu(value) for name, value in fields.items()}

    def to_bytes(self) -> bytes:
        """The file itself; loads anywhere with torch.load(weights_only=True)."""
        buffer = io.BytesIO()
        torch.save(self.content(), buffer)
        return buffer.getvalue()


def _on_cpu(value: Any) -> Any:
    """The same with every tensor on the CPU, contiguous: a machine without the device loads it."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous()
    if isinstance(value, Mapping):
        return {key: _on_cpu(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_cpu(part) for part in value)
    return value


def load(path: Path) -> Checkpoint:
    """Read one of our checkpoints, which must fit its own settings; raises UserError.

    Whatever the file holds, nothing in it is run, and no more memory is taken than it has bytes.
    """
    content = read_best(path)
    try:
        _require(isinstance(content, dict))
        version = content["format"]
        _require(type(version) is int)
        checkpoint = _checked(content) if version == FORMAT else None
    except Exception:  # as many ways to be wrong as there are fields
        raise UserError(f"{path} is not one of this program's checkpoints.") from None
    if checkpoint is None:
        raise UserError(f"{path} has format {version}, not {FORMAT}.")
    try:
        _require_fitting(checkpoint.spec, checkpoint.state_dict, checkpoint.optimiser)
    except Exception:  # whatever torch makes of names, shapes and types that are wrong
        raise UserError(f"{path} does not fit the model in its settings.") from None
    return checkpoint


def _checked(content: dict[str, Any]) -> Checkpoint:
    """The checkpoint; raises whatever comes of fields that do not fit together."""
    _require(all(isinstance(content[k], kind) for k, kind in FIELDS.items()))
    spec = make_spec(content["spec"])
    epoch, step, lr = content["epoch"], content["step"], content["lr"]
    _require(0 <= epoch <= spec.epochs and step >= 0 and math.isfinite(lr))
    best = None if content["best"] is None else {k: content["best"][k] for k in BEST}
    if best is not None:
        _require(all(_is_finite(best[k]) for k in BEST[:2]))
        _require(all(best[k] is None or _is_finite(best[k]) for k in BEST[2:-1]))
        _require(type(best["epoch"]) is int and 1 <= best["epoch"] <= epoch)
        _require(0 <= best["val_acc"] <= 1)
    run, images = content.get("run", ""), content.get("fingerprint", "")
    _require(isinstance(run, str) and isinstance(images, str))
    weights, optimiser = content["state_dict"], content["optimiser"]
    point = None if best is None else Point(**best)
    return Checkpoint(weights, epoch, lr, optimiser, step, spec, point, run, images)


def _require_fitting(spec: RunSpec, weights: dict[str, Any], optimiser: dict[str, Any]) -> None:
    """Raise unless the model and its optimiser take these, and all weights are finite.

    The model is built without weights: drawing them would disturb a run in training.
    """
    with torch.device("meta"):
        model = build_model(spec)
    for name, wanted in model.state_dict().items():
        found = weights[name]
        _require(found.shape == wanted.shape and found.dtype == wanted.dtype)
        _require(bool(found.isfinite().all()))
    model.load_state_dict(weights, assign=True)
    parameters = dict(enumerate(model.parameters()))
    for number, state in optimiser["state"].items():
        momentum, weight = state.get("momentum_buffer"), parameters[number]
        _require(
            momentum is None or (momentum.shape, momentum.dtype) == (weight.shape, weight.dtype)
        )
        _require(momentum is None or momentum.layout == weight.layout)
    sgd = make_optimiser(model, spec, torch.device("cpu"))
    ours = {k: sgd.param_groups[0][k] for k in RULES}
    sgd.load_state_dict(optimiser)
    (group,) = sgd.param_groups
    _require(all(group[k] == value for k, value in ours.items()))
    _require(all(type(group[k]) in (bool, type(None)) for k in WAYS))


def _is_finite(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def _require(right: bool) -> None:
    if not right:
        raise ValueError
