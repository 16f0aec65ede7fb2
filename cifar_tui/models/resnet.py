"""The CIFAR ResNet (He et al. 2016, Deep Residual Learning, section 4.2)."""

from torch import Tensor, nn

from cifar_tui.models.layers import GlobalAveragePool, PaddedShortcut
from cifar_tui.models.layers import activation as make_activation


class Block(nn.Module):
    """Two 3x3 convolutions, each with BN before the activation, and the shortcut around them."""

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, shortcut: str, activation: str
    ) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels_in, channels_out, stride)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.act1 = make_activation(activation)
        self.conv2 = _conv3x3(channels_out, channels_out, 1)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = _shortcut(channels_in, channels_out, stride, shortcut)
        self.act2 = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) to (N, channels_out, H/stride, W/stride)."""
        out = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        if self.shortcut is not None:
            out += self.shortcut(x)
        return self.act2(out)


class ResNet(nn.Module):
    """Depth 6n+2: a convolution, three stages of n blocks with 16, 32 and 64 channels, and fc."""

    def __init__(
        self, depth: int, shortcut: str, activation: str, dropout: float, classes: int
    ) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = _conv3x3(3, 16, 1)
        self.bn1 = nn.BatchNorm2d(16)
        self.act = make_activation(activation)
        self.layer1 = _stage(blocks, 16, 16, shortcut, activation)
        self.layer2 = _stage(blocks, 16, 32, shortcut, activation)
        self.layer3 = _stage(blocks, 32, 64, shortcut, activation)
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(64, classes)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) images to (N, classes) logits."""
        x = self.act(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.dropout(self.pool(x).flatten(1)))


def _conv3x3(channels_in: int, channels_out: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)


def _stage(
    blocks: int, channels_in: int, channels_out: int, shortcut: str, activation: str
) -> nn.Sequential:
    """A stage whose first block doubles the channels and halves the image, if they change."""
    stride = channels_out // channels_in
    first = Block(channels_in, channels_out, stride, shortcut, activation)
    rest = (Block(channels_out, channels_out, 1, shortcut, activation) for _ in range(1, blocks))
    return nn.Sequential(first, *rest)


def _shortcut(channels_in: int, channels_out: int, stride: int, option: str) -> nn.Module | None:
    """Option A or B where the block changes shape, the identity elsewhere; None for a plain net."""
    if option == "none":
        return None
    if channels_in == channels_out:
        return nn.Identity()
    if option == "A":
        return PaddedShortcut(channels_in, channels_out)
    projection = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
    return nn.Sequential(projection, nn.BatchNorm2d(channels_out))


def _initialise(module: nn.Module) -> None:
    """Normal weights of variance 2 / fan-in, zero bias (He et al. 2015, Delving Deep, eq. 10).

    Weights on the meta device are skipped: drawing nothing there takes torch a second of imports.
    """
    if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
