"""The comparison: curves over each other and, below, only what differs."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from cifar_tui.runs.compare import labels
from cifar_tui.runs.curves import METRICS
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.ui.app import CifarApp
from cifar_tui.ui.compare import CompareScreen
from cifar_tui.ui.history import HistoryScreen
from cifar_tui.ui.plot import Curves
from cifar_tui.ui.table import RowTable
from tests.ui.waiting import wait_for

MakeApp = Callable[..., CifarApp]
SaveRun = Callable[..., RunFolder]
SIZES = pytest.mark.parametrize("size", [(80, 24), (140, 40)])


async def open_comparison(pilot: Pilot[None], folders: list[RunFolder]) -> RowTable:
    """Compare these runs and wait for their figures."""
    await pilot.press("f4")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, HistoryScreen))
    await pilot.app.push_screen(CompareScreen([folder.id for folder in folders]))
    table = pilot.app.screen.query_one(RowTable)
    await wait_for(pilot, lambda: table.row_count == len(folders))
    return table


def columns(table: RowTable) -> dict[str, list[str]]:
    """The columns as they are shown, from top to bottom."""
    rows = [[str(cell).strip() for cell in table.get_row_at(i)] for i in range(table.row_count)]
    names = [column.name for column in table.columns]
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def plot(pilot: Pilot[None]) -> str:
    return str(pilot.app.screen.query_one(Curves).content)


@SIZES
async def test_only_settings_that_differ_stand_beside_the_figures(
    make_app: MakeApp, save_run: SaveRun, size: tuple[int, int]
) -> None:
    folders = [
        save_run((0.5, 0.68, 0.66), name="high", batch_norm=True, lr=0.1),
        save_run((0.6, 0.7182), name="low", batch_norm=True, epochs=3, status="stopped"),
    ]
    app = make_app()
    async with app.run_test(size=size) as pilot:
        table = await open_comparison(pilot, folders)
        assert columns(table) == {
            "run": ["o high", "x low"],
            "lr": ["0.1", "0.01"],
            "best val_acc": ["0.6800 @ 2", "0.7182 @ 2"],
            "last": ["0.6600", "0.7182"],
            "epochs": ["3/3", "2/3"],
            "time": ["0:00:13", "0:00:13"],
            "status": ["finished", "stopped"],
            "images": ["course", "course"],
        }
        head = str(app.screen.query_one("#summary", Static).content).strip()
        assert head == "2 runs that differ in lr"
        best = str(app.screen.query_one("#best", Static).content).strip()
        assert best == "best x 0.7182 @ 2"
        assert "val_acc  o lr 0.1  x lr 0.01" in plot(pilot)


async def test_a_default_that_is_merely_not_in_force_is_no_column(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    folders = [save_run(model="resnet", depth=38), save_run(augment=True)]
    app = make_app()
    async with app.run_test(size=(140, 40)) as pilot:
        table = await open_comparison(pilot, folders)
        shown = columns(table)
        assert shown["model"] == ["resnet", "simplenn"]
        assert shown["depth"] == ["38", ""]
        assert shown["augment"] == ["no", "yes"]
        assert not {"shortcut", "crop_padding", "flip"} & set(shown)


async def test_m_shows_the_next_metric_and_comes_round(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_comparison(pilot, [save_run(lr=0.1), save_run(lr=0.2)])
        for metric in [*METRICS, "val_acc"]:
            assert plot(pilot).startswith(f"{metric}  o")
            await pilot.press("m")
        await pilot.press("M")
        assert plot(pilot).startswith("val_acc")


@pytest.mark.parametrize("key", ["escape", "c"])
async def test_back_leads_to_the_history(make_app: MakeApp, save_run: SaveRun, key: str) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_comparison(pilot, [save_run(lr=0.1), save_run(lr=0.2)])
        await pilot.press(key)
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))


async def test_synthetic_images_are_named_in_table_and_curve(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    folders = [save_run(lr=0.1), save_run(lr=0.2)]
    summary = read_run(folders[1].path).summary
    folders[1].write_summary(summary.model_copy(update={"source": "demo"}))
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_comparison(pilot, folders)
        assert columns(table)["images"] == ["course", "demo (synthetic)"]
        assert "x lr 0.2 demo" in plot(pilot)


async def test_a_run_in_training_is_followed(make_app: MakeApp, save_run: SaveRun) -> None:
    folders = [save_run((0.5, 0.6), lr=0.1), save_run((0.5,), lr=0.2, epochs=2)]
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_comparison(pilot, folders)
        before = plot(pilot)
        folders[1].append({"event": "epoch", "epoch": 2, "val_acc": 0.9, "val_loss": 0.1})
        summary = read_run(folders[1].path).summary
        folders[1].write_summary(summary.model_copy(update={"epochs_done": 2}))
        await wait_for(pilot, lambda: columns(table)["epochs"] == ["2/2", "2/2"])
        assert plot(pilot) != before


async def test_a_run_that_vanishes_leaves_the_others(make_app: MakeApp, save_run: SaveRun) -> None:
    folders = [save_run(lr=0.1), save_run(lr=0.2), save_run((), lr=0.3, status="queued")]
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_comparison(pilot, folders)
        app.runs.delete(app.runs.get(folders[0].id))
        await wait_for(pilot, lambda: columns(table)["status"][0] == "unreadable")
        assert columns(table)["status"][1:] == ["finished", "queued"]


async def test_more_settings_than_fit_scroll_sideways_beside_the_names(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    other = {"batch_size": 64, "momentum": 0.5, "dropout": 0.1, "activation": "swish", "seed": 7}
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_comparison(pilot, [save_run(name="one"), save_run(name="two", **other)])
        assert set(other) <= set(columns(table))
        assert table.max_scroll_x > 0
        assert table.fixed_columns == 1
        await pilot.press(*["right"] * 3)
        await wait_for(pilot, lambda: table.scroll_x > 0)


@SIZES
async def test_hostile_names_are_shown_literally(
    make_app: MakeApp, save_run: SaveRun, size: tuple[int, int]
) -> None:
    folders = [save_run(name="[red]x[/red]"), save_run(), save_run()]
    for folder, name in zip(folders[1:], ("\x1b[31mred", "y" * 5000), strict=True):
        (folder.path / "notes.json").write_text(json.dumps({"name": name}))
    app = make_app()
    async with app.run_test(size=size) as pilot:
        table = await open_comparison(pilot, folders)
        shown = columns(table)["run"]
        assert shown[0] == "o [red]x[/red]"
        assert shown[1] == "x \\x1b[31mred"
        assert shown[2].startswith("+ yyy") and shown[2].endswith("…")
        assert "o [red]x[/red]  x \\x1b[31mred  + yyy" in plot(pilot)


def test_labels_tell_the_runs_apart(save_run: SaveRun) -> None:
    def made(*settings: dict[str, Any]) -> list[str]:
        return labels([read_run(save_run(**s).path) for s in settings])

    assert made({"lr": 0.1}, {"lr": 0.2}) == ["lr 0.1", "lr 0.2"]
    assert made({"model": "resnet"}, {}) == ["resnet20", "simplenn"]
    assert made({"name": "a"}, {"name": "b"}) == ["a", "b"]
    twins = made({"name": "same"}, {"name": "same"})
    assert len(set(twins)) == 2
