"""A command line that is not understood is answered with what was probably meant."""

import json
from pathlib import Path

import pytest

from cifar_tui import cli
from tests.apps import SaveRun

MEANT = {
    "trian": "Did you mean `cifar-tui train`?",
    "trian --lr 0.1": "Did you mean `cifar-tui train`?",
    "run": "Did you mean `cifar-tui train`?",
    "ls": "Did you mean `cifar-tui runs list`?",
    "history": "Did you mean `cifar-tui runs list`?",
    "list": "Did you mean `cifar-tui runs list` or `cifar-tui lab list`?",
    "compare best last": "Did you mean `cifar-tui runs compare`?",
    "--runs x trian": "Did you mean `cifar-tui train`?",
    "runs shwo x": "Did you mean `cifar-tui runs show`?",
    "runs rm x": "Did you mean `cifar-tui runs delete`?",
    "runs export x": "Did you mean `cifar-tui export`?",
    "lab ls": "Did you mean `cifar-tui lab list`?",
    "data downlaod": "Did you mean `cifar-tui data download`?",
    "train --learning-rate 0.1": "Did you mean --lr?",
    "train --weight-decay 0.1": "Did you mean --l2?",
    "train --batchsize 64": "Did you mean --batch-size?",
    "train --bs 64": "Did you mean --batch-size?",
    "train --gpu": "Did you mean --device cuda?",
    "train --epoch 3": "Did you mean --epochs?",
    "train --optimizer adam": "The optimiser is SGD",
    "runs list --lr 0.1": "Did you mean --filter lr=VALUE?",
    "train --model resnet20": "Did you mean resnet with depth 20?",
    "train --activation silu": "one of relu, swish",
    "--lr 0.1 train": "`cifar-tui train --lr ...`",
    "runs list best": "'best' is not understood by `cifar-tui runs list`",
}


@pytest.mark.parametrize("line", MEANT)
def test_what_was_probably_meant_is_said(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(line.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert MEANT[line] in said.err


def test_nothing_is_made_up_for_what_is_like_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["xyzzy"]) == 2
    assert capsys.readouterr().err == (
        "cifar-tui: There is no command 'xyzzy'. See `cifar-tui --help`.\n"
    )


def test_help_is_pointed_to_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["runs", "show", "--nonsense"]) == 2
    assert capsys.readouterr().err.endswith("See `cifar-tui runs show --help`.\n")


@pytest.mark.parametrize("before", [["--runs", "R"], ["--runs=R"], ["--json", "--runs", "R"]])
def test_options_may_stand_before_the_command(
    before: list[str], save_run: SaveRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_run(name="mine")
    given = [part.replace("R", str(tmp_path / "runs")) for part in before]
    assert cli.run([*given, "runs", "show", "mine", *(["--json"] * ("--json" not in given))]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "mine"
    assert cli.run(["runs", *given, "list"]) == 0
    assert "mine" in capsys.readouterr().out
