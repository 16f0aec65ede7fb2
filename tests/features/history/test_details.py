"""What stands beside the list in a wide window: the run or group under the cursor."""

from collections.abc import Callable

import pytest
from textual.widgets import Static

from cifar_tui.features.history.details import RunDetails
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.notes import annotate
from tests.apps import MakeApp, SaveRun
from tests.features.history.test_screen import NARROW, open_history
from tests.waiting import screen_text, wait_for

WIDE = (140, 40)
Told = Callable[[str], str]


@pytest.fixture
def two(save_run: SaveRun) -> list[RunFolder]:
    """A run that failed, and a better one with notes."""
    failed = save_run((0.3,), name="bad", status="failed", lr=1.0)
    summary = read_run(failed.path).summary
    failed.write_summary(summary.model_copy(update={"reason": "the disk was full"}))
    good = save_run((0.5, 0.7), name="good", lr=0.1, batch_norm=True, tags=("night",))
    annotate(good.path, note="worth a second look")
    return [failed, good]


async def test_the_row_under_the_cursor_is_shown_beside_the_list(
    make_app: MakeApp, two: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=WIDE) as pilot:
        await open_history(pilot, 2)
        await wait_for(pilot, lambda: "worth a second look" in screen_text(app))
        text = screen_text(app)
        for words in ("✓ finished", "best val_acc 0.7000 @ 2", "lr ", "batch_norm", "night"):
            assert words in text
        assert "accuracy  o train  x val" in text and "loss  o train  x val" in text
        await pilot.press("down")
        await wait_for(pilot, lambda: "failed: the disk was full" in screen_text(app))
        assert "worth a second look" not in screen_text(app)
        status = app.screen.query_one(RunDetails).query_one("#status", Static)
        assert status.has_class("error")


async def test_there_is_no_room_for_it_in_a_narrow_window(
    make_app: MakeApp, two: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        await open_history(pilot, 2)
        assert not app.screen.query_one(RunDetails).display
        await pilot.resize_terminal(*WIDE)
        await wait_for(pilot, lambda: "worth a second look" in screen_text(app))
        await pilot.resize_terminal(*NARROW)
        await wait_for(pilot, lambda: "worth a second look" not in screen_text(app))


async def test_a_group_shows_the_mean_of_its_curves_and_its_runs(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    for seed, best in ((0, 0.6), (1, 0.7)):
        save_run((0.5, best), lr=0.1, seed=seed)
    save_run((0.4, 0.5), lr=0.2)
    app = make_app()
    async with app.run_test(size=WIDE) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("u", "enter")
        await wait_for(pilot, lambda: table.row_count == 2)
        await wait_for(pilot, lambda: "2 runs, mean curves" in screen_text(app))
        text = screen_text(app)
        assert "mean 0.6500 std 0.0707" in text
        assert "0.7000  seed 1  ✓ finished" in text


async def test_a_run_that_goes_on_is_followed(make_app: MakeApp, two: list[RunFolder]) -> None:
    app = make_app()
    async with app.run_test(size=WIDE) as pilot:
        await open_history(pilot, 2)
        await wait_for(pilot, lambda: "worth a second look" in screen_text(app))
        annotate(two[1].path, note="looked at twice")
        await pilot.press("f6", "f4")
        await wait_for(pilot, lambda: "looked at twice" in screen_text(app))
