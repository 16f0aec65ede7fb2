"""The comparison: curves over each other and, below, only what differs."""

import json
from collections.abc import Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from cifar_tui.app import CifarApp
from cifar_tui.features.compare.screen import CompareScreen
from cifar_tui.features.history.screen import HistoryScreen
from cifar_tui.query.curves import METRICS
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.tui.plot import Curves
from cifar_tui.tui.row_table import RowTable
from tests.told import tell
from tests.waiting import screen_text, wait_for

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
        assert shown["depth"] == ["38", "-"]
        assert shown["aug"] == ["no", "yes"]
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
        tell(folders[1], {"event": "epoch", "epoch": 2, "val_acc": 0.9, "val_loss": 0.1})
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
    heads = {"batch", "momentum", "dropout", "act", "seed"}
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_comparison(pilot, [save_run(name="one"), save_run(name="two", **other)])
        assert heads <= set(columns(table))
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
        assert shown[2].startswith("+ yyy") and "…" in shown[2]
        legend = plot(pilot).replace("\n", "")
        assert "o [red]x[/red]  x \\x1b[31mred  + yyy" in legend


def summary(app: CifarApp) -> str:
    return str(app.screen.query_one("#summary", Static).content).strip()


async def test_axis_smoothing_and_log_are_said_over_the_plot(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_comparison(pilot, [save_run((0.5, 0.7), lr=0.1), save_run(lr=0.2)])
        await pilot.press("x", "s", "s", "L")
        assert plot(pilot).startswith("val_acc over step, smooth 0.6, log  o lr 0.1")
        found = columns(table)
        assert found["last"] == ["0.7000", "0.6000"], "the raw value is still told"
        assert found["smooth"][0] == f"{(0.6 * 0.4 * 0.5 + 0.4 * 0.7) / (1 - 0.36):.4f}"
        updates = -(-44442 // 128)
        first, *_, last = map(int, plot(pilot).splitlines()[-1].split())
        assert updates <= first < last <= 2 * updates
        await pilot.press("x", "S", "S", "L", "m")
        assert plot(pilot).startswith("val_loss over time  o lr 0.1")
        assert "0:00:04" in plot(pilot).splitlines()[-1]
        assert columns(table)["val_loss last"] == ["1.3000", "1.4000"]


@SIZES
async def test_the_cursor_reads_all_curves_at_one_place(
    make_app: MakeApp, save_run: SaveRun, size: tuple[int, int]
) -> None:
    long = tuple(0.01 * i for i in range(1, 31))
    app = make_app()
    async with app.run_test(size=size) as pilot:
        table = await open_comparison(
            pilot, [save_run(long, lr=0.1), save_run(long[:12], lr=0.2, epochs=30)]
        )
        await pilot.press(",")
        assert columns(table)["@ 30"] == ["0.3000", "0.1200 last"]
        await pilot.press(",", "less_than_sign")
        assert columns(table)["@ 26"] == ["0.2600", "0.1200 last"]
        await pilot.press("m")
        assert columns(table)["val_loss @ 26"][0] == "1.7400"
        await pilot.press("M", "plus", "plus")
        assert plot(pilot).splitlines()[-1].split()[0] != "1", "zoomed in about the cursor"
        await pilot.press(*["less_than_sign"] * 8)
        assert columns(table)["@ 18"] == ["0.1800", "0.1200 last"]
        before = int(plot(pilot).splitlines()[-1].split()[0])
        assert before in (18, 19, 20), "the window follows the cursor"
        await pilot.press("right_square_bracket")
        assert int(plot(pilot).splitlines()[-1].split()[0]) > before
        await pilot.press("0")
        assert "last" in columns(table)
        first, *_, last = plot(pilot).splitlines()[-1].split()[: 7 if size[0] == 80 else None]
        assert (first, last) == ("5", "30")


@pytest.mark.parametrize("key", [",", "full_stop"])
async def test_the_window_may_change_its_size_while_the_cursor_is_set(
    make_app: MakeApp, save_run: SaveRun, key: str
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_comparison(pilot, [save_run(lr=0.1), save_run(lr=0.2)])
        await pilot.press(key)
        for width, height in ((70, 24), (140, 40), (60, 12), (200, 8), (20, 5), (80, 24)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
        assert plot(pilot).startswith("val_acc")
        assert "│" in screen_text(app) and "^" in screen_text(app)


async def test_a_baseline_has_columns_of_differences(make_app: MakeApp, save_run: SaveRun) -> None:
    app = make_app()
    async with app.run_test(size=(140, 40)) as pilot:
        folders = [save_run((0.5, 0.6), lr=0.1), save_run((0.7, 0.65), lr=0.2)]
        table = await open_comparison(pilot, folders)
        assert not any(name.startswith("Δ") for name in columns(table))
        await pilot.press("down", "p")
        found = columns(table)
        assert found["Δ best"] == ["-0.1000", "base"]
        assert found["Δ last"] == ["-0.0500", "base"]
        assert found["Δ time"] == ["+0:00:00", "base"]
        assert summary(app).endswith("baseline x")
        await pilot.press(",", ",")
        assert columns(table)["Δ @"] == ["-0.2000", "base"]
        await pilot.press("p")
        assert not any(name.startswith("Δ") for name in columns(table))


async def test_seeds_become_one_curve_with_mean_and_band(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    folders = [
        save_run((0.5, 0.6), lr=0.1, seed=0),
        save_run((0.3, 0.4), lr=0.2, seed=0),
        save_run((0.5, 0.8), lr=0.1, seed=1),
    ]
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_comparison(pilot, folders)
        await pilot.press("u")
        found = columns(table)
        assert found["run"] == ["o", "x"]
        assert found["lr"] == ["0.1", "0.2"]
        assert found["n"] == ["2", "1"]
        assert found["best val_acc"] == ["0.7000 ± 0.1414", "0.4000 @ 2"]
        assert found["last"] == ["0.7000 ± 0.1414", "0.4000"]
        assert "seed" not in found
        assert summary(app) == "2 groups of 3 runs that differ in lr"
        title = "val_acc, mean ± std  o lr 0.1 n 2  x lr 0.2"
        assert plot(pilot).startswith(title)
        narrow = plot(pilot)
        await pilot.press("u")
        assert plot(pilot).startswith("val_acc, mean, min to max")
        assert plot(pilot).splitlines()[1:] != narrow.splitlines()[1:], "the band is another"
        await pilot.press("u")
        assert table.row_count == 3


async def test_a_hidden_curve_keeps_its_row_and_the_others_their_marks(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_comparison(pilot, [save_run(lr=lr) for lr in (0.1, 0.2, 0.3)])
        await pilot.press("down", "space")
        assert plot(pilot).startswith("val_acc  o lr 0.1  + lr 0.3")
        assert columns(table)["run"] == ["o", "", "+"]
        await pilot.press("up", "space", "down", "down", "space", ",")
        assert "@" not in "".join(columns(table)), "no curve, no cursor"
        await pilot.press("space")
        assert plot(pilot).startswith("val_acc  + lr 0.3")


async def test_where_a_run_diverged_is_written_in_plot_and_table(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    folders = [save_run((0.5, 0.1), status="diverged", lr=1.0), save_run((0.5,) * 9, lr=0.1)]
    tell(folders[0], {"event": "epoch", "epoch": 3, "val_loss": float("nan"), "val_acc": 0.1})
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_comparison(pilot, folders)
        await pilot.press("m")
        assert "o diverged at 3" in plot(pilot)
        assert columns(table)["status"] == ["diverged at 3", "finished"]
        await pilot.press(",")
        assert columns(table)["val_loss @ 9"] == ["-", "1.5000"]


async def test_nothing_below_is_drawn_while_runs_are_compared(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_comparison(pilot, [save_run(lr=0.1), save_run(lr=0.2)])
        history = next(s for s in app.screen_stack if isinstance(s, HistoryScreen))
        assert not history.is_current
        await pilot.press("question_mark")
        assert app.screen_stack[-2].is_current, "a dialog lets the screen below through"
        assert not history.is_current


async def test_a_dozen_long_runs_and_one_without_an_epoch(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    accs = [tuple(0.5 + 0.001 * i + 0.0005 * e for e in range(300)) for i in range(11)]
    folders = [save_run(acc, lr=0.01 * (i + 1)) for i, acc in enumerate(accs)]
    folders.append(save_run((), status="queued", lr=0.5))
    app = make_app()
    async with app.run_test(size=(140, 40)) as pilot:
        table = await open_comparison(pilot, folders)
        beside = app.screen.query_one("#beside", Curves)
        assert str(beside.content).startswith("val_loss  o lr 0.01"), "room for a second metric"
        assert columns(table)["last"][-2:] == ["0.6595", "-"]
        await pilot.press("x", "x", "s", "u", ",", "plus", "plus", "left_square_bracket", "L")
        assert plot(pilot).startswith("val_acc over time, smooth 0.3, log, mean ± std")
        assert table.row_count == 12
        await pilot.resize_terminal(80, 24)
        await wait_for(pilot, lambda: not beside.display)
