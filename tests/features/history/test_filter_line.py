"""Filters in the history hide nothing by surprise, and Esc takes back one step at a time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cifar_tui.query.view import Memory, View, recall, remember
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.ids import new_stamp
from tests.apps import MakeApp, SaveRun
from tests.features.history.test_screen import NARROW, look_again, names, open_history, summary
from tests.waiting import wait_for


def old(folder: RunFolder) -> RunFolder:
    """The run as if it had been created yesterday."""
    then = datetime.now(UTC) - timedelta(days=1)
    path = folder.path.with_name(f"{then:%Y%m%d-%H%M%S-%f}Z{folder.id[23:]}")
    return RunFolder(folder.path.rename(path))


@pytest.fixture
def three(save_run: SaveRun) -> list[RunFolder]:
    return [old(save_run((0.1 * i,), name=name)) for i, name in enumerate("abc", 5)]


async def test_escape_takes_the_filter_away_and_before_that_what_was_typed(
    make_app: MakeApp, three: list[RunFolder], tmp_path: Path
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("slash", *"name=a", "enter")
        assert names(table) == ["a"]
        await pilot.press("slash", *"bcd", "escape")
        assert names(table) == ["a"] and table.has_focus
        await pilot.press("escape")
        assert names(table) == ["c", "b", "a"]
        await wait_for(pilot, lambda: recall(tmp_path / "runs").view.filter == "")


async def test_an_empty_list_says_which_filter_empties_it_and_which_key_clears_it(
    make_app: MakeApp, three: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        await open_history(pilot, 3)
        await pilot.press("slash", *"status=queued", "enter")
        assert summary(pilot) == (
            "None of 3 runs matches the filter 'status=queued'; Esc clears it."
        )


async def test_a_remembered_filter_does_not_hide_runs_launched_later(
    make_app: MakeApp, three: list[RunFolder], save_run: SaveRun, tmp_path: Path
) -> None:
    view = View(filter="name=a", since=new_stamp())
    remember(tmp_path / "runs", Memory(view=view))
    save_run(name="new")
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 2)
        assert names(table) == ["new", "a"]
        assert summary(pilot).startswith("1 of 4 runs, 1 launched since, filter 'name=a'")
        save_run(name="newer")
        await look_again(pilot)
        await wait_for(pilot, lambda: names(table) == ["newer", "new", "a"])
        await pilot.press("slash", "enter")
        assert names(table) == ["a"]


async def test_escape_leaves_the_trash(make_app: MakeApp, three: list[RunFolder]) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("t")
        await wait_for(pilot, lambda: table.row_count == 0)
        await pilot.press("escape")
        await wait_for(pilot, lambda: table.row_count == 3)


@pytest.mark.parametrize("share", ["val_acc>55", "val_acc>55%", "val_acc>0.55"])
async def test_a_share_may_be_a_percentage(
    make_app: MakeApp, three: list[RunFolder], share: str
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("slash")
        app.focused.insert_text_at_cursor(share)
        await pilot.pause()
        assert names(table) == ["c", "b"]
