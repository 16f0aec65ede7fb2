"""The CIFAR ResNet (He et al. 2016, Deep Residual Learning, section 4.2)."""

from torch import Tensor, nn

from cifar_tui.models.layers import GlobalAveragePool, PaddedShortcut
from cifar_tui.models.layers import activation as make_activation


class Block(nn.Module):
    """Two 3x3 convolutions, each with BN before the activation, and the shortcut around them."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int,
        shortcut: str,
        activation: str,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels_in, channels_out, stride, bias)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.act1 = make_activation(activation)
        self.conv2 = _conv3x3(channels_out, channels_out, 1, bias)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = _shortcut(channels_in, channels_out, stride, shortcut, bias)
        self.act2 = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) to (N, channels_out, H/stride, W/stride)."""
        out = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        if self.shortcut is not None:
            out += self.shortcut(x)
        return self.act2(out)


class ResNet(nn.Module):
    """Depth 6n+2: a convolution, three stages of n blocks, each with twice the channels of the one
    before and `width` in the first, and fc."""

    def __init__(
        self,
        depth: int,
        shortcut: str,
        activation: str,
        dropout: float,
        classes: int,
        *,
        width: int = 16,
        bias: bool = False,
    ) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = _conv3x3(3, width, 1, bias)
        self.bn1 = nn.BatchNorm2d(width)
        self.act = make_activation(activation)
        self.layer1 = _stage(blocks, width, width, shortcut, activation, bias)
        self.layer2 = _stage(blocks, width, 2 * width, shortcut, activation, bias)
        self.layer3 = _stage(blocks, 2 * width, 4 * width, shortcut, activation, bias)
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(4 * width, classes)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) images to (N, classes) logits."""
        x = self.act(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.dropout(self.pool(x).flatten(1)))


def _conv3x3(channels_in: int, channels_out: int, stride: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=bias)


def _stage(
    blocks: int, channels_in: int, channels_out: int, shortcut: str, activation: str, bias: bool
) -> nn.Sequential:
    """A stage whose first block doubles the channels and halves the image, if they change."""
    stride = channels_out // channels_in
    first = Block(channels_in, channels_out, stride, shortcut, activation, bias)
    rest = (
        Block(channels_out, channels_out, 1, shortcut, activation, bias) for _ in range(1, blocks)
    )
    return nn.Sequential(first, *rest)


def _shortcut(
    channels_in: int, channels_out: int, stride: int, option: str, bias: bool
) -> nn.Module | None:
    """Option A or B where the block changes shape, the identity elsewhere; None for a plain net."""
    if option == "none":
        return None
    if channels_in == channels_out:
        return nn.Identity()
    if option == "A":
        return PaddedShortcut(channels_in, channels_out)
    projection = nn.Conv2d(channels_in, channels_out, 1, stride, bias=bias)
    return nn.Sequential(projection, nn.BatchNorm2d(channels_out))


def _initialise(module: nn.Module) -> None:
    """Normal weights of variance 2 / fan-in, zero bias (He et al. 2015, Delving Deep, eq. 10).

    Weights on the meta device are skipped: drawing nothing there takes torch a second of imports.
    """
    if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
