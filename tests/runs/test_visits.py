"""What has ended in a folder since a person was last there."""

import os
from pathlib import Path

from cifar_tui.runs.listing import Runs
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.runs.visits import ended_since_visit, mark_visit
from tests.apps import SaveRun, run_in_training


def since(folder: Path) -> list[str]:
    return [run.name for run in ended_since_visit(Runs(folder).all(), folder)]


def test_only_runs_that_ended_after_the_last_visit_are_told(
    save_run: SaveRun, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    for path in save_run(name="before").path.iterdir():
        os.utime(path, (1e9, 1e9))
    assert since(runs) == [], "nobody was here yet"
    mark_visit(runs)
    run_in_training(runs)
    save_run(name="after", status="diverged")
    crashed = run_in_training(runs, name="crashed")
    crashed.write_progress(Progress(worker=this_worker().model_copy(update={"started": 1.0})))
    assert since(runs) == ["after", "crashed"]
    mark_visit(runs)
    for path in runs.glob("*/*"):
        os.utime(path, (1e9, 1e9))
    assert since(runs) == []


def test_a_folder_that_is_not_there_is_no_reason_to_fail(tmp_path: Path) -> None:
    mark_visit(tmp_path / "none")
    assert since(tmp_path / "none") == []
