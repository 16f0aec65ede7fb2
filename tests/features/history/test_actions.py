"""Keep and clear in History: pins, the trash in bulk, only best.pt, archives."""

from pathlib import Path

import pytest
import torch
from textual.pilot import Pilot
from textual.widgets import Input, Static

from cifar_tui.features.archive.core import archive_runs
from cifar_tui.features.history.dialog import ArchiveDialog
from cifar_tui.features.history.screen import HistoryScreen
from cifar_tui.runs.disk import size_of, size_text
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.ids import TRASH
from cifar_tui.runs.listing import Runs, read_run
from cifar_tui.runs.notes import annotate
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.tui.dialogs import Ask
from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp, SaveRun
from tests.waiting import screen_text, toasts, wait_for

SIZE = (80, 24)


@pytest.fixture
def three(save_run: SaveRun) -> list[RunFolder]:
    """Three runs with two checkpoints each."""
    found = [save_run(name=name) for name in "abc"]
    for folder in found:
        for path in (folder.best, folder.last):
            torch.save({"x": torch.zeros(5000)}, path)
    return found


async def open_history(pilot: Pilot[None], count: int) -> RowTable:
    await pilot.press("f4")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, HistoryScreen))
    table = pilot.app.screen.query_one(RowTable)
    await wait_for(pilot, lambda: table.row_count == count)
    return table


async def asked(pilot: Pilot[None]) -> str:
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, Ask))
    return str(pilot.app.screen.query(Static).first().content)


def summary(pilot: Pilot[None]) -> str:
    return str(pilot.app.screen.query_one("#summary", Static).content).strip()


def signs(table: RowTable) -> list[str]:
    return [str(table.get_row_at(i)[0]).rstrip() for i in range(table.row_count)]


