"""The figures of weights are those that plain torch would count."""

import json
from pathlib import Path

import pytest
import torch

from cifar_tui import cli
from cifar_tui.drawing import AXIS, bins_for, histogram
from cifar_tui.errors import UserError
from cifar_tui.features.weights.compute import WHOLE, common_limit, pictures, read_weights, shares
from cifar_tui.runs.listing import Run, Runs
from tests.training import demo_runs


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Runs(demo_runs(tmp_path_factory)).find("last")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "best.pt"
    weights = {
        "conv1.weight": torch.tensor([0.0, 0.0005, -0.5, 1.0]).view(1, 1, 2, 2),
        "conv1.bias": torch.zeros(7),
        "bn1.weight": torch.zeros(9),
        "fc1.weight": torch.tensor([[0.25, -0.25]]),
    }
    torch.save({"state_dict": weights}, path)
    return path


def test_shares_count_convolutions_and_linear_layers_only(file: Path) -> None:
    found = read_weights(file)
    assert [(one.name, one.count) for one in found.layers] == [(WHOLE, 6), ("conv1", 4), ("fc1", 2)]
    assert shares(file) == found.layers[0].shares
    assert (shares(file).below, shares(file).zero) == (pytest.approx(2 / 6), pytest.approx(1 / 6))
    conv = found.layer("conv1")
    assert conv is not None
    assert (conv.shape, conv.largest) == ((1, 1, 2, 2), 1.0)
    assert conv.mean == pytest.approx(0.125125)
    assert found.histogram("conv1", 1.0, 3) == [1, 2, 1]
    assert found.layer("fc2") is None


def test_histograms_share_their_axes(file: Path) -> None:
    found = read_weights(file)
    assert common_limit([found], "fc1") == 0.25
    drawn = pictures(["A", "B"], [found, found], WHOLE, 80, 6)
    assert all(len(line) <= 80 for line in drawn)
    assert drawn[0].split() == ["A", "B"]
    left, right = (drawn[-1][:40].split(), drawn[-1][40:].split())
    assert left == right == ["-1", "0", "1"]


def test_a_bar_grows_with_the_logarithm_and_one_is_visible() -> None:
    assert bins_for(40) % 2 == 1
    lines = histogram([0, 1, 10, 100], 1.0, 6, 100)
    bars = [line[AXIS:] for line in lines[:-1]]
    tall = ["".join(bar[i] for bar in bars).strip() for i in range(4)]
    assert tall == ["", "██", "████", "██████"]
    assert [line[: AXIS - 1].strip() for line in lines[:-1]] == ["100", "", "10", "", "1", ""]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([1], "not one of this program's"),
        ({"state_dict": 3}, "not one of this program's"),
        ({"state_dict": {"a.weight": torch.zeros(3)}}, "no weights"),
        ({"state_dict": {"a.weight": torch.zeros(1).expand(10**6, 10**6)}}, "more numbers than"),
        ({"state_dict": {"a.weight": torch.full((2, 2), torch.inf)}}, "not finite"),
        ({"state_dict": {"a.weight": torch.zeros(2, 2, dtype=torch.complex64)}}, "ComplexFloat"),
        ({"state_dict": {"a.weight": torch.zeros(2, 2, dtype=torch.float8_e4m3fn)}}, "safely"),
        ({"state_dict": {"a.weight": torch.tensor([[1e300]], dtype=torch.float64)}}, "not finite"),
    ],
)
def test_what_is_no_checkpoint_is_refused(content: object, sentence: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(UserError, match=sentence):
        shares(tmp_path / "x.pt")


def test_a_run_without_an_epoch_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no epoch was finished"):
        shares(tmp_path / "best.pt")


def test_the_command_fits_80_columns_and_tells_programs_the_same(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ["--runs", str(run.path.parent)]
    assert cli.run(["weights", "last", "last", *runs]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in shown) <= 80
    assert cli.run(["weights", "last", "--json", *runs]) == 0
    whole, conv, *_ = json.loads(capsys.readouterr().out)["runs"][0]["layers"]
    state = torch.load(run.path / "best.pt", weights_only=True)["state_dict"]
    assert conv["std"] == pytest.approx(float(state["conv1.weight"].std(correction=0)), rel=1e-4)
    assert conv["below"] == float((state["conv1.weight"].abs() < 1e-3).double().mean())
    assert sum(whole["histogram"]) == whole["count"] == 600 + 1152 + 69_120 + 10_080 + 840
    assert cli.run(["weights", "last", "--layer", "fc9", *runs]) == 2
    assert "no layer 'fc9'" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "begin"), [("w.png", b"\x89PNG"), ("w.svg", b"<?xml")])
def test_the_command_draws_histograms(run: Run, tmp_path: Path, name: str, begin: bytes) -> None:
    pytest.importorskip("matplotlib")
    output = tmp_path / name
    arguments = ["weights", run.id, run.id, "--runs", str(run.path.parent), "--output"]
    assert cli.run([*arguments, str(output)]) == 0
    assert output.read_bytes().startswith(begin)
    assert cli.run([*arguments, str(output)]) == 2
    assert cli.run([*arguments, str(tmp_path / "w.pdf")]) == 2
