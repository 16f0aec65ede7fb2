"""SGD as the assignment has it, its learning rates, and its state for a checkpoint."""

from typing import Any

import torch
from torch import Tensor, nn

from cifar_tui.spec.settings import RunSpec


def make_optimiser(model: nn.Module, spec: RunSpec, device: torch.device) -> torch.optim.SGD:
    """SGD over all parameters, each with the same weight decay, as the assignment has it.

    On a GPU the learning rate is a tensor there, which a captured graph reads at each replay.
    """
    return torch.optim.SGD(
        model.parameters(),
        lr=torch.tensor(spec.lr, device=device) if device.type == "cuda" else spec.lr,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
        weight_decay=spec.l2,
        fused=device.type in ("cpu", "cuda"),
    )


def set_lr(optimiser: torch.optim.SGD, lr: float) -> None:
    """Use another learning rate from the next step on."""
    (group,) = optimiser.param_groups
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


def state_of(optimiser: torch.optim.SGD) -> dict[str, Any]:
    """The optimiser's state with a plain number as its learning rate."""
    state = optimiser.state_dict()
    groups = [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]
    return {**state, "param_groups": groups}


def load_state(optimiser: torch.optim.SGD, state: dict[str, Any]) -> None:
    """Take over a checkpoint's state and keep the way this optimiser computes.

    Momentum is laid out in memory like its weight, as fused SGD pairs the two by address.
    """
    (group,) = optimiser.param_groups
    own = {name: group[name] for name in ("lr", "fused", "foreach")}
    optimiser.load_state_dict(state)
    optimiser.param_groups[0].update(own)
    for weight, kept in optimiser.state.items():
        momentum = kept.get("momentum_buffer")
        if momentum is not None:
            kept["momentum_buffer"] = torch.empty_like(weight).copy_(momentum)
