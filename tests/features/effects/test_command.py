"""`runs stats`: the same answer for people and for programs."""

import json
from pathlib import Path

import pytest

from cifar_tui import cli
from tests.apps import SaveRun
from tests.apps import save_run as save_run


@pytest.fixture
def six(save_run: SaveRun) -> None:
    for i, lr in enumerate((0.01, 0.01, 0.01, 0.1, 0.1, 0.1)):
        save_run((0.5 + lr + i / 1000,), lr=lr, seed=i, name=f"run{i}")


def test_for_people(six: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["runs", "stats", "--runs", str(tmp_path / "runs")]) == 0
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("lr matters most: 0.0930 ± 0.00")
    assert second == "6 runs on course images"
    assert any(line.split()[:2] == ["0.1", "3"] for line in rest)


def test_for_programs(six: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--runs", str(tmp_path / "runs"), "--json"]
    assert cli.run(["runs", "stats", "--metric", "last-val-acc", *where]) == 0
    (study,) = json.loads(capsys.readouterr().out)["studies"]
    assert (study["metric"], study["runs"], study["synthetic"]) == ("last_val_acc", 6, False)
    (lr,) = study["settings"]
    assert (lr["setting"], lr["verdict"], lr["best"]) == ("lr", "clear", "0.1")
    assert [value["n"] for value in lr["values"]] == [3, 3]


def test_of_some_runs(six: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--runs", str(tmp_path / "runs")]
    assert cli.run(["runs", "stats", "run0", "run3", "run0", *where]) == 0
    assert "Too few runs to say what mattered: 2" in capsys.readouterr().out


def test_of_those_that_a_filter_finds(
    six: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--runs", str(tmp_path / "runs"), "--json"]
    assert cli.run(["runs", "stats", "--filter", "-lr=0.1 seed>0", *where]) == 0
    (study,) = json.loads(capsys.readouterr().out)["studies"]
    assert study["runs"] == 2


@pytest.mark.parametrize(
    ("arguments", "word"), [(["--metric", "lr"], "lr"), (["nothing"], "nothing")]
)
def test_bad_input_is_one_sentence(
    six: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    assert cli.run(["runs", "stats", *arguments, "--runs", str(tmp_path / "runs")]) == 2
    told = capsys.readouterr().err
    assert word in told and told.count("\n") == 1


def test_without_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["runs", "stats", "--runs", str(tmp_path / "none")]) == 2
    assert "There are no runs" in capsys.readouterr().err
