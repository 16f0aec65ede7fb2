"""The lab book on the screen: states, verdicts, launching what lacks, and one experiment."""

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from cifar_tui.app import CifarApp
from cifar_tui.features.compare.screen import CompareScreen
from cifar_tui.features.labs.assignment import BY_NAME, LABS
from cifar_tui.features.labs.experiments import Scale
from cifar_tui.features.labs.screen import ExperimentScreen, LabScreen
from cifar_tui.features.live.page import RunPage
from cifar_tui.features.new_run.dialog import LayersScreen
from cifar_tui.features.weights.screen import WeightsScreen
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from cifar_tui.tui.dialogs import Ask
from cifar_tui.tui.plot import Curves
from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp, SaveRun
from tests.waiting import screen_text, wait_for

Save = Callable[..., list[RunFolder]]


@pytest.fixture
def save_lab(save_run: SaveRun) -> Save:
    """Write the runs of an experiment, each ended with its val_acc; None leaves one out."""

    def save(name: str, *accs: float | None, seed: int = 0) -> list[RunFolder]:
        lab = BY_NAME[name]
        found = []
        for arm, acc in zip(lab.arms, accs, strict=True):
            if acc is not None:
                settings = arm.spec(lab.name, Scale(epochs=3), seed).model_dump()
                found.append(save_run((acc - 0.1, acc - 0.05, acc), **settings))
        return found

    return save


async def open_labs(app: CifarApp, pilot: Pilot[None], tiny: Path) -> RowTable:
    """Go to the lab book at three epochs, on the images of the saved runs."""
    app.data, app.lab_scale = str(tiny), Scale(epochs=3)
    await pilot.press("f12")
    await wait_for(pilot, lambda: isinstance(app.screen, LabScreen))
    table = app.screen.query_one(RowTable)
    await wait_for(pilot, lambda: table.row_count == len(LABS))
    return table


async def open_experiment(app: CifarApp, pilot: Pilot[None], tiny: Path, name: str) -> RowTable:
    table = await open_labs(app, pilot, tiny)
    for _ in range([lab.name for lab in LABS].index(name)):
        await pilot.press("down")
    assert table.cursor_key == name
    await pilot.press("enter")
    await wait_for(pilot, lambda: isinstance(app.screen, ExperimentScreen))
    settings = app.screen.query_one(RowTable)
    await wait_for(pilot, lambda: settings.row_count == len(BY_NAME[name].arms))
    return settings


def cells(table: RowTable, row: int) -> list[str]:
    return [str(cell).strip() for cell in table.get_row_at(row)]


def said(app: CifarApp, name: str) -> str:
    return str(app.screen.query_one(f"#{name}", Static).content)


async def test_every_lab_stands_in_one_line_with_its_state_and_answer(
    make_app: MakeApp, save_lab: Save, tiny_course: Path
) -> None:
    save_lab("lab2-bn", 0.68, 0.74)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_labs(app, pilot, tiny_course)
        wanted = ["lab2-bn", "done", "0.7400", "0.7224", "0.7000", "yes"]
        await wait_for(pilot, lambda: cells(table, 3)[:6] == wanted)
        assert cells(table, 2)[1] == "1 of 2"
        assert said(app, "summary").startswith(" 1 of 23 labs done, on course images, 3 epochs")
        await pilot.press("down", "down", "down")
        await wait_for(pilot, lambda: "Does batch norm help?" in said(app, "detail"))
        assert "Yes, as expected" in said(app, "detail")
        shown = screen_text(app)
        assert all(lab.name in shown for lab in LABS[:16])


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_an_experiment_shows_table_curves_and_verdict(
    make_app: MakeApp, save_lab: Save, tiny_course: Path, size: tuple[int, int]
) -> None:
    save_lab("lab2-bn", 0.68, 0.74)
    save_lab("lab2-bn", 0.70, 0.75, seed=1)
    app = make_app()
    async with app.run_test(size=size) as pilot:
        table = await open_experiment(app, pilot, tiny_course, "lab2-bn")
        await wait_for(pilot, lambda: "0.7450 ± 0.0071" in cells(table, 1))
        row = ["0.7224", "0.714-0.738 (5)", "2.3034", "2/1 done"]
        gap = ["0.7950", "+0.0500"] if size[0] == 140 else []
        assert cells(table, 1) == ["x bn", "0.7450 ± 0.0071", *gap, *row]
        curves = app.screen.query_one(Curves)
        await wait_for(pilot, lambda: str(curves.content).startswith("val_acc  o no bn  x bn"))
        await pilot.press("m")
        assert str(curves.content).startswith("val_loss")
        assert "as expected" in said(app, "verdict") and "3 of 30 epochs" in said(app, "verdict")
        notes = said(app, "notes")
        assert "ln 10 = 2.3026" in notes and "asked for 0.7000, reached" in notes and "cpu" in notes
        shown = screen_text(app)
        assert "lab2-bn  Does batch norm help?" in shown and "done" in shown
        assert "F5 launch" in shown


