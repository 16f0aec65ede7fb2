"""Marking several rows at once in the history."""

from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp, SaveRun
from tests.features.history.test_screen import NARROW, names, open_history, rows, summary
from tests.waiting import toasts


def marked(table: RowTable) -> list[str]:
    return [row["name"] for row in rows(table) if row["mark"]]


async def test_all_shown_are_marked_and_a_range_up_to_the_cursor(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    for name in "abcde":
        save_run(name=name)
    app = make_app()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        table = await open_history(pilot, 5)
        await pilot.press("V")
        assert "Mark the first run of a range with Space" in toasts(pilot.app)
        await pilot.press("j", "space", "j", "j", "V")
        assert marked(table) == ["d", "c", "b"]
        await pilot.press("asterisk")
        assert marked(table) == ["e", "d", "c", "b", "a"]
        await pilot.press("asterisk")
        assert marked(table) == []
        await pilot.press("slash", *"name=a", "enter", "asterisk", "escape")
        assert marked(table) == ["a"]
        assert "1 marked" in summary(pilot)


async def test_j_k_g_and_capital_g_move_as_the_arrows_do(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    for name in "abcde":
        save_run(name=name)
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 5)
        await pilot.press("j", "j", "k")
        assert names(table)[table.cursor_row] == "d"
        await pilot.press("G")
        assert names(table)[table.cursor_row] == "a"
        await pilot.press("g")
        assert names(table)[table.cursor_row] == "e"
