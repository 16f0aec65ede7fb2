"""The user's name, tags, note and pin: changed by several programs at once, and never lost."""

import json
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from cifar_tui.errors import UserError
from cifar_tui.runs.notes import annotate, read_notes
from tests.conftest import Command
from tests.hostile import good_run

ROUNDS = 25
CHANGE_AGAIN_AND_AGAIN = f"""
import json, sys
from pathlib import Path
from cifar_tui.runs.notes import annotate
print(flush=True)
sys.stdin.readline()
for n in range({ROUNDS}):
    annotate(Path(sys.argv[1]), **{{sys.argv[2]: json.loads(sys.argv[3].replace("N", str(n)))}})
"""


def saved(runs: Path) -> Path:
    return runs / good_run(runs)


def test_programs_that_change_one_run_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    run = saved(tmp_path)
    values = {"name": '"name N"', "tags": '["tag N"]', "note": '"note N"', "pinned": "true"}
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", CHANGE_AGAIN_AND_AGAIN, str(run), field, value],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for field, value in values.items()
    ]
    for program in programs:
        assert program.stdout is not None
        program.stdout.readline()
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()
    assert [program.wait(60) for program in programs] == [0, 0, 0, 0]
    notes = read_notes(run)
    last = ROUNDS - 1
    assert (notes.name, notes.tags, notes.note) == (
        f"name {last}",
        (f"tag {last}",),
        f"note {last}",
    )
    assert notes.pinned


def test_notes_of_a_later_version_keep_what_only_it_knows(tmp_path: Path) -> None:
    run = saved(tmp_path)
    (run / "notes.json").write_text('{"note": "kept", "colour": "red"}')
    annotate(run, name="mine")
    found = json.loads((run / "notes.json").read_text())
    assert (found["name"], found["note"], found["colour"]) == ("mine", "kept", "red")


@pytest.mark.parametrize(
    ("content", "what"),
    [('{"note": "half', "is damaged"), ('{"tags": 7, "note": "x"}', "wrong value for tags")],
)
def test_notes_that_cannot_be_read_are_left_and_named(
    tmp_path: Path, content: str, what: str, cifar: Command
) -> None:
    run = saved(tmp_path / "saved_model")
    (run / "notes.json").write_text(content)
    with pytest.raises(UserError, match=what):
        annotate(run, pinned=True)
    done = cifar("runs", "note", "last", "--note", "new")
    assert done.returncode == 2
    assert "notes.json" in done.stderr and what in done.stderr
    assert (run / "notes.json").read_text() == content


def test_a_disk_that_refuses_the_notes_is_one_sentence(
    tmp_path: Path, fresh_cifar: Command
) -> None:
    run = saved(tmp_path / "saved_model")
    annotate(run, name="before")
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (0, 0))
    done = fresh_cifar("runs", "note", "last", "--note", "new", preexec_fn=full)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "notes.json" in done.stderr
    assert read_notes(run).name == "before"
