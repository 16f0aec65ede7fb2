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
    WIDE,
    messages,
    names,
    open_history,
    rows,
    summary,
)
from tests.waiting import screen_text, wait_for

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
        assert summary(pilot) == "2 of 4 runs. val_acc> needs a number."
        await type_in(pilot, "0.71")
        assert summary(pilot) == "1 of 4 runs, by age"
        await pilot.press("enter")
        assert summary(pilot) == "1 of 4 runs, filter 'bn val_acc>0.71', by age"
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
        assert summary(pilot) == "2 of 4 runs, filter 'lr=0.01', by age"
        field = again.screen.query_one("#filter", Input)
        await pilot.press("slash", "ctrl+u")
        await type_in(pilot, "-")
        await pilot.press("up", "up", "up")
        assert field.value == "batch_norm"
        await pilot.press("down", "down")
        assert field.value == "-"
        await pilot.press("ctrl+u", "escape")
        assert len(names(table)) == 4


async def test_columns_are_chosen_ordered_and_remembered(
    make_app: MakeApp, seeds: list[RunFolder], tmp_path: Path
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 4)
        assert headers(table) == ["name", "settings", "best val_acc", "done", "age", "status"]
        await pilot.press("k")
        await wait_for(pilot, lambda: isinstance(app.screen, ColumnsDialog))
        await wait_for(pilot, lambda: "the first 6 of 10 have room" in screen_text(app))
        assert "Enter applies" in screen_text(app)
        ticks = app.screen.query_one(RowTable)
        await pilot.press("down", "space", *["down"] * 4)
        ticks.move_cursor(ticks.keys.index("lr"))
        await pilot.press("space")
        assert ticks.keys[10] == ticks.cursor_key == "lr"
        await pilot.press(*["less_than_sign"] * 9, "enter")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        assert headers(table)[:3] == ["name", "lr", "best val_acc"]
        assert "settings" not in headers(table)
        assert [row["lr"] for row in rows(table)] == ["0.1", "0.1", "0.01", "0.01"]
        await wait_for(pilot, lambda: remembered(tmp_path)["view"]["columns"][1] == "lr")
        await pilot.press("k", "r", "escape")
        assert headers(table)[1] == "lr"
    again = make_app()
    async with again.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 4)
        assert headers(table)[:3] == ["name", "lr", "best val_acc"]
        await pilot.press("k", "r", "enter")
        assert headers(table)[1] == "settings"


async def test_a_wide_window_has_more_of_the_columns(
    make_app: MakeApp, seeds: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=WIDE) as pilot:
        table = await open_history(pilot, 4)
        assert headers(table)[-4:] == ["val_loss", "time", "trained_on", "tags"]
        await pilot.resize_terminal(80, 24)
        await wait_for(pilot, lambda: headers(table)[-1] == "status")
        assert sum(column.width for column in table.columns) < 80


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
        assert summary(pilot) == "4 runs, last epoch, by last val_acc"
        await pilot.press("m")
        assert rows(table)[0]["best val_acc"] == "0.7400 @ 2"


async def test_groups_show_the_spread_open_as_a_filter_and_take_marks(
    make_app: MakeApp, seeds: list[RunFolder], tmp_path: Path
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        table = await open_history(pilot, 4)
        await pilot.press("down", "space", "g")
        await wait_for(pilot, lambda: isinstance(app.screen, GroupsDialog))
        dialog = app.screen.query_one(RowTable)
        assert [(row["setting"], bool(row["mark"])) for row in rows(dialog)] == [
            ("batch_norm", True),
            ("seed", False),
            ("lr", True),
        ]
        await pilot.press("enter")
        await wait_for(pilot, lambda: table.row_count == 2)
        assert summary(pilot) == "2 groups of 4 runs, 1 marked, by mean of best val_acc"
        assert rows(table)[0] == {
            "mark": "+",
            "group": "bn lr 0.1",
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
        assert [row["group"] for row in rows(table)] == ["no bn lr 0.01", "bn lr 0.1"]
        assert "by mean of last val_acc" in summary(pilot)
        await pilot.press("m", "o")
        assert [row["group"] for row in rows(table)] == ["no bn lr 0.01", "bn lr 0.1"]
        await pilot.press("home", "a")
        assert "That is a group; Enter shows its runs." in messages(pilot)
        await pilot.press("down", "enter")
        assert names(table) == ["d", "c"]
        assert [row["mark"] for row in rows(table)] == ["*", "*"]
        assert summary(pilot).startswith("2 of 4 runs, Esc: groups")
        await pilot.press("escape")
        assert table.row_count == 2 and table.cursor_row == 1
        await wait_for(pilot, lambda: remembered(tmp_path)["view"]["groups"])
        await pilot.press("c")
        await wait_for(pilot, lambda: isinstance(app.screen, CompareScreen))
        await pilot.press("escape", "g", "u", "enter")
        assert names(table) == ["d", "c", "b", "a"]
        assert [bool(row["mark"]) for row in rows(table)] == [True, True, False, False]


async def test_other_metrics_can_be_grouped_and_a_filter_narrows_groups(
    make_app: MakeApp, seeds: list[RunFolder]
) -> None:
    app = make_app()
    async with app.run_test(size=NARROW, notifications=True) as pilot:
        table = await open_history(pilot, 4)
        await pilot.press("g", "m", "enter")
        assert "by mean of val_loss" in summary(pilot)
        assert rows(table)[0]["mean"] == "1.2800"
        await pilot.press("slash")
        await type_in(pilot, "seed=0")
        assert [row["n"] for row in rows(table)] == ["1", "1"]
        assert "2 groups of 2 of 4 runs" in summary(pilot)
        await pilot.press("enter", "slash", "ctrl+u")
        await type_in(pilot, "nothing-like-it")
        await pilot.press("enter", "g")
        assert "There are no runs to group." in messages(pilot)


@pytest.mark.parametrize("content", ["{", '{"view": {"columns": ["colour"], "sort": 3}}'])
async def test_a_damaged_memory_shows_the_usual_columns(
    make_app: MakeApp, seeds: list[RunFolder], tmp_path: Path, content: str
) -> None:
    (tmp_path / "runs" / ".history.json").write_text(content)
    app = make_app()
    async with app.run_test(size=NARROW) as pilot:
        table = await open_history(pilot, 4)
        assert headers(table)[:2] == ["name", "settings"]
        assert summary(pilot) == "4 runs, by age"
