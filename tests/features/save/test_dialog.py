"""Taking runs out of the terminal with `y`: the file, the clipboard, and what is said of both."""

import json
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from cifar_tui.features.compare.screen import CompareScreen
from cifar_tui.features.save import dialog as clipboard
from cifar_tui.features.save.dialog import SaveDialog
from cifar_tui.query.view import Memory, View, remember
from cifar_tui.runs.folder import RunFolder
from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp, SaveRun
from tests.waiting import screen_text, wait_for


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder and outside tmux, which might take no text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TMUX", raising=False)


@pytest.fixture
def folders(save_run: SaveRun) -> list[RunFolder]:
    return [save_run(name=name, lr=lr) for name, lr in (("one", 0.1), ("two", 0.01), ("bad", 1.0))]


async def open_history(pilot: Pilot[None], count: int) -> None:
    await pilot.press("f4")
    await wait_for(pilot, lambda: pilot.app.screen.query("#runs"))
    await wait_for(pilot, lambda: pilot.app.screen.query_one(RowTable).row_count == count)


async def open_dialog(pilot: Pilot[None]) -> SaveDialog:
    await pilot.press("y")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, SaveDialog))
    dialog = pilot.app.screen
    assert isinstance(dialog, SaveDialog)
    await wait_for(pilot, lambda: dialog.focused is not None)
    return dialog


def outcome(dialog: SaveDialog) -> str:
    return str(dialog.query_one("#outcome", Static).content)


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_enter_saves_the_runs_shown_and_copies_them(
    make_app: MakeApp, folders: list[RunFolder], size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await open_history(pilot, 3)
        await pilot.press("slash", *"-bad", "enter")
        await wait_for(pilot, lambda: pilot.app.screen.query_one(RowTable).row_count == 2)
        dialog = await open_dialog(pilot)
        assert "[table]  curves   figure" in screen_text(app)
        region = dialog.query_one(".dialog").region
        assert 0 <= region.x < region.right <= size[0]
        assert 0 <= region.y < region.bottom <= size[1]
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        text = Path("runs.csv").read_text()
        assert [line.split(",")[1] for line in text.splitlines()] == ["name", "two", "one"]
        assert app.clipboard == text
        assert "Table of 2 runs in runs.csv." in outcome(dialog)
        assert f"Copied {len(text)} bytes" in outcome(dialog)
        await pilot.press("enter")
        await wait_for(pilot, lambda: not isinstance(app.screen, SaveDialog))


async def test_a_table_has_the_columns_that_were_chosen(
    make_app: MakeApp, folders: list[RunFolder], tmp_path: Path
) -> None:
    remember(tmp_path / "runs", Memory(view=View(columns=("lr", "name"))))
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_history(pilot, 3)
        await open_dialog(pilot)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        assert Path("runs.csv").read_text() == "lr,name\n1.0,bad\n0.01,two\n0.1,one\n"


async def test_marked_runs_curves_and_another_path(
    make_app: MakeApp, folders: list[RunFolder], tmp_path: Path
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_history(pilot, 3)
        await pilot.press("space")
        dialog = await open_dialog(pilot)
        path = dialog.query_one(Input)
        await pilot.press("right", "down", "right")
        assert path.value == "curves.json"
        await pilot.press("down", "home", *"out-")
        assert path.value == "out-curves.json"
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        epochs = json.loads((tmp_path / "out-curves.json").read_text())
        assert {epoch["name"] for epoch in epochs} == {"bad"}
        assert len(epochs) == 2


async def test_a_file_in_the_way_is_kept_unless_y(
    make_app: MakeApp, folders: list[RunFolder]
) -> None:
    Path("runs.csv").write_text("mine")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_history(pilot, 3)
        dialog = await open_dialog(pilot)
        await pilot.press("y", "enter")
        await wait_for(pilot, lambda: "exists" in outcome(dialog))
        assert Path("runs.csv").read_text() == "mine"
        assert app.clipboard == ""
        await pilot.press("y")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        assert "one" in Path("runs.csv").read_text()


async def test_what_is_too_large_for_a_terminal_is_said_and_saved(
    make_app: MakeApp, folders: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clipboard, "MOST_BYTES", 100)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_history(pilot, 3)
        dialog = await open_dialog(pilot)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        assert "Too large to copy" in outcome(dialog)
        assert app.clipboard == ""
        assert Path("runs.csv").exists()


async def test_compare_saves_its_runs_as_a_figure(
    make_app: MakeApp, folders: list[RunFolder]
) -> None:
    pytest.importorskip("matplotlib")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_history(pilot, 3)
        await app.push_screen(CompareScreen([folder.id for folder in folders[:2]]))
        await wait_for(pilot, lambda: app.screen.query_one(RowTable).row_count == 2)
        dialog = await open_dialog(pilot)
        await pilot.press("left", "enter")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        assert "Figure of 2 runs in curves.png." in outcome(dialog)
        assert "Copied" not in outcome(dialog)
        assert Path("curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("setting", "refused"), [("external", True), ("on", False), ("", False)])
def test_a_tmux_that_passes_nothing_on_is_named(
    monkeypatch: pytest.MonkeyPatch, setting: str, refused: bool
) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux,1,0")
    monkeypatch.setattr(clipboard, "_tmux_setting", lambda: setting)
    assert ("set-clipboard on" in clipboard.refusal("text")) == refused
