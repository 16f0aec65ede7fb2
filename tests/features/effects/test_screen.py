"""What mattered, on the screen: the answer, the settings, and the runs as lines."""

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from cifar_tui.features.effects.lines import ParallelPlot
from cifar_tui.features.effects.screen import MatteredScreen
from cifar_tui.features.history.screen import HistoryScreen
from cifar_tui.features.live.page import RunPage
from cifar_tui.runs.listing import read_run
from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp, SaveRun
from tests.waiting import screen_text, wait_for


@pytest.fixture
def eight(save_run: SaveRun) -> None:
    """Eight runs: lr matters, batch norm a little."""
    for i, (lr, bn) in enumerate([(lr, bn) for lr in (0.01, 0.1) for bn in (False, True)] * 2):
        acc = 0.5 + lr + 0.01 * bn + 0.001 * (i // 4)
        save_run((acc,), lr=lr, batch_norm=bn, seed=i, name=f"run{i}")


async def open_screen(pilot: Pilot[None], runs: int, *keys: str) -> MatteredScreen:
    """The screen for the runs of History, after these keys there."""
    await pilot.press("f4")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, HistoryScreen))
    await wait_for(pilot, lambda: pilot.app.screen.query_one(RowTable).row_count == runs)
    await pilot.press(*keys, "W")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, MatteredScreen))
    screen = pilot.app.screen
    assert isinstance(screen, MatteredScreen)
    await wait_for(pilot, lambda: "Reading" not in text(pilot, "answer"))
    return screen


def text(pilot: Pilot[None], name: str) -> str:
    return str(pilot.app.screen.query_one(f"#{name}", Static).content)


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_the_answer_comes_first_and_the_cursor_shows_values(
    make_app: MakeApp, eight: None, size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        screen = await open_screen(pilot, 8)
        assert text(pilot, "answer").startswith(" lr matters most: 0.0900 ± ")
        assert text(pilot, "about") == " 8 runs on course images"
        table = screen.query_one(RowTable)
        assert table.keys == ["lr", "batch_norm"]
        await wait_for(pilot, lambda: "0.01 " in text(pilot, "values"))
        assert "|" in text(pilot, "values").splitlines()[1]
        await pilot.press("down")
        await wait_for(pilot, lambda: text(pilot, "why").startswith(" batch_norm: p "))
        assert [line.split()[:2] for line in text(pilot, "values").splitlines()[1:]] == [
            ["no", "4"],
            ["yes", "4"],
        ]
        assert all(len(line) <= size[0] for line in screen_text(app).splitlines())
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))


async def test_only_the_marked_runs_are_asked_about(make_app: MakeApp, eight: None) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_screen(pilot, 8, "space", "down", "space", "down", "space")
        assert text(pilot, "answer").startswith(" Too few runs to say what mattered: 3,")


async def test_another_figure(make_app: MakeApp, eight: None) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_screen(pilot, 8)
        await pilot.press("m")
        await wait_for(pilot, lambda: "last_val_acc" in text(pilot, "answer"))


async def test_runs_as_lines(make_app: MakeApp, eight: None) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_screen(pilot, 8, "down")
        await pilot.press("space")
        assert screen.query_one(RowTable).has_focus, "Space means nothing over the table"
        await pilot.press("p")
        lines = screen.query_one(ParallelPlot)
        await wait_for(pilot, lambda: "●" in str(lines.content))
        assert text(pilot, "about") == " 1 of 8   run7"
        assert "0.6110" in str(lines.content)
        names = str(lines.content).splitlines()[-2:]
        assert [line.split() for line in names] == [["lr", "val_acc"], ["batch_norm"]]
        await pilot.press("down")
        await wait_for(pilot, lambda: text(pilot, "about") == " 2 of 8   run3")
        await pilot.press("right", "space")
        await wait_for(
            pilot, lambda: text(pilot, "about") == " 2 of 4   only batch_norm yes   run3"
        )
        await pilot.press("end")
        await wait_for(pilot, lambda: text(pilot, "about").endswith("run1"))
        await pilot.press("u")
        await wait_for(pilot, lambda: text(pilot, "about") == " 6 of 8   run1")
        assert all(len(line) <= 80 for line in screen_text(app).splitlines())
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, RunPage))
        assert app.screen.run_id.endswith("run1")


async def test_the_chosen_axis_may_be_lost_in_a_window_too_small_for_lines(
    make_app: MakeApp, eight: None
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_screen(pilot, 8)
        await pilot.press("p", "right", "right")
        lines = screen.query_one(ParallelPlot)
        assert lines.axis == "val_acc"
        await pilot.resize_terminal(18, 24)
        await wait_for(pilot, lambda: not str(lines.content))
        await pilot.press("space", "u")
        await pilot.resize_terminal(80, 24)
        await wait_for(pilot, lambda: "●" in str(lines.content))
        assert lines.axis == "batch_norm"


async def test_demo_runs_have_a_page_of_their_own(
    make_app: MakeApp, save_run: SaveRun, eight: None
) -> None:
    folder = save_run((0.9,), lr=0.5)
    summary = read_run(folder.path).summary
    folder.write_summary(summary.model_copy(update={"source": "demo"}))
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_screen(pilot, 9)
        assert text(pilot, "about") == " 8 runs on course images"
        await pilot.press("i")
        await wait_for(pilot, lambda: "1 run on demo images (synthetic)" in text(pilot, "about"))
        assert "Too few runs to say" in text(pilot, "answer")
