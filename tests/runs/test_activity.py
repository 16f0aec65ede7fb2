"""What trains and waits in a folder of runs, and what has ended between two looks."""

from pathlib import Path

from cifar_tui.runs.activity import ActivityWatch
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs, read_run
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.spec.settings import RunSpec
from tests.apps import SaveRun, run_in_training


def test_what_trains_waits_and_has_ended_is_told_apart(save_run: SaveRun, tmp_path: Path) -> None:
    save_run(name="over")
    trains = run_in_training(tmp_path / "runs")
    waits, left = (RunFolder.create(tmp_path / "runs", RunSpec()) for _ in range(2))
    waits.write_progress(Progress(worker=this_worker()))
    left.write_progress(Progress(worker=this_worker().model_copy(update={"started": 1.0})))
    watch = ActivityWatch(Runs(tmp_path / "runs"))
    assert watch.due
    assert watch.look() == []
    assert [run.id for run in watch.now.training] == [trains.id]
    assert [run.id for run in watch.now.waiting] == [waits.id]
    assert not watch.due
    summary = read_run(trains.path).summary
    trains.write_summary(summary.model_copy(update={"status": "diverged"}))
    watch.soon()
    assert watch.due
    assert [(run.id, run.status) for run in watch.look()] == [(trains.id, "diverged")]
    assert watch.look() == []
    assert watch.now.ids == {waits.id}
