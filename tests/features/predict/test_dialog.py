"""The export dialog on a run that was really trained."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input, Static

from cifar_tui.features.predict import compute as export
from cifar_tui.features.predict.core import Export, read_predictions
from cifar_tui.features.predict.dialog import ExportDialog
from cifar_tui.runs.listing import Run, Runs, read_run
from tests.apps import MakeApp, SaveRun
from tests.training import demo_runs
from tests.waiting import screen_text, wait_for

NAME = "predictions-demo.csv"


@pytest.fixture
def run(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """A run on the demo set; the test works in an empty folder."""
    run = Runs(demo_runs(tmp_path_factory)).find("last")
    monkeypatch.chdir(tmp_path)
    return run


@pytest.fixture
def file(run: Run) -> Path:
    return Path(NAME)


async def ask(pilot: Pilot[None], run: Run) -> ExportDialog:
    dialog = ExportDialog(run)
    await pilot.app.push_screen(dialog)
    await pilot.pause()
    return dialog


def outcome(dialog: ExportDialog) -> str:
    return str(dialog.query_one("#outcome", Static).content)


def is_open(app: App[Any]) -> bool:
    return isinstance(app.screen, ExportDialog)


@pytest.mark.parametrize("size", [(80, 24), (140, 40), (60, 20)])
async def test_enter_writes_and_enter_closes(
    make_app: MakeApp, run: Run, file: Path, size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        dialog = await ask(pilot, run)
        assert dialog.query_one(Input).value == NAME
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        best = run.summary.best
        assert best is not None
        first, second, third, *_ = outcome(dialog).splitlines()
        assert first == f"1,000 predictions are in {NAME}."
        assert second == f"best val_acc {best.val_acc:.4f} @ 1"
        assert "synthetic" in third
        labels = read_predictions(file)
        assert len(labels) == 1000
        assert f"1 ring      {labels.count(1):>6,}" in outcome(dialog)
        region = dialog.query_one(".dialog").region
        assert 0 <= region.x < region.right <= size[0]
        assert 0 <= region.y < region.bottom <= size[1]
        await pilot.press("enter")
        await wait_for(pilot, lambda: not is_open(app))


async def test_an_existing_file_is_kept_unless_y(make_app: MakeApp, run: Run, file: Path) -> None:
    file.write_text("precious")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await ask(pilot, run)
        await pilot.press("enter")
        question = f"{NAME} exists. y replaces it, Esc keeps it."
        await wait_for(pilot, lambda: outcome(dialog) == question)
        await pilot.press("escape")
        await wait_for(pilot, lambda: not is_open(app))
        assert file.read_text() == "precious"

        dialog = await ask(pilot, run)
        await pilot.press("enter")
        await wait_for(pilot, lambda: outcome(dialog) == question)
        await pilot.press("y")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        assert len(read_predictions(file)) == 1000


async def test_another_path_can_be_typed(make_app: MakeApp, run: Run, tmp_path: Path) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await ask(pilot, run)
        dialog.query_one(Input).value = "no-folder/m"
        await pilot.press("end", "y", "enter")
        await wait_for(pilot, lambda: outcome(dialog).startswith("There is no folder no-folder;"))
        dialog.query_one(Input).value = "m"
        await pilot.press("end", "y", "enter")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        assert len(read_predictions(tmp_path / "my")) == 1000


async def test_a_run_without_best_is_refused(make_app: MakeApp, save_run: SaveRun) -> None:
    run = read_run(save_run((), name="[b]young").path)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await ask(pilot, run)
        assert outcome(dialog) == "[b]young has no best.pt: no epoch was finished."
        assert not dialog.query_one(".field").display
        await pilot.press("escape")
        await wait_for(pilot, lambda: not is_open(app))


async def test_what_goes_wrong_is_said_in_the_dialog(
    make_app: MakeApp, save_run: SaveRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_run(name="damaged")
    folder.best.write_bytes(b"no checkpoint")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await ask(pilot, read_run(folder.path))
        await pilot.press("enter")
        await wait_for(pilot, lambda: "not a checkpoint" in outcome(dialog))
        assert not Path("predictions.csv").exists()


async def test_esc_while_predicting_writes_nothing(
    make_app: MakeApp, run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, ended = threading.Event(), threading.Event()
    really = export.export_predictions

    def once_closed(*arguments: Any, **options: Any) -> Export:
        closed.wait(60)
        try:
            return really(*arguments, **options)
        finally:
            ended.set()

    monkeypatch.setattr(export, "export_predictions", once_closed)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await ask(pilot, run)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Predicting" in outcome(dialog))
        await pilot.press("escape")
        await wait_for(pilot, lambda: not is_open(app))
        closed.set()
        assert await asyncio.to_thread(ended.wait, 60)
        assert not file.exists()
