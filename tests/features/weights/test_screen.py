"""Weights, loss surfaces and imports in the app, on a net that was really trained."""

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from cifar_tui.features.history.screen import HistoryScreen
from cifar_tui.features.import_.dialog import ImportDialog
from cifar_tui.features.surface import compute as surface
from cifar_tui.features.surface.core import FILE, LEAST_SIZE, Slice, Surface
from cifar_tui.features.surface.screen import SurfaceScreen
from cifar_tui.features.weights.screen import WeightsScreen
from cifar_tui.files import fingerprint
from cifar_tui.runs.derived import write_derived
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp, SaveRun
from tests.training import demo_runs
from tests.waiting import screen_text, toasts, wait_for

SIZES = pytest.mark.parametrize("size", [(80, 24), (140, 40)])


@pytest.fixture
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Runs(demo_runs(tmp_path_factory)).find("last")


@pytest.fixture
def folders(trained: Run, save_run: SaveRun) -> list[RunFolder]:
    """Two runs with weights, and a third one that has none yet."""
    found = [save_run(name="l1"), save_run(name="l2")]
    for folder in found:
        shutil.copy(trained.path / "best.pt", folder.best)
    return [*found, save_run((), name="young")]


async def open_history(pilot: Pilot[None], runs: int) -> RowTable:
    """History, with its cursor on the first row: the newest run."""
    await pilot.press("f4")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, HistoryScreen))
    table = pilot.app.screen.query_one(RowTable)
    await wait_for(pilot, lambda: table.row_count == runs)
    return table


def text(pilot: Pilot[None], name: str) -> str:
    return str(pilot.app.screen.query_one(f"#{name}", Static).content)


@SIZES
async def test_weights_of_marked_runs_stand_side_by_side(
    make_app: MakeApp, folders: list[RunFolder], size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await open_history(pilot, 3)
        await pilot.press("down", "space", "down", "space", "w")
        await wait_for(pilot, lambda: isinstance(app.screen, WeightsScreen))
        await wait_for(pilot, lambda: "█" in text(pilot, "pictures"))
        assert text(pilot, "head").startswith(" whole net: share below 1e-3 A 0.")
        first, *_, axis = text(pilot, "pictures").splitlines()
        assert first.split() == ["A", "l2", "B", "l1"]
        assert len(axis.split()) == 6
        assert all(len(line) <= size[0] for line in screen_text(app).splitlines())
        await pilot.press("right_square_bracket")
        await wait_for(pilot, lambda: text(pilot, "head").startswith(" conv1:"))
        assert "<0.001 A" in screen_text(app)
        await pilot.press("m")
        assert "mean A" in screen_text(app)
        assert text(pilot, "head").startswith(" conv1:")
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))


@pytest.mark.parametrize("key", ["w", "v"])
async def test_a_run_without_weights_says_so(
    make_app: MakeApp, folders: list[RunFolder], key: str
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_history(pilot, 3)
        await pilot.press(key)
        await wait_for(pilot, lambda: toasts(app))
        assert all("no epoch was finished" in told for told in toasts(app).split("\n"))
        assert isinstance(app.screen, HistoryScreen)


async def test_weights_of_the_watched_run(make_app: MakeApp, folders: list[RunFolder]) -> None:
    app = make_app(watch=folders[0].id)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for(pilot, lambda: "l1" in text(pilot, "run"))
        await pilot.press("w")
        await wait_for(pilot, lambda: isinstance(app.screen, WeightsScreen))
        await wait_for(pilot, lambda: "█" in text(pilot, "pictures"))


def keep_surface(folder: RunFolder, slope: float) -> None:
    size = Slice().size
    middle = size // 2
    rows = tuple(
        tuple(0.5 + slope * (abs(i - middle) + abs(j - middle)) for j in range(size))
        for i in range(size)
    )
    kept = Surface(
        slice=Slice(),
        weights=fingerprint(folder.best),
        epoch=1,
        source="course",
        centre=0.5,
        seconds=1,
        losses=rows,
    )
    write_derived(folder.path / FILE, kept)


@SIZES
async def test_kept_surfaces_are_drawn_at_once_on_one_scale(
    make_app: MakeApp,
    folders: list[RunFolder],
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(surface, "compute", lambda *_: pytest.fail("computed"))
    keep_surface(folders[0], 0.01)
    keep_surface(folders[1], 1.0)
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await open_history(pilot, 3)
        await pilot.press("down", "space", "down", "space", "v")
        await wait_for(pilot, lambda: isinstance(app.screen, SurfaceScreen))
        await wait_for(pilot, lambda: "B l1" in text(pilot, "pictures"))
        assert "A 0.0023, B 1.0000" in text(pilot, "head")
        lines = text(pilot, "pictures").splitlines()
        half = len(lines[0][: lines[0].index("B l1")]) - 1
        assert "@" in "".join(line[:half] for line in lines)
        assert "@" not in "".join(line[half:] for line in lines)
        figures = screen_text(app)
        assert "20.5000" in figures
        assert "0.7000" in figures
        assert figures.count("synthetic") == 0


async def test_esc_ends_the_computation_and_nothing_is_kept(
    make_app: MakeApp, trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs" / trained.id
    shutil.copytree(trained.path, path)
    (path / FILE).unlink(missing_ok=True)
    begun, closed, ended = threading.Event(), threading.Event(), threading.Event()
    really, ticks = surface.surface_of, []

    def once_closed(run: Run, wanted: Slice, *, tick: Any, **options: Any) -> Surface:
        def counted(done: int, points: int) -> None:
            ticks.append(done)
            tick(done, points)

        begun.set()
        closed.wait(60)
        try:
            return really(run, Slice(size=LEAST_SIZE, images=100), tick=counted, **options)
        finally:
            ended.set()

    monkeypatch.setattr(surface, "surface_of", once_closed)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_history(pilot, 1)
        await pilot.press("v")
        await wait_for(pilot, begun.is_set)
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        closed.set()
        assert await asyncio.to_thread(ended.wait, 60)
        assert len(ticks) == 1, "the first point ends it"
        assert not (path / FILE).exists()


async def test_more_than_four_marked_runs_are_refused(make_app: MakeApp, save_run: SaveRun) -> None:
    for number in range(5):
        save_run(name=f"run {number}")
    app = make_app()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await open_history(pilot, 5)
        await pilot.press(*["space", "down"] * 5, "v")
        await wait_for(pilot, lambda: toasts(app))
        assert toasts(app) == "5 runs are marked; up to 4 fit side by side."
        assert isinstance(app.screen, HistoryScreen)


async def test_a_checkpoint_is_imported_from_a_typed_path(
    make_app: MakeApp, trained: Run, save_run: SaveRun, tmp_path: Path
) -> None:
    save_run(name="before")
    file = tmp_path / "notebook.pth"
    shutil.copy(trained.path / "best.pt", file)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_history(pilot, 1)
        await pilot.press("I")
        await wait_for(pilot, lambda: isinstance(app.screen, ImportDialog))
        await pilot.press("enter")
        await wait_for(pilot, lambda: "file must be the path of" in text(pilot, "outcome"))
        app.screen.query_one("#file", Input).value = str(tmp_path / "gone.pth")
        await pilot.press("enter")
        await wait_for(pilot, lambda: "There is no file" in text(pilot, "outcome"))
        app.screen.query_one("#file", Input).value = str(file)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        assert "notebook is imported as" in text(pilot, "outcome")
        assert "synthetic" in text(pilot, "outcome")
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await wait_for(pilot, lambda: table.row_count == 2)
