"""The queue on the screen: listed with times, reordered, held, emptied; a queued run's page."""

from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Static

from cifar_tui.app import CifarApp
from cifar_tui.config import Config
from cifar_tui.features.live.page import RunPage
from cifar_tui.features.queue.screen import QueueScreen
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_progress, read_run
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.spec.settings import RunSpec
from cifar_tui.tui.dialogs import Ask
from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp, SaveRun, run_in_training
from tests.waiting import screen_text, toasts, wait_for

SMALL = (80, 24)


def queued(app: CifarApp, **settings: object) -> RunFolder:
    """A run in this program's queue, which is on hold."""
    app.worker.hold()
    folder = RunFolder.create(app.runs.folder, RunSpec(**settings))
    app.worker.add(folder)
    app.worker.hold()
    return folder


def cells(app: CifarApp, column: int) -> list[str]:
    table = app.screen.query_one(RowTable)
    return [table.get_row_at(i)[column].strip() for i in range(table.row_count)]


async def open_queue(pilot: Pilot[None], rows: int) -> None:
    """Open the queue from History, and wait for its rows."""
    app = pilot.app
    await pilot.press("f4")
    await wait_for(pilot, lambda: app.activity.now.known)
    await pilot.press("Q")
    await wait_for(pilot, lambda: isinstance(app.screen, QueueScreen))
    await wait_for(pilot, lambda: app.screen.query_one(RowTable).row_count == rows)


async def test_what_waits_is_listed_in_order_and_reordered(make_app: MakeApp) -> None:
    app = make_app()
    for name in "abc":
        queued(app, name=name, lr=0.3)
    async with app.run_test(size=SMALL) as pilot:
        await open_queue(pilot, 3)
        assert cells(app, 0) == ["1", "2", "3"]
        assert cells(app, 1) == [f"{name}  lr 0.3" for name in "abc"]
        assert "3 runs wait; the queue is on hold, p lets it go on" in screen_text(app)
        await pilot.press("j", "greater_than_sign")
        await wait_for(pilot, lambda: [text[0] for text in cells(app, 1)] == ["a", "c", "b"])
        assert app.screen.query_one(RowTable).cursor_row == 2, "the cursor goes along"
        await pilot.press("less_than_sign", "less_than_sign")
        await wait_for(pilot, lambda: [text[0] for text in cells(app, 1)] == ["b", "a", "c"])
        await pilot.press("escape")
        await wait_for(pilot, lambda: not isinstance(app.screen, QueueScreen))


async def test_a_program_that_only_looks_leaves_the_queue_as_it_is(make_app: MakeApp) -> None:
    app = make_app(config=Config(read_only=True))
    for name in "abc":
        queued(app, name=name)
    async with app.run_test(size=SMALL) as pilot:
        await open_queue(pilot, 3)
        before = app.worker.queued
        for key in ("greater_than_sign", "s", "X", "p", "r"):
            app.clear_notifications()
            await pilot.press(key)
            await wait_for(pilot, lambda: "only looks" in toasts(app))
        assert isinstance(app.screen, QueueScreen), "nobody is asked"
        assert app.worker.queued == before and app.worker.held


async def test_each_run_says_when_it_begins_and_how_long_it_takes(
    make_app: MakeApp, save_run: SaveRun, tmp_path: Path
) -> None:
    known = save_run((0.5,) * 10, name="known")
    summary = read_run(known.path).summary.model_copy(update={"seconds": 100.0})
    known.write_summary(summary)
    training = run_in_training(tmp_path / "runs")
    progress = read_progress(training.path)
    assert progress is not None
    training.write_progress(progress.model_copy(update={"seconds_left": 3600.0}))
    other = RunFolder.create(tmp_path / "runs", RunSpec(name="other", epochs=20))
    other.write_progress(Progress(worker=this_worker()))
    app = make_app()
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await open_queue(pilot, 1)
        assert cells(app, 4) == ["0:03:20"]
        assert ":" in cells(app, 3)[0], "a time of day"
        assert "1 run waits, all done about" in screen_text(app)
        assert "in another program" in screen_text(app)
        await pilot.press("less_than_sign")
        told = "other waits in another program; only this one's queue can be reordered."
        await wait_for(pilot, lambda: told in toasts(app))


async def test_the_queue_is_emptied_at_one_key_after_asking(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    elsewhere = save_run((), status="queued", name="elsewhere")
    elsewhere.write_progress(Progress(worker=this_worker()))
    left = save_run((), status="queued", name="left")
    app = make_app()
    own = queued(app, name="own")
    async with app.run_test(size=SMALL) as pilot:
        await open_queue(pilot, 3)
        assert cells(app, 0) == ["1", "2", ""]
        assert "its program has ended" in screen_text(app)
        await pilot.press("X")
        await wait_for(pilot, lambda: isinstance(app.screen, Ask))
        assert "Stop the 3 runs that wait? What trains goes on." in screen_text(app)
        await pilot.press("n")
        assert app.worker.queued == [own.id]
        await pilot.press("X", "y")
        await wait_for(pilot, lambda: read_run(left.path).status == "stopped")
        await wait_for(pilot, lambda: read_run(own.path).status == "stopped")
        assert app.worker.queued == []
        assert elsewhere.read_order() == "stop"
        assert read_run(own.path).summary.reason == "stopped by the user"


async def test_one_run_is_taken_out_and_the_queue_goes_on(make_app: MakeApp) -> None:
    app = make_app()
    first, _ = queued(app, name="first", data="nowhere"), queued(app, name="second", data="nowhere")
    async with app.run_test(size=SMALL) as pilot:
        await open_queue(pilot, 2)
        await pilot.press("s")
        await wait_for(pilot, lambda: "Take first out of the queue?" in screen_text(app))
        await pilot.press("y")
        await wait_for(pilot, lambda: read_run(first.path).status == "stopped")
        await wait_for(pilot, lambda: app.screen.query_one(RowTable).row_count == 1)
        await pilot.press("p")
        await wait_for(pilot, lambda: not app.worker.queued)


async def test_an_empty_queue_says_so(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f3", "Q")
        await wait_for(pilot, lambda: "No run waits." in screen_text(app))


async def test_the_page_of_a_queued_run_says_what_it_waits_for(make_app: MakeApp) -> None:
    app = make_app()
    queued(app, name="first")
    queued(app, name="second", lr=0.3, epochs=20)
    async with app.run_test(size=SMALL) as pilot:
        await open_queue(pilot, 2)
        await pilot.press("j", "enter")
        await wait_for(pilot, lambda: isinstance(app.screen, RunPage))
        told = app.screen.query_one("#told", Static)
        place = "Number 2 of 2 in the queue. The queue is on hold: p goes on."
        await wait_for(pilot, lambda: place in str(told.render()))
        assert "20 epochs of simplenn lr 0.3" in str(told.render())