async def test_pins_are_shown_and_the_marked_are_pinned_together(
    make_app: MakeApp, three: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("p")
        await wait_for(pilot, lambda: signs(table) == ["p", "", ""])
        assert read_run(three[2].path).notes.pinned
        await pilot.press("space", "down", "space", "p")
        await wait_for(pilot, lambda: signs(table) == ["P", "P", ""])
        await pilot.press("p")
        await wait_for(pilot, lambda: signs(table) == ["*", "*", ""])
        assert not read_run(three[2].path).notes.pinned


async def test_the_marked_go_to_the_trash_after_one_question_but_for_the_pinned(
    make_app: MakeApp, three: list[RunFolder], save_run: SaveRun
) -> None:
    annotate(three[0].path, pinned=True)
    busy = save_run(status="running", name="busy")
    busy.write_progress(Progress(worker=this_worker()))
    app = make_app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        table = await open_history(pilot, 4)
        await pilot.press("space", "down", "space", "down", "space", "down", "space", "x")
        space = size_text(size_of(three[1].path) + size_of(three[2].path))
        assert await asked(pilot) == (
            f"Move 2 runs ({space}) to the trash? "
            "Left out: 1 in training, 1 pinned. t, z restores them."
        )
        await pilot.press("escape")
        assert table.row_count == 4
        await pilot.press("x")
        await asked(pilot)
        await pilot.press("y")
        await wait_for(pilot, lambda: table.row_count == 2)
        assert "2 runs moved to the trash." in toasts(pilot.app)
        await wait_for(pilot, lambda: "2 marked" in summary(pilot))
        await pilot.press("x")
        await wait_for(pilot, lambda: "Nothing to move" in toasts(pilot.app))


async def test_a_group_s_runs_are_meant_where_none_is_marked(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    for lr, seed in ((0.1, 0), (0.1, 1), (0.01, 0)):
        save_run((0.5 + lr,), lr=lr, seed=seed)
    app = make_app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("u", "enter")
        await wait_for(pilot, lambda: table.row_count == 2)
        await pilot.press("x")
        assert (await asked(pilot)).startswith("Move 2 runs (")
        await pilot.press("y")
        await wait_for(pilot, lambda: "1 group of 1 run" in summary(pilot))


async def test_the_trash_says_its_space_and_is_emptied_for_good(
    make_app: MakeApp, three: list[RunFolder], tmp_path: Path
) -> None:
    runs = Runs(tmp_path / "runs")
    for folder in three[:2]:
        runs.delete(runs.get(folder.id))
    space = size_text(size_of(tmp_path / "runs" / TRASH))
    app = make_app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        table = await open_history(pilot, 1)
        await pilot.press("X")
        assert "while it is shown" in toasts(pilot.app)
        await pilot.press("t")
        await wait_for(pilot, lambda: table.row_count == 2 and "X empties" in summary(pilot))
        assert summary(pilot).startswith(f"Trash: 2 runs, {space}, z restores, X empties")
        await pilot.press("X")
        question = f"Remove 2 runs ({space}) in the trash for good? Nothing brings them back."
        assert await asked(pilot) == question
        await pilot.press("n", "X")
        await asked(pilot)
        await pilot.press("y")
        await wait_for(pilot, lambda: table.row_count == 0)
        assert f"2 runs removed, {space} freed." in toasts(pilot.app)
        assert list((tmp_path / "runs" / TRASH).iterdir()) == []
        assert three[2].path.is_dir()


async def test_only_best_is_kept_of_the_marked_that_have_ended(
    make_app: MakeApp, three: list[RunFolder], save_run: SaveRun
) -> None:
    summary_ = read_run(three[0].path).summary
    three[0].write_summary(summary_.model_copy(update={"status": "stopped"}))
    save_run((), name="young", status="queued")
    app = make_app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await open_history(pilot, 4)
        await pilot.press("space", "down", "down", "space", "down", "space", "D")
        space = size_text(three[0].last.stat().st_size + three[1].last.stat().st_size)
        assert await asked(pilot) == (
            f"Keep only best.pt of 2 runs? That frees {space}. "
            "Listing, comparing and exporting go on; resuming does not."
        )
        assert "young is queued; only runs that have ended" in toasts(pilot.app)
        assert three[0].last.exists()
        await pilot.press("y")
        await wait_for(pilot, lambda: not (three[0].last.exists() or three[1].last.exists()))
        assert three[2].last.exists() and three[0].best.exists()
        await pilot.press("U", "r")
        await wait_for(
            pilot, lambda: "kept only best.pt and cannot be resumed" in toasts(pilot.app)
        )
        await pilot.press("D")
        await wait_for(pilot, lambda: "There is no last.pt to remove." in toasts(pilot.app))


async def test_all_marked_are_resumed(
    make_app: MakeApp, save_run: SaveRun, tiny_course: Path
) -> None:
    for name in "ab":
        save_run((0.5,), status="stopped", name=name, epochs=3, data=str(tiny_course))
    save_run(name="done")
    app = make_app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await open_history(pilot, 3)
        await pilot.press("space", "down", "space", "down", "space", "r")
        await wait_for(pilot, lambda: "2 runs queued to go on." in toasts(pilot.app))
        assert "done is finished; there is nothing to resume." in toasts(pilot.app)


async def test_an_archive_is_written_and_brought_in(
    make_app: MakeApp, three: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("space", "down", "space", "A")
        await wait_for(pilot, lambda: isinstance(app.screen, ArchiveDialog))
        assert app.screen.query_one(Input).value == "runs.zip"
        await pilot.press("enter")
        await wait_for(pilot, lambda: "2 runs (" in screen_text(app))
        await pilot.press("enter", "I")
        app.screen.query_one("#file", Input).value = "runs.zip"
        await pilot.press("enter")
        await wait_for(pilot, lambda: "2 runs brought in" in screen_text(app))
        await pilot.press("enter")
        await wait_for(pilot, lambda: table.row_count == 5)


async def test_a_run_that_may_still_be_written_is_not_archived(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    save_run((), name="young", status="queued")
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await open_history(pilot, 1)
        await pilot.press("A")
        await wait_for(pilot, lambda: "young is queued; only runs that have" in screen_text(app))
        assert not app.screen.query_one(".field").display
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))


async def test_a_damaged_archive_is_said_and_brings_in_nothing(
    make_app: MakeApp, three: list[RunFolder], tmp_path: Path
) -> None:
    file = tmp_path / "x.zip"
    archive_runs([read_run(three[0].path)], file)
    file.write_bytes(file.read_bytes()[:-20])
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("I")
        app.screen.query_one("#file", Input).value = str(file)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "it is damaged" in screen_text(app).replace("\n", " "))
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        assert table.row_count == 3
