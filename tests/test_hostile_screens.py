"""The screens over runs that are each bad in their own way."""

from pathlib import Path

import pytest

from cifar_tui.app import CifarApp
from cifar_tui.features.compare.screen import CompareScreen
from cifar_tui.features.history.screen import HistoryScreen
from cifar_tui.features.inspect.screen import RunScreen
from cifar_tui.features.live.page import RunPage
from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp
from tests.hostile import (
    EPOCH,
    ESCAPES,
    NAMES,
    POINT,
    PROGRESS,
    RUBBISH,
    SUMMARY,
    as_json,
    as_lines,
    show_everything,
)
from tests.waiting import screen_text, wait_for


def hostile_runs(runs: Path) -> set[str]:
    """Thirty runs, each bad in its own way."""
    whole = [
        {
            "summary.json": as_json(SUMMARY | {"name": name}),
            "events.jsonl": as_lines([EPOCH, event]),
        }
        for name in ("x", ESCAPES[:-7] + "[/red]")
        for event in (
            EPOCH | {"epoch": 2, "train_loss": 3e38, "val_loss": -3e38, "val_acc": 1e308},
            EPOCH | {"epoch": 10**9},
            EPOCH | {"epoch": 10**400, "val_acc": "x", "train_seconds": []},
            EPOCH | {"epoch": True, "lr": {}},
            {"event": "epoch", "epoch": 2},
        )
    ]
    running = [
        {
            "summary.json": as_json(SUMMARY | {"status": "running", "epochs": epochs}),
            "progress.json": as_json(PROGRESS | wrong),
        }
        for epochs, wrong in (
            (0, {"images": -5, "phase": "train", "epoch": 10**18}),
            (10**18, {"images_per_second": 1e308, "seconds_left": float("inf")}),
            (3, {"images_done": 10**9, "phase": "train", "epoch": -(10**9)}),
            (3, {"seconds_left": -1e308, "images_per_second": -1e308}),
            (3, {"worker": PROGRESS["worker"] | {"pid": 10**30}}),
            (3, {"worker": PROGRESS["worker"] | {"host": "elsewhere", "started": 1e300}}),
        )
    ]
    figures = [
        {"summary.json": as_json(SUMMARY | wrong), "meta.json": as_json({"a": [ESCAPES], "b": {}})}
        for wrong in (
            {"best": POINT | {"val_acc": 1e308, "epoch": 10**18}},
            {"seconds": -1e308, "parameters": 10**40},
            {"epochs_done": -(10**18), "initial_loss": 1e308},
            {"spec": [], "status": "\x1b"},
        )
    ]
    rubbish_runs = [{"summary.json": content} for content in RUBBISH]
    names = set()
    for number, content in enumerate([*whole, *running, *figures, *rubbish_runs]):
        odd = NAMES[number % len(NAMES)] if number % 3 == 0 else "x"
        folder = runs / f"20260101-0000{number:02d}-{odd}"
        folder.mkdir(parents=True)
        names.add(folder.name)
        for name, data in content.items():
            (folder / name).write_bytes(data)
    return names


@pytest.mark.slow
async def test_every_hostile_run_is_listed_and_can_be_watched(
    make_app: MakeApp, tmp_path: Path
) -> None:
    names = hostile_runs(tmp_path / "runs")
    show_everything(tmp_path / "runs")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f4")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        table = app.screen.query_one(RowTable)
        await wait_for(pilot, lambda: table.row_count == len(names))
        assert set(table.keys) == names
        assert_printable(app)
        for name in sorted(names):
            app.watch_run(name)
            await wait_for(pilot, lambda: isinstance(app.screen, RunPage))
            await pilot.pause()
            assert_printable(app)
            await pilot.press("i")
            await wait_for(pilot, lambda: isinstance(app.screen, RunScreen))
            assert_printable(app)
            await pilot.press("escape", "escape")
        await pilot.press("f4", "space", "down", "space", "down", "space", "c")
        await wait_for(pilot, lambda: isinstance(app.screen, CompareScreen))
        await wait_for(pilot, lambda: app.screen.query_one(RowTable).row_count == 3)
        assert_printable(app)


def assert_printable(app: CifarApp) -> None:
    for line in screen_text(app).split("\n"):
        assert line.isprintable()
