"""Tab in a shell: the printed script in a real bash, and the words that the program adds."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_tui.features.labs.assignment import LABS
from cifar_tui.files import config_path
from tests.apps import SaveRun
from tests.conftest import Command
from tests.hostile import good_run

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(cifar: Command, tmp_path: Path) -> Complete:
    """What bash offers for the last of these words, with the printed script in force."""
    script = tmp_path / "completion.bash"
    script.write_text(cifar("completion", "bash").stdout)
    program = tmp_path / "cifar-tui"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cifar_tui "$@"\n')
    program.chmod(0o755)

    def offered(*words: str) -> list[str]:
        line = " ".join(map(shlex.quote, ["cifar-tui", *words]))
        code = f"source {shlex.quote(str(script))}\nCOMP_WORDS=({line})\nCOMP_CWORD={len(words)}\n"
        code += '_cifar_tui\nprintf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(
            ["bash", "--norc", "-c", code],
            env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout.split("\n")[:-1]

    return offered


def test_commands_flags_and_choices_are_completed(complete: Complete) -> None:
    assert complete("ru") == ["runs"]
    assert complete("runs", "st") == ["stats", "stop"]
    assert complete("runs", "li") == ["list"]
    assert complete("train", "--batch-") == ["--batch-norm", "--batch-size"]
    assert complete("train", "--model", "") == ["simplenn", "resnet"]
    assert complete("inspect", "best", "--split", "t") == ["train", "test"]
    assert "worker" not in complete("")


def test_runs_are_completed_newest_first(complete: Complete, save_run: SaveRun) -> None:
    old, new = save_run(name="first"), save_run(name="second one")
    where = ("--runs", "runs")
    for command in (("runs", "show"), ("export",), ("runs", "compare", "best")):
        assert complete(*command, *where, "") == ["best", "last", new.id, old.id]
        assert complete(*where, *command, "") == ["best", "last", new.id, old.id]
    assert complete("runs", "show", *where, "first") == ["first"]
    assert complete("runs", "show", *where, "sec") == ["second\\ one"]
    assert complete("runs", "compare", "last", *where, "--baseline", "la") == ["last"]
    assert complete("runs", "restore", *where, "") == [""]


def test_labs_fields_metrics_and_images_are_completed(complete: Complete, tmp_path: Path) -> None:
    assert complete("lab", "run", "lab1") == [lab.name for lab in LABS if "lab1" in lab.name]
    assert complete("runs", "list", "--sort", "val_") == ["val_acc", "val_loss", "val_batch_size"]
    assert complete("runs", "list", "--columns", "name,val_a") == ["name\\,val_acc"]
    assert complete("runs", "list", "--columns", "name\\,val_a") == ["name\\,val_acc"]
    assert complete("runs", "compare", "--metric", "ga") == ["gap"]
    assert complete("runs", "list", "--group-by", "val_ac") == [""]
    (tmp_path / "images").mkdir()
    assert complete("train", "--data", "") == ["demo", "images"]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], object]:
    """Write a configuration file of the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    config_path().parent.mkdir(parents=True)
    return config_path().write_bytes


def test_the_runs_of_the_configured_folder_are_completed(
    complete: Complete, save_run: SaveRun, tmp_path: Path, configure: Callable[[bytes], object]
) -> None:
    run = save_run(name="mine")
    good_run(tmp_path / "saved_model")
    configure(f'runs = "{run.path.parent}"\n'.encode())
    assert complete("runs", "show", "") == ["best", "last", run.id]
    assert complete("runs", "compare", "last", "--baseline", "mi") == ["mine"]
    assert complete("runs", "show", "--runs", "elsewhere", "") == ["best", "last"]


@pytest.mark.parametrize("content", [b'runs = "runs', b"runs = \xff", b'theme = "nord"'])
def test_without_a_configured_folder_the_usual_one_is_used(
    cifar: Command, tmp_path: Path, configure: Callable[[bytes], object], content: bytes
) -> None:
    run_id = good_run(tmp_path / "saved_model")
    configure(content)
    done = cifar("__complete", "runs", "show", "")
    assert (done.returncode, done.stderr) == (0, "")
    assert run_id in done.stdout
    by_flag = cifar("__complete", "runs", "compare", "last", "--baseline", "")
    assert (by_flag.returncode, by_flag.stderr) == (0, "")
    assert run_id in by_flag.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_for_each_shell(shell: str, cifar: Command) -> None:
    script = cifar("completion", shell).stdout
    assert "__complete" in script
    assert "keep-best" in script


def test_completion_imports_no_torch_and_survives_nonsense(cifar: Command) -> None:
    for words in (("runs", "show", "--nonsense", "x", "--runs", "/dev/null", ""), ("x", "--y", "")):
        done = cifar("__complete", *words)
        assert (done.returncode, done.stderr) == (0, "")
    code = (
        "import runpy, sys\nsys.argv[1:] = ['__complete', 'runs', 'show', '']\ntry:\n"
        "    runpy.run_module('cifar_tui', run_name='__main__')\n"
        "except SystemExit:\n    pass\nprint('torch' in sys.modules, 'textual' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split("\n")[-2] == "False False"
