"""The layers that torch does not have, or that the assignment wants written out."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Swish(nn.Module):
    """x * sigmoid(x) (Ramachandran et al. 2017, Searching for Activation Functions)."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        return x * torch.sigmoid(x)


def activation(name: str) -> nn.Module:
    """The activation a spec names: relu or swish."""
    return {"relu": nn.ReLU, "swish": Swish}[name]()


class PaddedShortcut(nn.Module):
    """Shortcut A, an identity without parameters (He et al. 2016, sections 3.3 and 4.2).

    Takes every second row and column, and pads equally many zero channels before and after.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.padding = (channels_out - channels_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) to (N, channels_out, H/2, W/2)."""
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))
