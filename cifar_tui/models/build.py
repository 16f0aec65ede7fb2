"""The networks a run can train."""

from torch import nn

from cifar_tui.models.resnet import ResNet
from cifar_tui.models.simplenn import SimpleNN
from cifar_tui.spec.spec import CLASSES, RunSpec


def build_model(spec: RunSpec) -> nn.Module:
    """The spec's network, (N, 3, 32, 32) images to (N, 10) logits.

    The weights are drawn from torch's global generator, so seed it first.
    """
    if spec.model == "resnet":
        return ResNet(spec.depth, spec.shortcut, spec.activation, spec.dropout, CLASSES)
    return SimpleNN(spec.batch_norm, spec.activation, spec.dropout, CLASSES)
