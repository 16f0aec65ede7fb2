"""Files that are whole or absent, whoever is killed and whoever writes at the same time."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cifar_tui.errors import UserError
from cifar_tui.features.predict.core import write_predictions
from cifar_tui.files import replacing, sweep, write_atomic
from cifar_tui.runs.folder import RunFolder, hidden_folder
from cifar_tui.spec.settings import RunSpec

WRITE_AND_WAIT = """
import sys
from pathlib import Path
from cifar_tui.files import replacing
from cifar_tui.runs.folder import hidden_folder
with replacing(Path(sys.argv[1])) as file, hidden_folder(Path(sys.argv[2])) as hidden:
    file.write(b"half")
    (hidden / "half").write_text("half")
    print(flush=True)
    sys.stdin.readline()
"""


def names(folder: Path) -> list[str]:
    return sorted(re.sub("[0-9a-f]{12}", "HEX", path.name) for path in folder.iterdir())


def test_what_a_killed_program_left_is_swept_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    path, runs = tmp_path / "x.zip", tmp_path / "runs"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, str(path), str(runs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    other = tmp_path / ".x.zip.not-one-of-ours"
    other.write_text("mine")
    for _ in range(2):
        sweep(path)
        with hidden_folder(runs):
            pass
        assert names(tmp_path) == [".x.zip.HEX", other.name, "runs"]
        assert names(runs) == [".new-HEX"]
    writer.kill()
    writer.wait()
    sweep(path)
    assert names(tmp_path) == [other.name, "runs"]
    run = RunFolder.create(runs, RunSpec(name="next"))
    assert [entry.name for entry in runs.iterdir()] == [run.id]


def test_a_file_that_came_meanwhile_is_not_replaced_unless_that_was_wanted(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(FileExistsError), replacing(path, overwrite=False) as file:
        file.write(b"mine")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    with pytest.raises(UserError, match=r"x\.csv exists; use --overwrite"):
        write_predictions(path, [1], overwrite=False)
    with replacing(tmp_path / "y.csv", overwrite=False) as file:
        file.write(b"mine")
    write_atomic(path, b"mine")
    assert [p.read_bytes() for p in sorted(tmp_path.iterdir())] == [b"mine", b"mine"]
