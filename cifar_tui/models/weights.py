"""How many weights of a saved model are small: what a penalty on them did."""

from dataclasses import dataclass
from pathlib import Path

import torch

from cifar_tui.errors import UserError

SMALL = 1e-3


@dataclass(frozen=True)
class WeightShares:
    """Of all convolution and linear weights: the fraction below SMALL, and exactly zero."""

    below: float
    zero: float


def shares(path: Path) -> WeightShares:
    """Read the shares off a checkpoint; raises UserError when it holds no such weights."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        weights = [w for name, w in state.items() if name.endswith("weight") and w.ndim > 1]
        every = torch.cat([w.flatten() for w in weights]).abs()
    except Exception:  # the reader of a damaged file raises whatever it stumbles over
        raise UserError(f"{path} is not a checkpoint with weights that can be read.") from None
    return WeightShares((every < SMALL).double().mean().item(), (every == 0).double().mean().item())
