"""The summary gives the assignment's figures and leaves the model as it found it."""

import json
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from cifar_tui.models.build import build_model
from cifar_tui.models.layer_table import computation_answers, summarise, summarise_spec
from cifar_tui.spec.settings import RunSpec

RESNET = RunSpec(model="resnet")


def test_the_table_of_simplenn_is_the_assignments() -> None:
    assert summarise_spec(RunSpec()).table().rows == [
        ("conv1", "3x32x32", "8x28x28", "8x3x5x5", "608", "470,400", ""),
        ("conv2", "8x14x14", "16x12x12", "16x8x3x3", "1,168", "165,888", "28,800"),
        ("fc1", "576", "120", "120x576", "69,240", "69,120", ""),
        ("fc2", "120", "84", "84x120", "10,164", "10,080", ""),
        ("fc3", "84", "10", "10x84", "850", "840", ""),
        ("total", "", "", "", "82,030", "716,328", "579,240"),
    ]


def test_totals_of_resnet_20() -> None:
    option_a = summarise_spec(RESNET)
    assert option_a.parameters == 269_722
    assert option_a.multiply_adds == 40_551_040
    assert summarise_spec(RunSpec(model="resnet", shortcut="B")).parameters == 272_474


def test_the_rows_add_up_to_the_totals() -> None:
    for spec in (RunSpec(batch_norm=True), RESNET, RunSpec(model="resnet", shortcut="B")):
        *layers, total = summarise_spec(spec).table().rows
        for column in (4, 5):
            figures = [int(row[column].replace(",", "")) for row in layers]
            assert f"{sum(figures):,}" == total[column]


def test_layers_are_named_and_ordered_as_they_run() -> None:
    layers = summarise_spec(RESNET).layers
    names = [layer.name for layer in layers]
    assert names[:4] == ["conv1", "bn1", "act", "layer1.0.conv1"]
    assert names[-1] == "fc"
    assert len([layer for layer in layers if layer.kind in ("Conv2d", "Linear")]) == 20
    pool = next(layer for layer in layers if layer.name == "pool")
    assert (pool.input_shape, pool.output_shape) == ((1, 64, 8, 8), (1, 64, 1, 1))
    assert (pool.weight_shape, pool.parameters, pool.multiply_adds) == (None, 0, 0)


def test_dropout_stands_before_each_fully_connected_layer_but_the_first() -> None:
    for spec, expected in ((RunSpec(dropout=0.5), ["fc2", "fc3"]), (RESNET, ["fc"])):
        names = [layer.name for layer in summarise_spec(spec).layers]
        assert [after for name, after in pairwise(names) if name == "dropout"] == expected


def test_a_model_with_weights_and_one_without_give_the_same_summary() -> None:
    with torch.device("meta"):
        empty = build_model(RunSpec(batch_norm=True, activation="swish"))
    full = build_model(RunSpec(batch_norm=True, activation="swish"))
    assert summarise(empty) == summarise(full)
    assert next(empty.parameters()).is_meta


def test_summarising_changes_nothing_in_the_model() -> None:
    model = build_model(RunSpec(model="resnet", depth=8, dropout=0.5))
    frozen = model.get_submodule("layer2.0.bn1").eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    summarise(model)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [m for m in model.modules() if not m.training] == [frozen]
    assert not any(m._forward_hooks for m in model.modules())


def test_a_model_that_fails_gets_its_flags_and_hooks_back() -> None:
    model = build_model(RunSpec())
    with pytest.raises(RuntimeError):
        summarise(model, (3, 40, 40))
    assert all(m.training and not m._forward_hooks for m in model.modules())


def test_summarising_a_spec_draws_no_random_numbers() -> None:
    generator = torch.get_rng_state()
    summarise_spec(RESNET)
    assert torch.equal(torch.get_rng_state(), generator)


def test_separable_figures_are_those_of_a_real_separable_convolution() -> None:
    with torch.device("meta"):
        plain = nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False)
        separable = nn.Sequential(
            nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16, bias=False),
            nn.Conv2d(16, 32, 1, bias=False),
        )
    (layer,) = summarise(plain, (16, 32, 32)).layers
    real = summarise(separable, (16, 32, 32))
    assert layer.multiply_adds == 9 * 16 * 32 * 16 * 16
    assert layer.separable_multiply_adds == real.multiply_adds
    assert [part.separable_multiply_adds for part in real.layers] == [None, None]
    assert [part.separable_speedup for part in real.layers] == [None, None]


def test_the_separable_total_replaces_only_3x3_convolutions() -> None:
    summary = summarise_spec(RunSpec())
    conv1, conv2 = (layer for layer in summary.layers if layer.kind == "Conv2d")
    assert conv1.separable_multiply_adds is None
    assert conv2.separable_multiply_adds == 9 * 8 * 144 + 8 * 16 * 144
    saved = conv2.multiply_adds - conv2.separable_multiply_adds
    assert summary.separable_multiply_adds == summary.multiply_adds - saved


def test_the_dictionary_is_json_with_the_agreed_names() -> None:
    read = json.loads(json.dumps(summarise_spec(RunSpec()).to_dict()))
    assert (read["parameters"], read["multiply_adds"]) == (82_030, 716_328)
    assert read["layers"][0] == {
        "name": "conv1",
        "kind": "Conv2d",
        "input_shape": [1, 3, 32, 32],
        "output_shape": [1, 8, 28, 28],
        "weight_shape": [8, 3, 5, 5],
        "parameters": 608,
        "multiply_adds": 470_400,
        "separable_multiply_adds": None,
    }


def test_the_computation_questions_have_their_exact_answers() -> None:
    answers = computation_answers()
    assert [a.figures for a in answers[:4]] == [(3_000_100,), (2_800,), (17,), (96, 96, 32)]
    assert [a.answer for a in answers[:4]] == ["3,000,100", "2,800", "17", "96x96x32"]
    speedups, limit = answers[4].figures[:3], answers[4].figures[3]
    expected = [1 / (1 / n + 1 / 9) for n in (16, 32, 64)]
    assert all(math.isclose(*pair) for pair in zip(speedups, expected, strict=True))
    assert limit == 9
    assert answers[4].answer.startswith("5.76, 7.02, 7.89; ")
