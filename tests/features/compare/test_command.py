"""`runs compare`: tables for people, the same for programs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_tui.cli import run
from cifar_tui.runs.folder import RunFolder
from tests.apps import save_run as save_run
from tests.told import tell

SaveRun = Callable[..., RunFolder]
Said = pytest.CaptureFixture[str]


@pytest.fixture
def runs(save_run: SaveRun, tmp_path: Path) -> Path:
    """Two seeds of one setting, a third run with another, and one that diverged."""
    save_run((0.5, 0.6), name="a", lr=0.1)
    save_run((0.5, 0.8), name="b", lr=0.1, seed=1)
    save_run((0.4, 0.65), name="c", lr=0.2)
    wild = save_run((), name="d", lr=1.0, epochs=2, status="diverged")
    tell(wild, {"event": "epoch", "epoch": 1, "val_acc": 0.1, "val_loss": float("nan")})
    return tmp_path / "runs"


def test_a_row_per_run_with_differences_to_the_baseline(runs: Path, capsys: Said) -> None:
    assert run(["runs", "compare", "a", "b", "c", "--baseline", "a", "--runs", str(runs)]) == 0
    head, first, _, third = capsys.readouterr().out.splitlines()
    assert head.split()[:6] == ["run", "lr", "seed", "best", "val_acc", "Δ"]
    assert first.split()[:7] == ["a", "0.1", "0", "0.6000", "@", "2", "base"]
    assert third.split()[6] == "+0.0500"


def test_groups_and_a_curve_as_rows_of_values(runs: Path, capsys: Said) -> None:
    options = ["--group", "--metric", "val_loss", "--smooth", "0.5", "--runs", str(runs)]
    assert run(["runs", "compare", "a", "b", "c", "d", *options]) == 0
    text = capsys.readouterr().out
    assert "0.7000 ± 0.1414" in text
    curve = text.partition("val_loss over epoch, smoothed by 0.5\n")[2].splitlines()
    assert curve[0].split() == ["run", "1", "2"]
    mean = (0.25 * 1.5 + 0.5 * 1.3) / 0.75
    assert curve[1].split() == ["lr", "0.1", "1.5000", f"{mean:.4f}"]
    assert curve[3].split() == ["lr", "1", "-", "-", "diverged", "at", "1"]


def test_programs_get_the_same(runs: Path, capsys: Said) -> None:
    options = ["--baseline", "c", "--metric", "gap", "--over", "time", "--json"]
    assert run(["runs", "compare", "a", "c", *options, "--runs", str(runs)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["lr"] == [0.1, 0.2]
    assert found["runs"][0]["difference"]["val_acc"] == pytest.approx(-0.05)
    assert [p["x"] for p in found["curves"]["curves"][0]["points"]] == pytest.approx([3.8, 7.6])


def test_the_baseline_is_one_of_the_runs(runs: Path, capsys: Said) -> None:
    assert run(["runs", "compare", "a", "b", "--baseline", "c", "--runs", str(runs)]) == 2
    assert "c" in capsys.readouterr().err


def test_an_axis_that_is_not_known_is_said(runs: Path, capsys: Said) -> None:
    options = ["--metric", "val_acc", "--over", "step", "--runs", str(runs)]
    assert run(["runs", "compare", "d", "d", *options]) == 0
    assert "No run has a value of val_acc over step." in capsys.readouterr().out
