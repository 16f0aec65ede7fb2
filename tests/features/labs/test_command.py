"""`cifar-tui lab` as people and programs use it: a process, its streams, its exit code."""

import json
from pathlib import Path

import pytest

from cifar_tui.cli import run
from cifar_tui.features.labs.assignment import LABS
from tests.conftest import Command, json_lines

SCALE = ("--epochs", "1", "--subset", "300")


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_course: Path, cifar_in: Command
) -> tuple[Path, str]:
    """A runs folder in which lab2-augment was trained small, and what the command printed."""
    folder = tmp_path_factory.mktemp("saved")
    where = ("--data", tiny_course, "--runs", "runs")
    done = cifar_in(folder, "lab", "run", "lab2-augment", *SCALE, *where)
    assert done.returncode == 0, done.stderr
    return folder / "runs", done.stdout


def test_run_trains_and_prints_the_table_and_the_verdict(trained: tuple[Path, str]) -> None:
    runs, printed = trained
    assert printed.count("finished: best val_acc") == 2
    *_, table = printed.partition("lab2-augment  Does augmentation help")
    assert "done" in table and "0.6982" in table and "0.697-0.715 (5)" in table
    assert "answer" in table and "Scaled: 1 of 30 epochs" in table
    assert len([p for p in runs.iterdir() if p.is_dir()]) == 2


def test_what_exists_is_reused_and_only_the_rest_is_trained(
    trained: tuple[Path, str], cifar: Command, tiny_course: Path
) -> None:
    runs, _ = trained
    arguments = ("--data", str(tiny_course), "--runs", str(runs), *SCALE)
    again = cifar("lab", "run", "lab2-augment", *arguments, "--json")
    assert again.returncode == 0, again.stderr
    (answer,) = json_lines(again.stdout)
    assert answer["state"] == "done" and len(answer["runs"]) == 2
    more = cifar("lab", "run", "lab2-bn", *arguments, "--json")
    events = json_lines(more.stdout)
    assert [e["event"] for e in events if e["event"] in ("start", "lab")] == ["start", "lab"]
    assert events[-1]["name"] == "lab2-bn" and events[-1]["state"] == "done"


def test_list_is_an_array_of_objects(
    trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("lab", "list", "--json", "--runs", str(trained[0]))
    assert run([*arguments, *SCALE]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in found] == [lab.name for lab in LABS]
    wanted = {"question", "state", "verdict", "ours", "report", "others", "bar", "runs"}
    assert all(wanted <= set(item) for item in found)
    augment = found[2]
    assert augment["state"] == "done"
    assert 0 < augment["ours"]["aug"] < 1
    assert augment["report"] == {"no aug": 0.6564, "aug": 0.6982}
    assert augment["images"]["source"] == "course"
    assert augment["settings"][0]["device"] == "cpu"
    assert augment["settings"][0]["initial_loss"] == pytest.approx(2.3, abs=0.1)
    assert run(arguments) == 0
    full = json.loads(capsys.readouterr().out)
    assert {item["state"] for item in full} == {"not started"}


def test_show_names_what_is_known_before_anything_was_trained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["lab", "show", "lab2-lr", "--data", "demo", "--runs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "not started" in shown and "0.7218" in shown and "synthetic" in shown


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("run", "lab7"), "There is no lab 'lab7'"),
        (("run", "lab1", "--epochs", "0", "--data", "demo"), "epochs must be"),
        (("list", "--seeds", "0"), "seeds must be"),
        (("show", "lab1", "--precision", "fp8"), "precision must be"),
        (("run", "lab1", "--data", "/nowhere"), "There is no folder /nowhere"),
        (("run", "lab1", "--device", "gpu", "--data", "demo"), "device must be"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lab", *arguments, "--runs", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert part in said and len(said.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
