"""What a wide window shows beside the curves: settings, device, and when the queue is done."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from cifar_tui.features.live.beside import settings_lines
from cifar_tui.features.queue.plan import plan_of, queue_lines, time_of_day
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_progress, read_run
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.spec.settings import RunSpec
from tests.apps import MakeApp, SaveRun, run_in_training
from tests.waiting import screen_text, wait_for


def waits(runs: Path, name: str, **settings: object) -> Run:
    folder = RunFolder.create(runs, RunSpec(name=name, epochs=10, **settings))
    folder.write_progress(Progress(worker=this_worker()))
    return read_run(folder.path)


@pytest.fixture
def known(save_run: SaveRun) -> Run:
    """A run of ten epochs that took 100 seconds."""
    folder = save_run((0.5,) * 10, name="known")
    summary = read_run(folder.path).summary.model_copy(update={"seconds": 100.0})
    folder.write_summary(summary)
    return read_run(folder.path)


def training(runs: Path, seconds_left: float | None) -> Run:
    folder = run_in_training(runs)
    progress = read_progress(folder.path)
    assert progress is not None
    left = progress.model_copy(update={"seconds_left": seconds_left})
    return replace(read_run(folder.path), progress=left)


def test_the_queue_goes_on_at_the_pace_of_runs_alike(tmp_path: Path, known: Run) -> None:
    queued = [waits(tmp_path, name) for name in "abc"]
    one = plan_of([training(tmp_path, 30.0)], queued, [known])
    assert (one.begins, one.done) == ((30.0, 130.0, 230.0), 330.0)
    two = plan_of([training(tmp_path, 30.0)], queued, [known], slots=2)
    assert (two.begins, two.done) == ((0.0, 30.0, 100.0), 200.0)


def test_what_is_not_known_is_not_guessed(tmp_path: Path, known: Run) -> None:
    queued = [waits(tmp_path, "slow", model="resnet"), waits(tmp_path, "b")]
    plan = plan_of([training(tmp_path, 30.0)], queued, [known])
    assert (plan.begins, plan.done) == ((30.0, None), None)
    assert plan_of([training(tmp_path, None)], queued, [known]).begins == (None, None)
    assert plan_of([], [], []).done is None


def test_a_long_queue_is_cut_and_counted(tmp_path: Path, known: Run) -> None:
    plan = plan_of([training(tmp_path, 60.0)], [waits(tmp_path, n) for n in "abcde"], [known])
    lines = queue_lines(plan, datetime(2026, 1, 1, 12), width=20, height=3)
    assert lines == ["  1 a          12:01", "  2 b          12:02", "... and 3 more"]


def test_a_time_of_another_day_has_its_day() -> None:
    assert time_of_day(3600, datetime(2026, 11, 27, 23, 30)) == "Sat 00:30"


def test_only_settings_that_differ_are_named(tmp_path: Path) -> None:
    run = waits(tmp_path, "one", model="resnet", depth=20, lr=0.3, batch_norm=True)
    assert settings_lines(run)[0] == "model   resnet20"
    assert "lr      0.3" in settings_lines(run)
    assert not any(line.startswith("momentum") for line in settings_lines(run))


@pytest.mark.parametrize("size", [(140, 40), (200, 60)])
async def test_a_wide_window_has_settings_device_and_queue_beside_the_curves(
    make_app: MakeApp, save_run: SaveRun, known: Run, tmp_path: Path, size: tuple[int, int]
) -> None:
    run_in_training(tmp_path / "runs")
    waits(tmp_path / "runs", "later", lr=0.3)
    app = make_app(mode="live")
    async with app.run_test(size=size) as pilot:
        for words in ("epochs  10", "busy ", "memory ", "Queue: 1 waiting", "1 later"):
            await wait_for(pilot, lambda words=words: words in screen_text(app))
        assert all(len(line) <= size[0] for line in screen_text(app).splitlines())


async def test_a_narrow_window_has_the_curves_alone(make_app: MakeApp, tmp_path: Path) -> None:
    run_in_training(tmp_path / "runs")
    waits(tmp_path / "runs", "later")
    app = make_app(mode="live")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for(pilot, lambda: "next: later" in screen_text(app))
        assert "Queue" not in screen_text(app)
        assert app.screen.query_one("#plots").size.width == 80
