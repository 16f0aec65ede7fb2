"""SimpleNN, Table 1 of the assignment; its state dict has the course's own names."""

from torch import Tensor, nn

from cifar_tui.models.layers import ActivationAndPool, BatchNorm
from cifar_tui.models.layers import activation as make_activation


class SimpleNN(nn.Module):
    """Two unpadded convolutions and three fully connected layers, 82,030 parameters without BN."""

    def __init__(self, batch_norm: bool, activation: str, dropout: float, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 5)
        self.bn1 = BatchNorm(8) if batch_norm else nn.Identity()
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.bn2 = BatchNorm(16) if batch_norm else nn.Identity()
        self.fc1 = nn.Linear(16 * 6 * 6, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)
        self.act = make_activation(activation)
        self.pool = ActivationAndPool(activation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) images to (N, classes) logits."""
        x = self.pool(self.bn1(self.conv1(x)))
        x = self.pool(self.bn2(self.conv2(x)))
        x = self.act(self.fc1(x.flatten(1)))
        x = self.act(self.fc2(self.dropout(x)))
        return self.fc3(self.dropout(x))
