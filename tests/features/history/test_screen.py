"""The history as a person uses it: finding, sorting, marking, naming, trashing and resuming."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from cifar_tui.app import CifarApp
from cifar_tui.features.compare.screen import CompareScreen
from cifar_tui.features.history.run_list import RunList
from cifar_tui.features.history.screen import HistoryScreen
from cifar_tui.features.live.page import RunPage
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.notes import annotate
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.spec.settings import RunSpec
from cifar_tui.table import Column
from cifar_tui.tui.dialogs import Ask
from cifar_tui.tui.row_table import RowTable
from tests.waiting import screen_text, toasts, wait_for

MakeApp = Callable[..., CifarApp]
SaveRun = Callable[..., RunFolder]
NARROW, WIDE = (80, 24), (140, 40)
SIZES = pytest.mark.parametrize("size", [NARROW, WIDE])


async def open_history(pilot: Pilot[None], count: int) -> RowTable:
    """Go to the history and wait for its runs."""
    await pilot.press("f4")
    await wait_for(pilot, lambda: pilot.app.screen.query("#runs") and summary(pilot))
    table = pilot.app.screen.query_one(RowTable)
    await wait_for(pilot, lambda: table.row_count == count)
    return table


async def look_again(pilot: Pilot[None]) -> None:
    """Leave the history and come back, which reads the folders at once."""
    await pilot.press("f6")
    await pilot.press("f4")


def rows(table: RowTable) -> list[dict[str, str]]:
    """The rows as they are shown, by column."""
    names = [column.name.rstrip("↑↓") or "mark" for column in table.columns]
    return [
        dict(zip(names, (str(cell).strip() for cell in table.get_row_at(i)), strict=True))
        for i in range(table.row_count)
    ]


def sorted_by(table: RowTable) -> str:
    """The header that says so."""
    return next((c.name for c in table.columns if c.name.endswith(("↑", "↓"))), "")


def lines_drawn(table: RowTable, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lines that the table draws from now on."""
    drawn: list[int] = []
    draw = table.render_line
    monkeypatch.setattr(table, "render_line", lambda y: drawn.append(y) or draw(y))
    return drawn


def look_now(app: CifarApp) -> None:
    """Read the folders without leaving the screen."""
    app.screen.query_one(RunList).read_soon()


def names(table: RowTable) -> list[str]:
    return [row["name"] for row in rows(table)]


def summary(pilot: Pilot[None]) -> str:
    screen = pilot.app.screen
    return f"{screen.query_one('#summary', Static).content}".strip()


def dated(folder: RunFolder, stamp: str) -> RunFolder:
    """Give the run another time of creation."""
    path = folder.path.with_name(f"{stamp}-{folder.id[16:]}")
    folder.path.rename(path)
    return RunFolder(path)


@pytest.fixture
def three(save_run: SaveRun) -> list[RunFolder]:
    """Three runs, the best of them the oldest."""
    return [
        dated(save_run((0.5, 0.7182), name="b", batch_norm=True, lr=0.1), "20260101-000000"),
        dated(save_run((0.1, 0.2, 0.3), name="c", tags=("slow",)), "20260102-000000"),
        dated(save_run((0.6,), name="a", status="stopped", epochs=30), "20260103-000000"),
    ]