async def test_launch_asks_how_much_and_trains_only_what_is_missing(
    make_app: MakeApp, save_lab: Save, tiny_course: Path, tmp_path: Path
) -> None:
    save_lab("lab2-bn-lr", 0.7, None, 0.72, 0.69)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_experiment(app, pilot, tiny_course, "lab2-bn-lr")
        await wait_for(pilot, lambda: cells(table, 0)[-1] == "1/1 done")
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, Ask))
        text = " ".join(screen_text(app).replace("│", " ").split())
        assert "Launch 1 run of lab2-bn-lr, on course images, 3 epochs?" in text
        assert "0:00:13 by the pace of runs like these" in text
        await pilot.press("y")
        state = app.runs.all
        await wait_for(pilot, lambda: len(state()) == 4 and state()[-1].status == "finished")
        await wait_for(pilot, lambda: said(app, "state") == "done ")
        newest = Runs(tmp_path / "runs").all()[-1]
        assert newest.spec is not None and (newest.spec.lr, newest.spec.batch_norm) == (0.1, False)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ExperimentScreen), "nothing is missing any more"


async def test_from_an_experiment_to_its_runs_models_and_back(
    make_app: MakeApp, save_lab: Save, tiny_course: Path
) -> None:
    folders = save_lab("lab2-bn", 0.68, 0.74)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_experiment(app, pilot, tiny_course, "lab2-bn")
        await wait_for(pilot, lambda: cells(table, 1)[-1] == "1/1 done")
        await pilot.press("y")
        await wait_for(pilot, lambda: isinstance(app.screen, LayersScreen))
        await pilot.press("escape", "c")
        await wait_for(pilot, lambda: isinstance(app.screen, CompareScreen))
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, ExperimentScreen))
        await pilot.press("down", "o")
        await wait_for(pilot, lambda: isinstance(app.screen, RunPage))
        assert app.screen.run_id == folders[1].id
        await pilot.press("b")
        await wait_for(pilot, lambda: isinstance(app.screen, LabScreen))


async def test_the_scale_is_chosen_in_a_dialog_that_refuses_nonsense(
    make_app: MakeApp, save_lab: Save, tiny_course: Path
) -> None:
    save_lab("lab2-bn", 0.68, 0.74)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_labs(app, pilot, tiny_course)
        await wait_for(pilot, lambda: cells(table, 3)[1] == "done")
        await pilot.press("s")
        await wait_for(pilot, lambda: len(app.screen.query(Input)) == 4)
        app.screen.query_one("#seeds", Input).value = "many"
        await pilot.press("enter")
        await wait_for(pilot, lambda: "seeds must be a whole number" in screen_text(app))
        app.screen.query_one("#seeds", Input).value = "2"
        await wait_for(pilot, lambda: "seeds must be a whole number" not in screen_text(app))
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, LabScreen))
        assert app.lab_scale == Scale(epochs=3, seeds=2)
        await wait_for(pilot, lambda: cells(table, 3)[1] == "2 of 4")


async def test_synthetic_images_are_named_and_real_runs_do_not_count_for_them(
    make_app: MakeApp, save_lab: Save, tiny_course: Path
) -> None:
    save_lab("lab2-bn", 0.68, 0.74)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_labs(app, pilot, Path("demo"))
        assert "0 of 23 labs done, on the demo set (synthetic)" in said(app, "summary")


async def test_weights_are_laid_side_by_side_once_there_are_any(
    make_app: MakeApp, save_lab: Save, tiny_course: Path
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await open_experiment(app, pilot, tiny_course, "lab2-bn")
        await pilot.press("w")
        assert isinstance(app.screen, ExperimentScreen), "there is no run yet"
        save_lab("lab2-bn", 0.68, 0.74)
        await wait_for(pilot, lambda: cells(table, 1)[-1] == "1/1 done")
        await pilot.press("w")
        await wait_for(pilot, lambda: isinstance(app.screen, WeightsScreen))
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, ExperimentScreen))
