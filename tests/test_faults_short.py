"""A short version of `make faults`: each fault a few times, and a table that cannot lie."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.__main__ import report
from tests.faults.damage import Target, damage
from tests.faults.rig import Result

HALVES = (
    ("--kills", "6", "--terminals", "0", "--disks", "1", "--damaged", "0", "--sequences", "10"),
    ("--kills", "0", "--terminals", "1", "--disks", "0", "--damaged", "20", "--sequences", "0"),
)
"""Two processes, one for each core."""

LYING = """
import json, sys
from pathlib import Path
from tests.faults import sequences
from tests.faults.references import References
from tests.faults.world import load_program

def train_two_epochs(stage):
    return f"{stage.command('train', '--data', 'demo', '--epochs', '2').code}"

def lie(stage):
    for run in stage.ids():
        path = stage.world.runs / run / "summary.json"
        summary = json.loads(path.read_bytes())
        summary["best"]["val_loss"] -= 0.1
        path.write_text(json.dumps(summary))
    return "a lie"

sequences.ACTIONS |= {train_two_epochs: 0, lie: 0}
load_program()
sequences.ATTEMPTS = 1
folder = Path(sys.argv[1])
names = ("wait_a_little", "train_two_epochs", "lie")
steps = [sequences.Step(name, str(number)) for number, name in enumerate(names)]
steps, told, problems = sequences.shrink(folder, References(folder / "references"), steps)
print(*problems, " ".join(step.action for step in steps), sep="\\n")
"""
"""A sequence in which a figure is changed behind the back of what is remembered."""


@pytest.fixture(scope="module")
def short() -> Iterator[list[tuple[int, str]]]:
    """Exit codes and output of both halves."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.faults", "--epochs", "12", *half],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for half in HALVES
    ]
    try:
        outputs = [process.communicate(timeout=600)[0] for process in processes]
        yield [(p.returncode, text) for p, text in zip(processes, outputs, strict=True)]
    finally:
        for process in processes:
            process.terminate()
            process.wait()


@pytest.mark.slow
def test_kills_and_full_disks_lose_nothing(short: list[tuple[int, str]]) -> None:
    code, text = short[0]
    assert code == 0, text
    assert "kill -9 at a random instant              |     6 |    0 |     0" in text
    assert "file-size limit" in text


@pytest.mark.slow
def test_invented_sequences_break_nothing(short: list[tuple[int, str]]) -> None:
    _, text = short[0]
    assert "invented sequences                       |    10 |    0 |     0" in text, text
    assert "steps: " in text


@pytest.mark.slow
def test_a_sequence_that_breaks_something_is_told_and_made_shorter(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LYING, str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "best is not what epoch" in done.stdout
    assert done.stdout.splitlines()[-1] == "train_two_epochs lie"


@pytest.mark.slow
def test_closed_terminals_and_damaged_files_lose_nothing(short: list[tuple[int, str]]) -> None:
    code, text = short[1]
    assert code == 0, text
    assert text.count("terminal closed mid-run") == 2
    assert text.count("damaged ") == 12
    assert "damaged best.pt                          |    20 |    0 |     0" in text


def test_what_was_lost_or_wrong_is_shown_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    result = Result("a fault", 3)
    result.mistake("0.1 is not 0.2")
    assert report(iter([Result("another", 3), result])) == 1
    shown = capsys.readouterr().out
    assert "a fault                                  |     3 |    0 |     1" in shown
    assert "a fault: wrong: 0.1 is not 0.2" in shown
    assert report(iter([Result("another", 3)])) == 0


def test_a_reader_that_raises_or_dies_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"something to damage")

    def read() -> None:
        if len(path.read_bytes()) < 5:
            raise SystemExit
        raise KeyError("odd")

    result = damage(Target("file", path, read), 60, seed=0)
    assert result.wrong == 60
    assert any("KeyError" in remark for remark in result.remarks)
    assert any("hung or died" in remark for remark in result.remarks)
    assert path.read_bytes() == b"something to damage"
