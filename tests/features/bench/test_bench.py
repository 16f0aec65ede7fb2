"""The command `bench`, and the yardsticks it measures against."""

import json
from pathlib import Path

import pytest
import torch

from cifar_tui.data.loading import open_dataset
from cifar_tui.features.bench.parts import Peaks, floor
from cifar_tui.features.bench.plain import PlainSplit, plain_model
from cifar_tui.models.build import build_model
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import PlainBatches
from tests.conftest import Command

SPECS = [
    RunSpec(),
    RunSpec(batch_norm=True, activation="swish"),
    RunSpec(model="resnet", depth=14),
    RunSpec(model="resnet", depth=8, shortcut="B", activation="swish"),
    RunSpec(model="resnet", depth=8, shortcut="none"),
    RunSpec(model="resnet", depth=8, shortcut="B", width=4, conv_bias=True),
]


@pytest.mark.parametrize(
    "spec", SPECS, ids=lambda s: f"{s.model}-{s.shortcut}-{s.activation}-{s.width}"
)
def test_the_nets_compute_what_their_plainest_form_does(spec: RunSpec) -> None:
    """Pooling before ReLU and writing in place change neither logits nor gradients."""
    ours, plain = build_model(spec).double(), plain_model(spec).double()
    plain.load_state_dict(ours.state_dict())
    images = torch.rand(6, 3, 32, 32, dtype=torch.float64)
    for training in (True, False):
        ours.train(training).zero_grad()
        plain.train(training).zero_grad()
        got, wanted = ours(images), plain(images)
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)
        got.square().sum().backward()
        wanted.square().sum().backward()
        theirs = dict(plain.named_parameters())
        for name, parameter in ours.named_parameters():
            torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=1e-8, atol=1e-8)


def test_the_usual_script_sees_the_same_images(tiny_course: Path) -> None:
    dataset = open_dataset(str(tiny_course))
    loader = PlainSplit(dataset.val, RunSpec(), training=False)
    images, labels = next(iter(PlainBatches(dataset.val, RunSpec(), torch.device("cpu"))))
    for place in range(5):
        image, label = loader[place]
        torch.testing.assert_close(image, images[place].contiguous(), rtol=1e-5, atol=1e-5)
        assert label == labels[place]


def test_the_floor_is_operations_or_bytes_whichever_is_slower() -> None:
    spec = RunSpec()
    found = floor(spec, Peaks(operations=1e9, bytes=1e20))
    assert found["operations_per_image"] == 6 * 716_328
    assert found["images_per_second"] == pytest.approx(1e9 / (6 * 716_328))
    slow = floor(spec, Peaks(operations=1e20, bytes=1e6))
    assert slow["images_per_second"] == pytest.approx(1e6 / slow["bytes_per_image"])
    half = floor(RunSpec(precision="bf16"), Peaks(1e20, 1e6))
    assert half["bytes_per_image"] * 2 == slow["bytes_per_image"]


@pytest.mark.slow
def test_bench_measures_in_turns_and_says_where(cifar: Command) -> None:
    asked = ("--model", "simplenn", "--precision", "fp32", "--rounds", "1", "--images", "1280")
    done = cifar("bench", *asked, "--data", "demo", "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["device"], found["source"], found["rounds"]) == ("cpu", "demo", 1)
    (row,) = found["rows"]
    assert (row["model"], row["precision"]) == ("simplenn", "fp32")
    assert row["engine_over_plain"] == pytest.approx(row["engine"] / row["plain"])
    assert row["engine_over_limit"] == pytest.approx(row["engine"] / row["limit"])
    assert row["seconds_per_epoch"]["engine"] == pytest.approx(45_000 / row["engine"])


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--model", "vgg"), "vgg"),
        (("--precision", "fp8"), "fp8"),
        (("--rounds", "0"), "--rounds"),
        (("--data", "nowhere"), "nowhere"),
    ],
)
def test_bench_says_in_a_sentence_what_is_wrong(
    cifar: Command, flags: tuple[str, str], named: str
) -> None:
    done = cifar("bench", "--device", "cpu", "--images", "1280", *flags)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
