"""Outputs that cannot be written, descriptors that are closed, memory that is short: a sentence."""

import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from cifar_tui.errors import refusal
from cifar_tui.runs.listing import Runs
from tests.conftest import Command
from tests.hostile import good_run

PROGRAM = [sys.executable, "-m", "cifar_tui"]
SHORT = ("--subset", "100", "--epochs", "1")


def in_shell(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run cifar-tui as `"$@"` of a shell's script."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *PROGRAM, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("arguments", [("--help",), ("runs", "list"), ("runs", "list", "--json")])
def test_an_output_on_a_full_disk_is_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    good_run(tmp_path / "saved_model")
    done = in_shell(tmp_path, '"$@" >/dev/full', *arguments)
    assert done.returncode == 2
    assert done.stderr == "cifar-tui: Cannot write the output: No space left on device.\n"


@pytest.mark.slow
def test_a_run_trains_to_its_end_where_its_output_is_full(
    tmp_path: Path, tiny_course: Path
) -> None:
    done = in_shell(tmp_path, '"$@" >/dev/full', "train", "--data", str(tiny_course), *SHORT)
    assert done.returncode == 2
    assert "Cannot write the output: No space left" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [run.status for run in Runs(tmp_path / "saved_model").all()] == ["finished"]


def test_closed_descriptors_lead_nowhere_and_take_no_files_place(
    tmp_path: Path, tiny_course: Path
) -> None:
    flags = ("--data", str(tiny_course), *SHORT)
    done = in_shell(tmp_path, 'exec "$@" <&- >&- 2>&-', "train", *flags)
    assert done.returncode == 0
    (run,) = Runs(tmp_path / "saved_model").all()
    assert run.status == "finished" and not run.problem
    listed = in_shell(tmp_path, '"$@" >&-', "runs", "list")
    assert (listed.returncode, listed.stderr) == (0, "")


def test_what_the_outputs_encoding_lacks_is_a_question_mark(tmp_path: Path) -> None:
    good_run(tmp_path / "saved_model")
    script = 'export PYTHONIOENCODING=ascii; "$@" runs note last --name grün && "$@" runs list'
    done = in_shell(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert "gr?n" in done.stdout


def test_too_little_memory_for_torch_is_one_sentence(tmp_path: Path, fresh_cifar: Command) -> None:
    little = partial(resource.setrlimit, resource.RLIMIT_AS, (2**30, 2**30))
    done = fresh_cifar(
        "train", *SHORT, preexec_fn=little, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 2
    assert "memory" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_what_the_system_refuses_is_told_apart_from_a_mistake() -> None:
    assert "threads" in str(refusal(RuntimeError("can't start new thread")))
    assert "memory" in str(refusal(MemoryError()))
    assert "x.json: Permission" in str(refusal(PermissionError(13, "Permission denied", "x.json")))
    assert refusal(RuntimeError("something else")) is None
