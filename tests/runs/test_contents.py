"""What lies in a run's folder, and what programs are told of it."""

from pathlib import Path

import pytest

from cifar_tui.console import printing
from cifar_tui.runs.disk import contents, size_text, total
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.spec.settings import RunSpec
from tests.told import tell


def test_files_come_largest_first_and_links_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"x" * 5000)
    (tmp_path / "notes").write_bytes(b"x" * 9000)
    (tmp_path / "elsewhere").symlink_to("/etc/passwd")
    (tmp_path / "folder").mkdir()
    files = contents(tmp_path)
    assert [(file.name, file.size) for file in files] == [("notes", 9000), ("best.pt", 5000)]
    assert [file.purpose for file in files] == ["", "weights of the best epoch"]
    assert total(files) == 14_000
    assert contents(tmp_path / "gone") == []


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (663_143, "663 kB"), (2_200_000, "2.2 MB")],
)
def test_sizes_have_few_digits(size: int, shown: str) -> None:
    assert size_text(size) == shown


def test_programs_are_told_of_files_and_events(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, RunSpec(name="mine"))
    tell(folder, {"event": "start", "epochs": 30})
    tell(folder, {"event": "epoch", "epoch": 1, "val_acc": 0.5})
    tell(folder, {"event": "end", "status": "stopped"})
    told = printing.run_details(read_run(folder.path))
    assert [event["event"] for event in told["events"]] == ["start", "end"]
    sizes = {file["name"]: file["bytes"] for file in told["files"]}
    assert sizes["spec.toml"] == (folder.path / "spec.toml").stat().st_size
