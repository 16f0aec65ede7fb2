"""Ensembles, flips and agreement in the app, on nets that were really trained."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from textual.pilot import Pilot
from textual.widgets import Input

from cifar_tui.features.history.screen import HistoryScreen
from cifar_tui.features.predict.core import read_predictions
from cifar_tui.features.predict.dialog import AgreementDialog, EnsembleDialog, ExportDialog
from cifar_tui.runs.listing import read_run
from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp
from tests.training import demo_runs
from tests.waiting import screen_text, wait_for

SIZES = pytest.mark.parametrize("size", [(80, 24), (140, 40)])
NAME = "predictions-demo.csv"


@pytest.fixture
def two(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> list[Path]:
    """Two runs on the demo set, the newer one damped; the test works in an empty folder."""
    (trained,) = [path for path in demo_runs(tmp_path_factory).iterdir() if path.name[0] != "."]
    found = []
    for number, name in enumerate(("one", "two")):
        path = tmp_path / "runs" / f"2026010{number + 1}-000000-{name}"
        shutil.copytree(trained, path)
        (path / "notes.json").write_text(json.dumps({"name": name}))
        found.append(path)
    content = torch.load(found[1] / "best.pt", weights_only=True)
    content["state_dict"]["fc3.bias"][0] += 1
    torch.save(content, found[1] / "best.pt")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return found


async def open_history(pilot: Pilot[None]) -> None:
    await pilot.press("f4")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, HistoryScreen))
    table = pilot.app.screen.query_one(RowTable)
    await wait_for(pilot, lambda: table.row_count == 2)


@SIZES
async def test_the_ensemble_of_the_marked_shows_its_choices_and_writes_the_best(
    make_app: MakeApp, two: list[Path], size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size, notifications=True) as pilot:
        await open_history(pilot)
        await pilot.press("space", "E")
        assert isinstance(app.screen, HistoryScreen)
        await pilot.press("down", "E")
        await wait_for(pilot, lambda: isinstance(app.screen, EnsembleDialog))
        await wait_for(pilot, lambda: "> is what is written" in screen_text(app))
        await wait_for(pilot, lambda: screen_text(app).count("  0.") >= 6)
        text = screen_text(app)
        assert "  > " in text
        assert "ensemble of 2 + flips" in text and "one + flips" in text
        region = app.screen.query_one(".dialog").region
        assert 0 <= region.y < region.bottom <= size[1]
        assert app.screen.query_one(Input).value == NAME
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        record = json.loads(Path("predictions-demo.json").read_text())
        assert len(record["choices"]) == 6
        assert record["chosen"]["val_acc"] == max(c["val_acc"] for c in record["choices"])
        assert len(read_predictions(Path(NAME))) == 1000
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))


async def test_runs_of_unlike_images_are_refused_in_the_dialog(
    make_app: MakeApp, two: list[Path]
) -> None:
    meta = json.loads((two[0] / "meta.json").read_text())
    meta["dataset"]["fingerprint"] = "0" * 16
    (two[0] / "meta.json").write_text(json.dumps(meta))
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_history(pilot)
        await pilot.press("space", "down", "E")
        await wait_for(pilot, lambda: "different images" in screen_text(app))
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        assert list(Path().iterdir()) == []


async def test_f7_tries_flips_and_asks_for_either_file(make_app: MakeApp, two: list[Path]) -> None:
    Path("predictions-demo.json").write_text("precious")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(ExportDialog(read_run(two[0])))
        await pilot.pause()
        assert "F7 tries flips as well" in screen_text(app)
        await pilot.press("f7", "f7", "f7")
        assert "with flips if val_acc is better" in screen_text(app)
        await pilot.press("enter")
        await wait_for(pilot, lambda: "predictions-demo.json exists." in screen_text(app))
        await pilot.press("y")
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        choices = json.loads(Path("predictions-demo.json").read_text())["choices"]
        assert [(c["flips"], len(c["runs"])) for c in choices] == [(False, 1), (True, 1)]


async def test_agreement_of_two_marked_runs(make_app: MakeApp, two: list[Path]) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_history(pilot)
        await pilot.press("space", "down", "space", "=")
        await wait_for(pilot, lambda: isinstance(app.screen, AgreementDialog))
        await wait_for(pilot, lambda: "Enter closes" in screen_text(app))
        text = screen_text(app)
        assert "equal labels on val (synthetic):" in text
        assert "A right" in text and "McNemar's exact test: p" in text
        region = app.screen.query_one(".dialog").region
        assert 0 <= region.y < region.bottom <= 24
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
