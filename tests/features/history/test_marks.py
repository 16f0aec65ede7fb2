"""Marking several rows at once in the history, and stopping all that wait."""

from cifar_tui.runs.listing import read_run
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.tui.dialogs import Ask
from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp, SaveRun
from tests.features.history.test_screen import NARROW, names, open_history, rows, summary
from tests.waiting import screen_text, toasts, wait_for


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


async def test_capital_q_stops_all_that_wait_after_asking(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    own, elsewhere = (save_run((), status="queued", name=name) for name in ("own", "elsewhere"))
    elsewhere.write_progress(Progress(worker=this_worker()))
    left = save_run((), status="queued", name="left")
    app = make_app()
    app.worker.add(own)
    app.worker.hold()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        await open_history(pilot, 3)
        await pilot.press("Q")
        await wait_for(pilot, lambda: isinstance(app.screen, Ask))
        assert "Stop the 3 runs that wait?" in screen_text(app)
        await pilot.press("n")
        assert app.worker.queued == [own.id]
        await pilot.press("Q")
        await wait_for(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("y")
        await wait_for(pilot, lambda: "3 runs stopped." in toasts(pilot.app))
        assert app.worker.queued == []
        assert [read_run(run.path).status for run in (own, left)] == ["stopped", "stopped"]
        assert elsewhere.read_order() == "stop"
    assert read_run(own.path).summary.reason == "stopped by the user"


async def test_without_a_waiting_run_capital_q_says_so(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    save_run(name="done")
    app = make_app()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        await open_history(pilot, 1)
        await pilot.press("Q")
        await wait_for(pilot, lambda: "No run waits." in toasts(pilot.app))
