"""The networks a run can train."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cifar_tui.models.resnet import ResNet
from cifar_tui.models.simplenn import SimpleNN
from cifar_tui.spec.settings import CLASSES, RunSpec


def build_model(spec: RunSpec) -> nn.Module:
    """The spec's network, (N, 3, 32, 32) images to (N, 10) logits.

    The weights are drawn from torch's global generator, so seed it first.
    """
    if spec.model == "resnet":
        return ResNet(
            spec.depth,
            spec.shortcut,
            spec.activation,
            spec.dropout,
            CLASSES,
            width=spec.width,
            bias=spec.conv_bias,
        )
    return SimpleNN(spec.batch_norm, spec.activation, spec.dropout, CLASSES)


def with_weights(spec: RunSpec, weights: Mapping[str, Tensor]) -> nn.Module:
    """The spec's network with these very tensors; nothing is drawn, so a run in training beside it
    keeps its chance."""
    with torch.device("meta"):
        model = build_model(spec)
    model.load_state_dict(weights, assign=True)
    return model