@SIZES
async def test_the_newest_run_is_first_and_the_first_line_names_the_best(
    make_app: MakeApp, three: list[RunFolder], size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        table = await open_history(pilot, 3)
        assert names(table) == ["a", "c", "b"]
        assert summary(pilot) == "3 runs, simplenn"
        best = app.screen.query_one("#best", Static)
        assert str(best.content).strip() == "best 0.7182 @ 2 b"
        last = rows(table)[2]
        assert (last["epochs"], last["bn"], last["lr"]) == ("2", "yes", "0.1")
        assert last["best val_acc"] == "0.7182 @ 2"
        assert (last["done"], last["status"]) == ("2/2", "✓ finished")
        assert [row["status"] for row in rows(table)] == ["- stopped", "✓ finished", "✓ finished"]


async def test_o_sorts_by_the_next_column_and_capital_o_turns_it_round(
    make_app: MakeApp, three: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("o")
        assert names(table) == ["b", "a", "c"]
        assert sorted_by(table) == "best val_acc↓"
        await pilot.press("O")
        assert names(table) == ["c", "a", "b"]
        assert sorted_by(table) == "best val_acc↑"
        await pilot.press("o")
        assert names(table) == ["a", "b", "c"]
        seen = {}
        for _ in range(7):
            await pilot.press("o")
            seen[sorted_by(table)] = "".join(names(table))
        assert seen == {
            "epochs↑": "bca",
            "bn↑": "acb",
            "lr↑": "acb",
            "status↑": "cba",
            "done↓": "cba",
            "last val_acc↓": "bac",
            "age↑": "acb",
        }


async def test_a_click_on_a_header_sorts_by_it_and_another_turns_it_round(
    make_app: MakeApp, three: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 3)
        await pilot.click(RowTable, offset=(3, 0))
        await wait_for(pilot, lambda: names(table) == ["a", "b", "c"])
        await pilot.click(RowTable, offset=(3, 0))
        await wait_for(pilot, lambda: names(table) == ["c", "b", "a"])


async def test_runs_without_a_value_come_last_in_either_order(
    make_app: MakeApp, three: list[RunFolder], save_run: SaveRun
) -> None:
    save_run((), name="none", status="queued")
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 4)
        await pilot.press("o")
        assert names(table)[-1] == "none"
        await pilot.press("O")
        assert names(table) == ["c", "a", "b", "none"]


@SIZES
async def test_the_filter_narrows_while_typing_and_stays_until_it_is_emptied(
    make_app: MakeApp, three: list[RunFolder], size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        table = await open_history(pilot, 3)
        field = app.screen.query_one("#filter", Input)
        assert not field.parent.display
        await pilot.press("slash")
        assert field.has_focus
        await pilot.press(*"slow")
        assert names(table) == ["c"]
        assert summary(pilot).startswith("1 of 3 runs")
        await pilot.press("enter")
        assert table.has_focus
        assert names(table) == ["c"]
        await pilot.press("slash", "ctrl+u", *"-slow", "enter")
        assert names(table) == ["a", "b"]
        await pilot.press("slash", "ctrl+u", "enter")
        assert names(table) == ["a", "c", "b"]
        assert not field.parent.display


async def test_marks_survive_sorting_and_filtering_until_they_are_taken_away(
    make_app: MakeApp, three: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 3)

        def marked() -> list[str]:
            return [row["name"] for row in rows(table) if row["mark"]]

        await pilot.press("space", "down", "down", "space")
        assert marked() == ["a", "b"]
        assert "2 marked" in summary(pilot)
        await pilot.press("o")
        assert marked() == ["b", "a"]
        await pilot.press("slash", *"slow", "enter")
        assert marked() == []
        await pilot.press("slash", "backspace", "enter")
        assert marked() == ["b", "a"]
        await pilot.press("home", "space")
        assert marked() == ["a"]
        await pilot.press("U")
        assert marked() == []


async def test_a_sort_leaves_the_cursor_on_its_run(
    make_app: MakeApp, three: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("down", "down", "o")
        assert names(table)[table.cursor_row] == "b"
        assert table.cursor_row == 0


async def test_changes_on_disk_are_shown_in_place(
    make_app: MakeApp, three: list[RunFolder], save_run: SaveRun
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("down", "down", "space")
        was = read_run(three[1].path).summary
        three[1].write_summary(was.model_copy(update={"epochs_done": 1}))
        annotate(three[1].path, name="renamed")
        await look_again(pilot)
        await wait_for(pilot, lambda: "renamed" in names(table))
        assert rows(table)[1]["done"] == "1/3"
        save_run((0.9,), name="newest")
        await look_again(pilot)
        await wait_for(pilot, lambda: table.row_count == 4)
        assert names(table) == ["newest", "a", "renamed", "b"]
        assert table.cursor_row == 3
        assert rows(table)[3]["mark"]


async def test_a_look_that_finds_nothing_new_draws_nothing(
    make_app: MakeApp, three: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 3)
        drawn = lines_drawn(table, monkeypatch)
        look_now(app)
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        assert drawn == []
        three[0].path.joinpath("notes.json").write_text(json.dumps({"name": "d"}))
        look_now(app)
        await wait_for(pilot, lambda: drawn)
        assert set(drawn) == {3}
        assert names(table) == ["a", "c", "d"]


async def test_ten_thousand_rows_are_made_only_where_they_are_seen(
    make_app: MakeApp, three: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 3)
        asked: set[str] = set()

        def texts(key: str) -> tuple[str, ...]:
            asked.add(key)
            return ("", key)

        table.set_columns([Column("", 2), Column("name", 20)])
        table.show([f"run {i}" for i in range(10_000)], texts)
        await pilot.pause()
        assert "run 0" in asked and len(asked) < 30
        assert "run 0 " in screen_text(app)
        await pilot.press("end", "up")
        await wait_for(pilot, lambda: "run 9999 " in screen_text(app))
        assert len(asked) < 60
        assert table.cursor_key == "run 9998"
        await pilot.press("pageup", "pagedown", "home")
        await wait_for(pilot, lambda: "run 0 " in screen_text(app))
        assert table.cursor_row == table.scroll_y == 0


async def test_the_newest_runs_are_shown_while_the_others_are_read(
    make_app: MakeApp, three: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cifar_tui.features.history.run_reader.FIRST", 2)
    app = make_app()
    hold, read_all = threading.Event(), app.runs.all
    async with app.run_test(size=NARROW) as pilot:
        await pilot.app.workers.wait_for_complete()
        monkeypatch.setattr(app.runs, "all", lambda: hold.wait(60) and read_all())
        table = await open_history(pilot, 2)
        assert names(table) == ["a", "c"]
        assert summary(pilot).startswith("Reading the runs")
        await pilot.press("down", "space")
        hold.set()
        await wait_for(pilot, lambda: table.row_count == 3)
        assert names(table) == ["a", "c", "b"]
        assert summary(pilot) == "3 runs, 1 marked, simplenn"
        assert table.cursor_row == 1 and rows(table)[1]["mark"]


@SIZES
async def test_hostile_names_are_shown_literally(
    make_app: MakeApp, save_run: SaveRun, size: tuple[int, int]
) -> None:
    save_run(name="[red]markup[/red]")
    for name in ("\x1b[31mred\x1b]0;title\x07", "x" * 5000, "two\nlines"):
        folder = save_run()
        folder.write_summary(read_run(folder.path).summary.model_copy(update={"name": name}))
    app = make_app()
    async with app.run_test(size=size, notifications=True) as pilot:
        table = await open_history(pilot, 4)
        shown = sorted(names(table))
        width = table.columns[1].width
        assert shown[0].startswith("[red]markup[/red]"[: width - 2])
        assert shown[1].startswith("\\x1b[31mred")
        assert shown[2].startswith("two\\nlines")
        assert shown[3].endswith("…") and len(shown[3]) == width - 1
        await pilot.press("x")
        await pilot.press("n", "a", "escape")
        await look_again(pilot)
        assert len(app.screen_stack) == 1


@SIZES
async def test_an_unreadable_folder_says_why_and_hides_no_other(
    make_app: MakeApp, three: list[RunFolder], tmp_path: Path, size: tuple[int, int]
) -> None:
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "summary.json").write_text("{")
    app = make_app()
    async with app.run_test(size=size) as pilot:
        table = await open_history(pilot, 5)
        assert names(table) == ["a", "c", "b", "empty", "broken"]
        assert rows(table)[3]["status"].startswith("? unreadable: s")
        assert rows(table)[4]["status"].startswith("? unreadable: ")


async def test_demo_runs_without_others_are_said_to_be_so_once(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    folder = save_run(name="drawn")
    folder.write_summary(read_run(folder.path).summary.model_copy(update={"source": "demo"}))
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        await open_history(pilot, 1)
        assert summary(pilot) == "1 demo run, simplenn epochs 2"
        best = str(app.screen.query_one("#best", Static).content).strip()
        assert best == "best 0.6000 @ 2 drawn"


async def test_an_empty_folder_says_what_to_do(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        await open_history(pilot, 0)
        assert summary(pilot) == "No runs yet. Press n to set one up."
        await pilot.press("enter", "space", "c", "x", "a", "r", "e", "f")
        assert isinstance(app.screen, HistoryScreen)
        await pilot.press("t")
        await wait_for(pilot, lambda: "trash" in summary(pilot))
        assert summary(pilot) == "The trash is empty. Press t to see the runs."


async def test_two_thousand_runs_open_and_the_filter_narrows_them(
    make_app: MakeApp, tmp_path: Path
) -> None:
    for i in range(2000):
        folder = tmp_path / "runs" / f"20260101-{i // 3600:02}{i // 60 % 60:02}{i % 60:02}-run-{i}"
        folder.mkdir(parents=True)
        spec = RunSpec(lr=0.1 if i == 1234 else 0.01).model_dump(mode="json")
        (folder / "summary.json").write_text(json.dumps({"name": f"run {i}", "spec": spec}))
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 2000)
        await pilot.press("slash", *"lr")
        assert names(table) == ["run 1234"]
        assert summary(pilot).startswith("1 of 2000 runs")
        await pilot.press("backspace", "backspace", "enter", "end")
        await wait_for(pilot, lambda: table.scroll_y > 1900)
        await pilot.press("space")
        at = table.scroll_y
        await look_again(pilot)
        await pilot.pause()
        assert table.scroll_y == at
        assert names(table)[table.cursor_row] == "run 0"


async def test_enter_opens_the_run(make_app: MakeApp, three: list[RunFolder]) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        await open_history(pilot, 3)
        await pilot.press("down", "enter")
        await wait_for(pilot, lambda: isinstance(app.screen, RunPage))
        assert app.screen.run_id == three[1].id
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))


async def test_compare_takes_the_marked_runs_or_asks_for_another(
    make_app: MakeApp, three: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        await open_history(pilot, 3)
        await pilot.press("space", "c")
        assert "Mark another run" in toasts(pilot.app)
        await pilot.press("down", "c")
        await wait_for(pilot, lambda: isinstance(app.screen, CompareScreen))
        figures = app.screen.query_one(RowTable)
        await wait_for(pilot, lambda: figures.row_count == 2)
        await pilot.press("escape")
        assert isinstance(app.screen, HistoryScreen)


@SIZES
async def test_name_tags_and_note_are_kept_in_notes_json(
    make_app: MakeApp, three: list[RunFolder], size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("a")
        fields = list(app.screen.query(Input))
        assert [field.value for field in fields] == ["a", "", ""]
        await pilot.press("backspace", *"better", "tab", *"x,y", "tab", *"a note", "enter")
        await wait_for(pilot, lambda: "better" in names(table))
        notes = json.loads((three[2].path / "notes.json").read_text())
        assert (notes["name"], notes["tags"], notes["note"]) == ("better", ["x", "y"], "a note")
        await pilot.press("slash", *"note", "enter")
        assert names(table) == ["better"]


async def test_a_wrong_name_is_refused_beside_the_field_and_escape_changes_nothing(
    make_app: MakeApp, three: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        await open_history(pilot, 3)
        await pilot.press("a")
        app.screen.query_one("#name", Input).value = "n" * 61
        await pilot.press("tab", "enter")
        told = app.screen.query_one("#outcome", Static)
        await wait_for(pilot, lambda: str(told.content).startswith("name must be at most 60"))
        assert app.screen.query_one("#name").has_focus
        await pilot.press("escape")
        assert isinstance(app.screen, HistoryScreen)
        assert not (three[2].path / "notes.json").exists()


async def test_a_tag_can_be_added_to_a_run_whose_name_would_be_refused(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    folder = save_run()
    folder.write_summary(read_run(folder.path).summary.model_copy(update={"name": "n" * 99}))
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        await open_history(pilot, 1)
        await pilot.press("a", "tab", *"x", "enter")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        assert read_run(folder.path).tags == ("x",)
        assert read_run(folder.path).name == "n" * 99


async def test_trash_and_restore_move_the_folder(
    make_app: MakeApp, three: list[RunFolder], tmp_path: Path
) -> None:
    gone, trashed = three[1].path, tmp_path / "runs" / ".trash" / three[1].id
    app = make_app()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("down", "x")
        assert isinstance(app.screen, Ask)
        question = str(app.screen.query(Static).first().content)
        assert question.startswith("Move c (") and question.endswith("t, z restores it.")
        await pilot.press("n")
        assert gone.is_dir()
        await pilot.press("x", "y")
        await wait_for(pilot, lambda: names(table) == ["a", "b"])
        assert trashed.is_dir() and not gone.exists()
        assert table.cursor_row == 1
        await pilot.press("z")
        assert "while the trash is shown" in toasts(pilot.app)
        await pilot.press("t")
        await wait_for(pilot, lambda: names(table) == ["c"])
        assert summary(pilot).startswith("Trash: 1 run,")
        await pilot.press("x", "enter", "a", "space")
        assert isinstance(app.screen, HistoryScreen)
        assert "c is in the trash; z restores it." in toasts(pilot.app)
        await pilot.press("z")
        await wait_for(pilot, lambda: names(table) == [])
        assert gone.is_dir() and not trashed.exists()
        await pilot.press("t")
        await wait_for(pilot, lambda: names(table) == ["a", "c", "b"])


async def test_a_running_run_cannot_be_thrown_away(make_app: MakeApp, save_run: SaveRun) -> None:
    folder = save_run(status="running", name="busy")
    folder.write_progress(Progress(worker=this_worker()))
    app = make_app()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        await open_history(pilot, 1)
        await pilot.press("x")
        assert isinstance(app.screen, HistoryScreen)
        assert "busy is running; stop it before deleting it." in toasts(pilot.app)
        assert folder.path.is_dir()


async def test_a_waiting_run_is_not_queued_twice_and_leaves_the_queue_with_the_list(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    folder = save_run((), status="queued", name="waiting")
    app = make_app()
    app.worker.add(folder)
    app.worker.hold()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        table = await open_history(pilot, 1)
        await pilot.press("r")
        assert "waiting is in the queue already." in toasts(pilot.app)
        assert app.worker.queued == [folder.id]
        await pilot.press("x", "y")
        await wait_for(pilot, lambda: table.row_count == 0)
        assert app.worker.queued == []
        assert not folder.path.exists()


async def test_resume_hands_the_run_to_the_worker(
    make_app: MakeApp, save_run: SaveRun, tiny_course: Path
) -> None:
    folder = save_run((0.5,), status="stopped", name="half", epochs=3, data=str(tiny_course))
    app = make_app()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        await open_history(pilot, 1)
        await pilot.press("r")
        assert "half is queued and goes on after epoch 1 of 3." in toasts(pilot.app)
        await wait_for(pilot, lambda: read_run(folder.path).status == "finished")


async def test_a_run_that_is_another_thing_now_is_not_resumed_and_stays_as_it_is(
    make_app: MakeApp, save_run: SaveRun, tmp_path: Path
) -> None:
    gone = save_run((0.5,), status="stopped", name="gone", epochs=3, data=str(tmp_path / "no"))
    changed = save_run((0.5,), status="stopped", name="changed", epochs=3, data="demo", lr=0.01)
    spec = changed.path / "spec.toml"
    spec.write_text(spec.read_text().replace("lr = 0.01", "lr = 0.2"))
    before = [(f.path / "summary.json").read_bytes() for f in (gone, changed)]
    app = make_app()
    async with app.run_test(size=(160, 30), notifications=True) as pilot:
        table = await open_history(pilot, 2)
        assert rows(table)[0]["status"].startswith("- stopped edit")
        await pilot.press("r")
        assert "changed was trained with lr 0.01, and spec.toml says lr 0.2" in toasts(pilot.app)
        await pilot.press("down", "r")
        assert "gone cannot be resumed without its images" in toasts(pilot.app)
        assert app.worker.own == []
    assert [(f.path / "summary.json").read_bytes() for f in (gone, changed)] == before


async def test_a_finished_run_is_not_resumed(make_app: MakeApp, three: list[RunFolder]) -> None:
    app = make_app()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        await open_history(pilot, 3)
        await pilot.press("down", "r")
        assert "c is finished; there is nothing to resume." in toasts(pilot.app)
        assert app.worker.queued == []


async def test_a_folder_that_vanishes_takes_its_row_and_mark_along(
    make_app: MakeApp, three: list[RunFolder], tmp_path: Path
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 3)
        await pilot.press("space")
        os.rename(three[2].path, tmp_path / "elsewhere")
        await look_again(pilot)
        await wait_for(pilot, lambda: names(table) == ["c", "b"])
        assert summary(pilot) == "2 runs, simplenn"


async def test_the_smallest_window_has_runs_before_keys(
    make_app: MakeApp, three: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=(30, 8)) as pilot:
        table = await open_history(pilot, 3)
        await wait_for(pilot, lambda: all(f" {name} " in screen_text(app) for name in "abc"))
        assert table.size.height >= 4
        assert "? help" in screen_text(app)


async def test_tags_have_the_room_that_names_do_not_need(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    save_run(name="a", tags=("lab2-augment", "slow", "try again", "figure 3"))
    app = make_app()
    async with app.run_test(size=(300, 80)) as pilot:
        await open_history(pilot, 1)
        await wait_for(pilot, lambda: "lab2-augment, slow, try again, figure 3" in screen_text(app))


async def test_the_first_line_has_a_space_before_the_device(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("f4")
        await wait_for(pilot, lambda: "Devices cpu" in screen_text(app).splitlines()[0])
