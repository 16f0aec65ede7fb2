"""The networks are the assignment's and the papers', layer by layer and key by key."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_tui.models.build import build_model
from cifar_tui.models.layers import PaddedShortcut, Swish
from cifar_tui.models.resnet import Block
from cifar_tui.spec.settings import RunSpec

SPECS: list[dict[str, Any]] = [
    {},
    {"batch_norm": True, "activation": "swish", "dropout": 0.3},
    {"model": "resnet", "depth": 8},
    {"model": "resnet", "depth": 8, "shortcut": "B", "activation": "swish", "dropout": 0.3},
    {"model": "resnet", "depth": 14, "shortcut": "none"},
    {"model": "resnet", "depth": 8, "shortcut": "B", "width": 4, "conv_bias": True},
]


class CourseNet(nn.Module):
    """SimpleNN as a student writes it in the course's notebook, BN included on request."""

    def __init__(self, batch_norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 5)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.fc1 = nn.Linear(576, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)
        self.batch_norm = batch_norm
        if batch_norm:
            self.bn1 = nn.BatchNorm2d(8)
            self.bn2 = nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(x)
        out = functional.max_pool2d(functional.relu(self.bn1(out) if self.batch_norm else out), 2)
        out = self.conv2(out)
        out = functional.max_pool2d(functional.relu(self.bn2(out) if self.batch_norm else out), 2)
        out = out.view(out.size(0), -1)
        out = functional.relu(self.fc1(out))
        out = functional.relu(self.fc2(out))
        return self.fc3(out)


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def parameters(**settings: Any) -> int:
    return sum(p.numel() for p in build_model(RunSpec(**settings)).parameters())


@pytest.mark.parametrize("settings", SPECS)
def test_a_dummy_batch_of_100_gives_100_by_10(settings: dict[str, Any]) -> None:
    assert build_model(RunSpec(**settings))(images(100)).shape == (100, 10)


def test_parameter_counts_are_the_known_ones() -> None:
    assert parameters() == 82_030
    assert parameters(model="resnet") == 269_722
    assert parameters(model="resnet", shortcut="none") == 269_722
    assert parameters(model="resnet", shortcut="B") == 272_474
    assert parameters(model="resnet", width=32) == 1_073_962
    assert parameters(model="resnet", conv_bias=True) == 269_722 + 7 * 16 + 6 * 32 + 6 * 64


def test_activation_and_dropout_add_no_parameters() -> None:
    assert parameters(activation="swish", dropout=0.5) == 82_030


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_course_class_loads_our_weights_and_agrees(batch_norm: bool) -> None:
    ours = build_model(RunSpec(batch_norm=batch_norm))
    ours(images(16))  # moves the BN statistics away from their start
    course = CourseNet(batch_norm)
    course.load_state_dict(ours.state_dict(), strict=True)
    x = images(8)
    torch.testing.assert_close(ours.eval()(x), course.eval()(x))


def test_we_load_the_course_weights() -> None:
    course, ours = CourseNet(True), build_model(RunSpec(batch_norm=True))
    ours.load_state_dict(course.state_dict(), strict=True)
    torch.testing.assert_close(ours.eval()(images(8)), course.eval()(images(8)))


def test_the_report_net_is_depth_38_with_option_b() -> None:
    keys = build_model(RunSpec(model="resnet", depth=38, shortcut="B")).state_dict().keys()
    assert {"conv1.weight", "bn1.running_var", "fc.bias", "layer1.5.conv2.weight"} <= keys
    assert {"layer2.0.shortcut.0.weight", "layer3.0.shortcut.1.weight"} <= keys
    assert not any("layer1.6." in k or "layer1.0.shortcut" in k for k in keys)


@pytest.mark.parametrize("settings", SPECS)
def test_one_seed_gives_one_network(settings: dict[str, Any]) -> None:
    def weights(seed: int) -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return nn.utils.parameters_to_vector(build_model(RunSpec(**settings)).parameters())

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_resnet_weights_have_the_variance_of_he_2015() -> None:
    model = build_model(RunSpec(model="resnet"))
    for name, fan_in in (("layer3.0.conv1", 32 * 9), ("layer2.0.conv1", 16 * 9)):
        weight = model.get_submodule(name).weight
        assert isinstance(weight, Tensor)
        assert weight.var().item() == pytest.approx(2 / fan_in, rel=0.2)
    bias = model.get_submodule("fc").bias
    assert isinstance(bias, Tensor)
    assert not bias.any()


def test_dropout_works_in_training_only() -> None:
    for settings in ({"dropout": 0.5}, {"model": "resnet", "depth": 8, "dropout": 0.5}):
        model, x = build_model(RunSpec(**settings)), images(4)
        with torch.no_grad():
            assert not torch.equal(model(x), model(x))
            model.eval()
            assert torch.equal(model(x), model(x))


def test_swish_is_x_times_sigmoid_and_so_is_its_slope() -> None:
    x = torch.linspace(-6, 6, 101, dtype=torch.float64, requires_grad=True)
    y = Swish()(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    sigmoid = 1 / (1 + torch.exp(-x.detach()))
    torch.testing.assert_close(y.detach(), x.detach() * sigmoid)
    torch.testing.assert_close(slope, sigmoid + x.detach() * sigmoid * (1 - sigmoid))


def test_a_swish_net_differs_from_a_relu_net() -> None:
    relu, swish = build_model(RunSpec()), build_model(RunSpec(activation="swish"))
    swish.load_state_dict(relu.state_dict())
    assert not torch.allclose(relu(images(2)), swish(images(2)))


def test_shortcut_a_picks_every_second_pixel_and_pads_channels_evenly() -> None:
    x = torch.randn(2, 16, 6, 6)
    out = PaddedShortcut(16, 32)(x)
    assert out.shape == (2, 32, 3, 3)
    for channel in range(32):
        for row in range(3):
            for column in range(3):
                inside = 8 <= channel < 24
                expected = x[:, channel - 8, 2 * row, 2 * column] if inside else torch.zeros(2)
                assert torch.equal(out[:, channel, row, column], expected)


@pytest.mark.parametrize(("shortcut", "silent"), [("none", True), ("A", False), ("B", False)])
@pytest.mark.parametrize("channels_out", [16, 32])
def test_only_option_none_has_no_path_around_the_convolutions(
    shortcut: str, silent: bool, channels_out: int
) -> None:
    block = Block(16, channels_out, channels_out // 16, shortcut, "relu")
    nn.init.zeros_(block.bn2.weight)
    out = block(torch.rand(4, 16, 8, 8))
    assert out.shape == (4, channels_out, 128 // channels_out, 128 // channels_out)
    assert bool((out == 0).all()) is silent


def test_an_identity_shortcut_adds_the_input_itself() -> None:
    block = Block(16, 16, 1, "A", "relu")
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 16, 4, 4)
    torch.testing.assert_close(block(x), x)


def test_gradients_reach_every_parameter() -> None:
    for settings in SPECS:
        model = build_model(RunSpec(**settings))
        model(images(4)).logsumexp(1).sum().backward()
        assert [n for n, p in model.named_parameters() if p.grad is None] == []
