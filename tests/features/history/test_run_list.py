"""Finding runs in the history: filter, columns, best or last, groups, and what is remembered."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from cifar_tui.app import CifarApp
from cifar_tui.features.compare.screen import CompareScreen
from cifar_tui.features.history.dialog import ColumnsDialog, GroupsDialog
from cifar_tui.features.history.screen import HistoryScreen
from cifar_tui.runs.folder import RunFolder
from cifar_tui.tui.row_table import RowTable
from tests.features.history.test_screen import (
    NARROW,
    names,
    open_history,
    rows,
    sorted_by,
    summary,
)
from tests.waiting import screen_text, toasts, wait_for

MakeApp = Callable[..., CifarApp]
SaveRun = Callable[..., RunFolder]


async def type_in(pilot: Pilot[None], text: str) -> None:
    """Type a text into the field that has the focus, all at once."""
    field = pilot.app.focused
    assert isinstance(field, Input)
    field.insert_text_at_cursor(text)
    await pilot.pause()


def headers(table: RowTable) -> list[str]:
    return [column.name for column in table.columns[1:]]


def remembered(tmp_path: Path) -> dict:
    path = tmp_path / "runs" / ".history.json"
    return json.loads(path.read_text()) if path.exists() else {}


@pytest.fixture
def seeds(save_run: SaveRun) -> list[RunFolder]:
    """Two seeds each of two settings, with other best than last figures; the last one better."""
    return [
        save_run((0.5, 0.60, 0.40), name="a", lr=0.01, seed=0),
        save_run((0.5, 0.62, 0.42), name="b", lr=0.01, seed=1),
        save_run((0.5, 0.70, 0.30), name="c", lr=0.1, seed=0, batch_norm=True),
        save_run((0.5, 0.74, 0.32), name="d", lr=0.1, seed=1, batch_norm=True),
    ]


async def test_a_filter_follows_the_typing_and_an_unfinished_term_holds_the_list(
    make_app: MakeApp, seeds: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 4)
        await pilot.press("slash")
        seen = []
        for letter in "bn val_acc>0.71":
            await type_in(pilot, letter)
            seen.append(names(table))
        assert [] not in seen
        assert seen[-1] == ["d"] and seen[2] == ["d", "c"]
        await pilot.press("ctrl+u")
        await type_in(pilot, "bn val_acc>")
        assert names(table) == ["d", "c"]
        needs = "val_acc> needs a share like 0.7, or a percentage like 70."
        assert summary(pilot) == f"2 of 4 runs. {needs}"
        await type_in(pilot, "0.71")
        assert summary(pilot).startswith("1 of 4 runs, simplenn bn epochs 3 ")
        await pilot.press("enter")
        assert summary(pilot).startswith("1 of 4 runs, filter 'bn val_acc>0.71' (Esc clears)")
        await pilot.press("slash", "ctrl+u")
        await type_in(pilot, "lrr>1")
        assert len(names(table)) == 4
        assert "There is no field 'lrr'; did you mean lr?" in summary(pilot)
        await pilot.press("ctrl+u")
        await type_in(pilot, "val")
        assert len(names(table)) == 4
        await pilot.press("enter")
        assert names(table) == []


async def test_tab_completes_and_the_arrows_bring_back_former_filters(
    make_app: MakeApp, seeds: list[RunFolder], tmp_path: Path
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 4)
        field = app.screen.query_one("#filter", Input)
        await pilot.press("slash")
        await type_in(pilot, "batch_n")
        await wait_for(pilot, lambda: "batch_norm" in screen_text(app))
        await pilot.press("tab")
        assert field.value == "batch_norm" and field.has_focus
        assert names(table) == ["d", "c"]
        await pilot.press("enter", "slash", "ctrl+u")
        await type_in(pilot, "lr=0.0")
        await wait_for(pilot, lambda: "lr=0.01" in screen_text(app))
        await pilot.press("tab", "enter")
        assert names(table) == ["b", "a"]
        await wait_for(pilot, lambda: remembered(tmp_path).get("filters", [""])[0] == "lr=0.01")
    again = make_app()
    async with again.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 2)
        assert summary(pilot).startswith("2 of 4 runs, filter 'lr=0.01' (Esc clears)")
        field = again.screen.query_one("#filter", Input)
        await pilot.press("slash", "ctrl+u")
        await type_in(pilot, "-")
        await pilot.press("up", "up", "up")
        assert field.value == "batch_norm"
        await pilot.press("down", "down")
        assert field.value == "-"
        await pilot.press("escape")
        assert summary(pilot).startswith("2 of 4 runs, filter 'lr=0.01'")
        await pilot.press("escape")
        assert len(names(table)) == 4


async def test_columns_are_chosen_ordered_and_remembered(
    make_app: MakeApp, seeds: list[RunFolder], tmp_path: Path
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 4)
        usual = ["name", "bn", "lr", "seed", "best val_acc", "status", "done", "age↑"]
        assert headers(table)[:8] == usual
        await pilot.press("C")
        await wait_for(pilot, lambda: isinstance(app.screen, ColumnsDialog))
        await wait_for(pilot, lambda: "the first 7 of 11 have room" in screen_text(app))
        assert "Enter applies" in screen_text(app)
        ticks = app.screen.query_one(RowTable)
        await pilot.press("down", "space")
        ticks.move_cursor(ticks.keys.index("lr"))
        await pilot.press("space")
        assert ticks.keys[11] == ticks.cursor_key == "lr"
        await pilot.press(*["less_than_sign"] * 10, "enter")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        assert headers(table)[:3] == ["name", "lr", "best val_acc"]
        assert "seed" not in headers(table)
        assert [row["lr"] for row in rows(table)] == ["0.1", "0.1", "0.01", "0.01"]
        await wait_for(pilot, lambda: remembered(tmp_path)["view"]["columns"][1] == "lr")
        await pilot.press("C", "r", "escape")
        assert headers(table)[1] == "lr"
    again = make_app()
    async with again.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 4)
        assert headers(table)[:3] == ["name", "lr", "best val_acc"]
        await pilot.press("C", "r", "enter")
        assert headers(table)[:8] == usual


async def test_a_wide_window_has_more_of_the_columns_and_a_curve(
    make_app: MakeApp, seeds: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=(230, 40)) as pilot:
        table = await open_history(pilot, 4)
        assert headers(table)[8:] == [*("last val_acc", "curve", "val_loss", "time", "trained_on")]
        await wait_for(pilot, lambda: rows(table)[0]["curve"] == "▄█▁")
        await pilot.resize_terminal(60, 24)
        await wait_for(pilot, lambda: headers(table)[-1] != "trained_on")
        assert sum(column.width for column in table.columns) < 60


async def test_m_shows_the_last_epochs_figures_and_sorts_by_them(
    make_app: MakeApp, seeds: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 4)
        await pilot.press("o")
        assert names(table) == ["d", "c", "b", "a"]
        await pilot.press("m")
        assert names(table) == ["b", "a", "d", "c"]
        assert rows(table)[0]["last val_acc"] == "0.4200 @ 3"
        assert sorted_by(table) == "last val_acc↓"
        await pilot.press("m")
        assert rows(table)[0]["best val_acc"] == "0.7400 @ 2"


async def test_groups_show_the_spread_open_as_a_filter_and_take_marks(
    make_app: MakeApp, seeds: list[RunFolder], tmp_path: Path
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        table = await open_history(pilot, 4)
        await pilot.press("down", "space", "u")
        await wait_for(pilot, lambda: isinstance(app.screen, GroupsDialog))
        dialog = app.screen.query_one(RowTable)
        assert [(row["setting"], bool(row["mark"])) for row in rows(dialog)] == [
            ("batch_norm", True),
            ("seed", False),
            ("lr", True),
        ]
        await pilot.press("enter")
        await wait_for(pilot, lambda: table.row_count == 2)
        assert summary(pilot) == (
            "2 groups of 4 runs, 1 marked, mean of best val_acc, simplenn epochs 3"
        )
        assert rows(table)[0] == {
            "mark": "+",
            "bn": "yes",
            "lr": "0.1",
            "n": "2",
            "mean": "0.7200",
            "std": "0.0283",
            "min": "0.7000",
            "max": "0.7400",
        }
        await pilot.press("space")
        assert [row["mark"] for row in rows(table)] == ["*", ""]
        assert "2 marked" in summary(pilot)
        await pilot.press("m")
        assert [row["lr"] for row in rows(table)] == ["0.01", "0.1"]
        assert "mean of last val_acc" in summary(pilot)
        await pilot.press("m", "o")
        assert [row["lr"] for row in rows(table)] == ["0.01", "0.1"]
        assert sorted_by(table) == "bn↑"
        await pilot.press("home", "a")
        assert "That is a group; Enter shows its runs." in toasts(pilot.app)
        await pilot.press("down", "enter")
        assert names(table) == ["d", "c"]
        assert [row["mark"] for row in rows(table)] == ["*", "*"]
        assert summary(pilot).startswith("2 of 4 runs, Esc: groups")
        await pilot.press("escape")
        assert table.row_count == 2 and table.cursor_row == 1
        await wait_for(pilot, lambda: remembered(tmp_path)["view"]["groups"])
        await pilot.press("c")
        await wait_for(pilot, lambda: isinstance(app.screen, CompareScreen))
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        assert table.row_count == 2
        await pilot.press("escape")
        assert names(table) == ["d", "c", "b", "a"]
        assert [bool(row["mark"]) for row in rows(table)] == [True, True, False, False]


async def test_other_metrics_can_be_grouped_and_a_filter_narrows_groups(
    make_app: MakeApp, seeds: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        table = await open_history(pilot, 4)
        await pilot.press("u", "m", "enter")
        assert "mean of val_loss" in summary(pilot)
        assert rows(table)[0]["mean"] == "1.2800"
        await pilot.press("slash")
        await type_in(pilot, "seed=0")
        assert [row["n"] for row in rows(table)] == ["1", "1"]
        assert "2 groups of 2 of 4 runs" in summary(pilot)
        await pilot.press("enter", "slash", "ctrl+u")
        await type_in(pilot, "nothing-like-it")
        await pilot.press("enter", "u")
        assert "There are no runs to group." in toasts(pilot.app)


@pytest.mark.parametrize("content", ["{", '{"view": {"columns": ["colour"], "sort": 3}}'])
async def test_a_damaged_memory_shows_the_usual_columns(
    make_app: MakeApp, seeds: list[RunFolder], tmp_path: Path, content: str
) -> None:
    (tmp_path / "runs" / ".history.json").write_text(content)
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 4)
        assert headers(table)[:4] == ["name", "bn", "lr", "seed"]
        assert summary(pilot) == "4 runs, simplenn epochs 3"
