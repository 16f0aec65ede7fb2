"""The loss surface is the loss of the moved weights, and no more moves than the paper says."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from cifar_tui import cli
from cifar_tui.data.demo import draw_demo
from cifar_tui.features.surface import compute as surface
from cifar_tui.features.surface.compute import random_direction, surface_of
from cifar_tui.features.surface.core import FILE, Slice
from cifar_tui.models.build import build_model
from cifar_tui.runs.listing import Run, Runs, read_run
from cifar_tui.spec.settings import RunSpec
from tests.training import demo_runs

WANTED = Slice(size=3, images=60, radius=0.5)


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Run:
    trained = Runs(demo_runs(tmp_path_factory)).find("last")
    shutil.copytree(trained.path, tmp_path / trained.id)
    return read_run(tmp_path / trained.id)


def plain_loss(state: dict[str, torch.Tensor]) -> float:
    model = build_model(RunSpec())
    model.load_state_dict(state)
    model.eval()
    val = draw_demo().val
    images = torch.from_numpy(val.images[:60]).permute(0, 3, 1, 2) / 255
    mean = torch.tensor([0.4914, 0.4822, 0.4465])[:, None, None]
    std = torch.tensor([0.2023, 0.1994, 0.2010])[:, None, None]
    with torch.no_grad():
        logits = model((images - mean) / std)
    assert val.labels is not None
    return float(functional.cross_entropy(logits, torch.from_numpy(val.labels[:60])))


def test_each_filter_moves_by_its_own_norm_and_nothing_else() -> None:
    drawn = torch.Generator().manual_seed(2)
    shapes = {"conv": (8, 3, 5, 5), "fc": (10, 84)}
    weights = {name: 3 * torch.randn(shape, generator=drawn) for name, shape in shapes.items()}
    found = random_direction(weights, torch.Generator().manual_seed(1))
    for name, direction in found.items():
        ours, theirs = weights[name].flatten(1).norm(dim=1), direction.flatten(1).norm(dim=1)
        assert torch.allclose(ours, theirs, rtol=1e-4)
        assert not torch.allclose(weights[name], direction)


def test_the_losses_are_those_of_plain_torch(run: Run) -> None:
    found = surface_of(run, WANTED)
    state = torch.load(run.path / "best.pt", weights_only=True)["state_dict"]
    assert found.centre == pytest.approx(plain_loss(state), rel=1e-4)
    assert found.losses[1][1] == pytest.approx(found.centre, rel=1e-5)
    generator = torch.Generator().manual_seed(WANTED.seed)
    weights = {name: w for name, w in state.items() if w.dim() > 1}
    first, second = (random_direction(weights, generator) for _ in range(2))
    for name, weight in weights.items():
        state[name] = weight + 0.5 * first[name] - 0.5 * second[name]
    assert found.losses[0][2] == pytest.approx(plain_loss(state), rel=1e-4)


def test_it_is_computed_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = surface_of(run, WANTED)
    monkeypatch.setattr(surface, "compute", lambda *_: pytest.fail("computed again"))
    assert surface_of(run, WANTED) == first


def test_what_the_tick_raises_leaves_nothing(run: Run) -> None:
    def leave(done: int, points: int) -> None:
        assert (done, points) == (1, 9)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        surface_of(run, WANTED, tick=leave)
    assert not (run.path / FILE).exists()


def test_the_command_draws_and_tells(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--size", "5", "--images", "20", "--runs", str(run.path.parent)]
    assert cli.run(["surface", "last", "last", *flags]) == 0
    shown = capsys.readouterr().out
    assert "(synthetic)" in shown
    assert cli.run(["surface", "last", "--json", *flags]) == 0
    told = json.loads(capsys.readouterr().out)["runs"][0]
    assert len(told["losses"]) == len(told["losses"][0]) == 5
    assert told["lowest"] <= told["centre"] <= told["highest"]
    assert f"{told['centre']:.4f}" in shown
