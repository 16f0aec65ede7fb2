"""The layers that torch does not have, or that the assignment wants written out."""

from torch import Tensor, nn
from torch.nn import functional


class Swish(nn.Module):
    """x * sigmoid(x) (Ramachandran et al. 2017, Searching for Activation Functions)."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        return functional.silu(x)


def activation(name: str) -> nn.Module:
    """The activation a spec names: relu or swish.

    ReLU overwrites its input, which no layer before it here needs again: that halves its traffic.
    """
    return nn.ReLU(inplace=True) if name == "relu" else Swish()


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that stays fast on a CPU with few channels.

    With channels last torch handles fewer than 16 of them one number at a time.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        if x.device.type == "cpu" and self.num_features < 16:
            x = x.contiguous()
        return super().forward(x)


class ActivationAndPool(nn.Module):
    """An activation, then 2x2 max pooling.

    ReLU never changes which of two values is larger, so pooling first gives the same numbers for
    a quarter of the work; Swish falls before it rises and has to come first.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        layers = [activation(name), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*(layers[::-1] if name == "relu" else layers))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H/2, W/2)."""
        return self.layers(x)


class GlobalAveragePool(nn.Module):
    """The mean over height and width, which unlike torch's own layer can be mapped over runs."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, 1, 1)."""
        return x.mean((2, 3), keepdim=True)


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
