"""The screen of one run at 80x24, on a net that was really trained."""

import asyncio
import functools
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.segment import Segment
from textual.color import Color
from textual.pilot import Pilot
from textual.widgets import Static

from cifar_tui.app import CifarApp
from cifar_tui.data import demo
from cifar_tui.features.history.screen import HistoryScreen
from cifar_tui.features.inspect import compute as evaluation
from cifar_tui.features.inspect import matrix as heat_map
from cifar_tui.features.inspect.compute import evaluation_of
from cifar_tui.features.inspect.core import SPLITS, Evaluation, file_of, kept_evaluation
from cifar_tui.features.inspect.matrix import ConfusionMatrix, WorstImages
from cifar_tui.features.inspect.screen import RunScreen
from cifar_tui.features.live.screen import LiveScreen
from cifar_tui.runs.listing import Run, Runs, read_run
from cifar_tui.spec.settings import CLASSES
from cifar_tui.tui import pictures as images
from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp, SaveRun
from tests.training import demo_runs
from tests.waiting import screen_text, wait_for

SMALL = (80, 24)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was evaluated on all three splits."""
    found = Runs(demo_runs(tmp_path_factory)).find("last")
    path = tmp_path_factory.mktemp("evaluated") / found.id
    shutil.copytree(found.path, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "draw_demo", functools.cache(demo.draw_demo))
        for split in SPLITS:
            evaluation_of(read_run(path), split)
    return path


@pytest.fixture
def trained(evaluated: Path, tmp_path: Path) -> Run:
    """That run in the app's folder."""
    path = tmp_path / "runs" / evaluated.name
    shutil.copytree(evaluated, path)
    return read_run(path)


def kept(run: Run) -> Evaluation:
    found = kept_evaluation(run, "val")
    assert found is not None
    return found


async def open_run(pilot: Pilot[None], run: Run) -> None:
    await pilot.app.push_screen(RunScreen(run))
    await wait_for(pilot, lambda: "changed" in text(pilot, "answer"))


def text(pilot: Pilot[None], name: str) -> str:
    return str(pilot.app.screen.query_one(f"#{name}", Static).content)


def assert_fits(app: CifarApp) -> None:
    assert all(len(line) <= app.size.width for line in screen_text(app).splitlines())


async def test_history_opens_it_and_esc_leaves(make_app: MakeApp, save_run: SaveRun) -> None:
    save_run(name="mine", lr=0.3)
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f4")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await wait_for(pilot, lambda: app.screen.query_one(RowTable).row_count == 1)
        await pilot.press("i")
        await wait_for(pilot, lambda: isinstance(app.screen, RunScreen))
        await wait_for(pilot, lambda: "  lr             0.3" in text(pilot, "lines"))
        assert text(pilot, "answer").startswith(" finished, 0:00:13 on cpu; 2 settings changed")
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))


async def test_live_opens_it(make_app: MakeApp, save_run: SaveRun) -> None:
    app = make_app(watch=save_run(name="mine").id)
    async with app.run_test(size=SMALL) as pilot:
        await wait_for(pilot, lambda: "mine" in text(pilot, "run"))
        await pilot.press("i")
        await wait_for(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press("i")
        await wait_for(pilot, lambda: isinstance(app.screen, LiveScreen))


async def test_settings_events_and_files(make_app: MakeApp, trained: Run) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await open_run(pilot, trained)
        lines = text(pilot, "lines")
        own, others = lines.split("other settings")
        assert "  lr             0.05" in own.split("settings changed")[1]
        assert "  momentum       0.9" in others
        assert "torch" in lines and "git" in lines and "fingerprint" in lines
        await pilot.press("tab")
        await wait_for(
            pilot,
            lambda: (
                "1 start, 1 epoch kept, best improved once, last at epoch 1"
                in text(pilot, "answer")
            ),
        )
        table = app.screen.query_one(RowTable)
        kinds = [table.get_row_at(row)[2].strip() for row in range(table.row_count)]
        assert kinds == ["start", "checkpoint", "end"]
        assert f"val_acc {trained.best_val_acc:.4f}  best.pt" in table.get_row_at(1)[4]
        await pilot.press("3")
        await wait_for(pilot, lambda: "deleting last.pt" in text(pilot, "answer"))
        names = [table.get_row_at(row)[0].strip() for row in range(table.row_count)]
        assert {"best.pt", "last.pt", "events.jsonl", "meta.json"} <= set(names)
        size = sum(p.stat().st_size for p in trained.path.iterdir()) / 1e6
        assert text(pilot, "answer").startswith(f" {size:.1f} MB in {len(names)} files")
        await pilot.press("shift+tab", "shift+tab", "shift+tab")
        await wait_for(pilot, lambda: "of 1,000 val images" in text(pilot, "answer"))
        assert "WORST" in text(pilot, "pages")


async def test_the_matrix_explains_the_cell_under_its_cursor(
    make_app: MakeApp, trained: Run
) -> None:
    found = kept(trained)
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await open_run(pilot, trained)
        await pilot.press("4")
        await wait_for(pilot, lambda: f"accuracy {found.accuracy:.4f}" in text(pilot, "answer"))
        await wait_for(pilot, lambda: "true " in text(pilot, "cell"))
        assert_fits(app)
        assert "(synthetic)" in screen_text(app).splitlines()[1]
        matrix, pair = app.screen.query_one(ConfusionMatrix), found.confused[0]
        assert matrix.cursor == (pair.true, pair.predicted)
        first = text(pilot, "cell").splitlines()[1]
        assert first == (
            f" true {found.classes[pair.true]}, predicted {found.classes[pair.predicted]}: "
            f"{pair.images} of 100 images"
        )
        await pilot.press(*["up"] * 10, *["left"] * 10, "right")
        assert matrix.cursor == (0, 1)
        await wait_for(pilot, lambda: "true disc, predicted ring" in text(pilot, "cell"))
        row = next(line for line in screen_text(app).splitlines() if line.startswith("disc"))
        row = re.sub("[░▒▓█]", " ", row)
        assert row.split()[1:11] == [str(n) if n else "." for n in found.confusion[0]]
        await pilot.press("m")
        await pilot.pause()
        row = next(line for line in screen_text(app).splitlines() if line.startswith("disc"))
        assert re.sub("[░▒▓█]", " ", row).split()[1] == f"{found.confusion[0][0]:.1f}"


def cells_of(matrix: ConfusionMatrix, row: int) -> list[Segment]:
    """The ten cells of a true class, as they are drawn."""
    return list(matrix.render_line(row + 1))[1:11]


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
async def test_the_matrix_is_a_heat_map(
    make_app: MakeApp, trained: Run, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heat_map, "shows_colours", lambda console: True)
    found = kept(trained)
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        app.theme = theme
        await open_run(pilot, trained)
        await pilot.press("4")
        await wait_for(pilot, lambda: "right 0%" in screen_text(app))
        matrix = app.screen.query_one(ConfusionMatrix)
        right: dict[int, float] = {}
        wrong: dict[int, float] = {}
        for row in range(CLASSES):
            for column, cell in enumerate(cells_of(matrix, row)):
                assert cell.style is not None
                count = found.confusion[row][column]
                if (row, column) == matrix.cursor or not count:
                    continue
                assert cell.style.bgcolor and cell.style.color
                assert cell.text.strip() == str(count)
                ground, ink = (
                    Color.from_rich_color(c) for c in (cell.style.bgcolor, cell.style.color)
                )
                assert abs(ground.brightness - ink.brightness) > 0.25, "the number is legible"
                (right if row == column else wrong)[count] = ground.b - ground.r
        assert min(right.values()) > 0 > max(wrong.values()), "blue and orange"
        for hues in (right, wrong):
            assert abs(hues[max(hues)]) > abs(hues[min(hues)]), "a larger share has more colour"


async def test_without_colours_shades_stand_before_the_counts(
    make_app: MakeApp, trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heat_map, "shows_colours", lambda console: False)
    found = kept(trained)
    best = max(range(CLASSES), key=lambda label: found.confusion[label][label])
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await open_run(pilot, trained)
        await pilot.press("4")
        await wait_for(pilot, lambda: "right 0%" in screen_text(app))
        cell = cells_of(app.screen.query_one(ConfusionMatrix), best)[best]
        assert cell.text[0] in "▒▓█" and cell.text[1:].strip() == str(found.confusion[best][best])
        assert cell.style is not None and cell.style.bold


async def test_the_first_line_of_the_matrix_is_the_most_common_mistake(
    make_app: MakeApp, trained: Run
) -> None:
    pair, names = kept(trained).confused[0], kept(trained).names
    app = make_app()
    async with app.run_test(size=(140, 40)) as pilot:
        await open_run(pilot, trained)
        await pilot.press("4")
        said = f" {names[pair.true]} -> {names[pair.predicted]} most often ({pair.images}); accur"
        await wait_for(pilot, lambda: text(pilot, "answer").startswith(said))
        assert "epoch" in text(pilot, "answer")
        await pilot.resize_terminal(80, 24)
        await wait_for(pilot, lambda: "epoch" not in text(pilot, "answer"))
        assert len(text(pilot, "answer")) <= 80 and "(synthetic)" in text(pilot, "answer")


async def test_a_wide_window_has_whole_names_and_the_images_of_the_cell(
    make_app: MakeApp, trained: Run
) -> None:
    found = kept(trained)
    worst = found.worst[0]
    app = make_app()
    async with app.run_test(size=(200, 60)) as pilot:
        await open_run(pilot, trained)
        await pilot.press("4")
        await wait_for(pilot, lambda: "right 0%" in screen_text(app))
        header = next(line for line in screen_text(app).splitlines() if "true\\pred" in line)
        assert all(name in header for name in found.names)
        assert app.screen.query_one(ConfusionMatrix).size.height > 2 * CLASSES, "higher rows"
        matrix, beside = app.screen.query_one(ConfusionMatrix), app.screen.query_one(WorstImages)
        await pilot.press(*["up"] * 9, *["left"] * 9)
        await pilot.press(*["down"] * worst.true, *["right"] * worst.predicted)
        assert matrix.cursor == (worst.true, worst.predicted)
        alike = [(one.true, one.predicted) for one in found.worst[:48]].count(matrix.cursor)
        await wait_for(pilot, lambda: beside.count == alike)
        assert f"{worst.probability:.2f}" in screen_text(app)
        await pilot.resize_terminal(100, 30)
        await wait_for(pilot, lambda: not beside.display)


async def test_enter_shows_the_images_of_the_cell(make_app: MakeApp, trained: Run) -> None:
    pair, names = kept(trained).confused[0], kept(trained).names
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await open_run(pilot, trained)
        await pilot.press("4")
        await wait_for(pilot, lambda: "right 0%" in screen_text(app))
        await pilot.press("enter")
        which = f"true {names[pair.true]}, predicted {names[pair.predicted]}"
        await wait_for(pilot, lambda: f"kept of {which}" in text(pilot, "answer"))
        assert "WORST" in text(pilot, "pages")
        await pilot.press("6")
        await wait_for(pilot, lambda: "of the 48 worst" in text(pilot, "answer"))


async def test_classes_and_calibration_stand_side_by_side(make_app: MakeApp, trained: Run) -> None:
    found = kept(trained)
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await open_run(pilot, trained)
        await pilot.press("5")
        await wait_for(pilot, lambda: "ECE" in text(pilot, "answer"))
        assert f"ECE {found.calibration_error:.4f}" in text(pilot, "answer")
        lines = screen_text(app).splitlines()
        assert any("star" in line and "0.6-0.7" in line for line in lines)
        assert_fits(app)
        await pilot.resize_terminal(60, 24)
        await wait_for(pilot, lambda: "0.6-0.7" not in text(pilot, "lines").splitlines()[7])
        assert_fits(app)


@pytest.mark.parametrize(("size", "shown"), [((80, 24), 2), ((140, 40), 8), ((70, 18), 3)])
async def test_the_worst_images_are_drawn_with_true_and_predicted_class(
    make_app: MakeApp, trained: Run, size: tuple[int, int], shown: int
) -> None:
    found = kept(trained)
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await open_run(pilot, trained)
        await pilot.press("6")
        await wait_for(pilot, lambda: f" 1-{shown} of the 48 worst" in text(pilot, "answer"))
        await pilot.pause()
        drawn = screen_text(app)
        first = found.worst[0]
        assert found.classes[first.true] in drawn
        assert f"{first.probability:.2f}" in drawn
        assert_fits(app)
        images = app.screen.query_one(WorstImages)
        await pilot.press("right")
        assert images.places.start == shown
        await pilot.press("left", "left")
        assert images.places.start == 0
        await pilot.press(*["right"] * (48 // shown))
        assert images.places.stop == 48


@pytest.mark.parametrize("colours", [True, False])
async def test_a_picture_has_the_images_own_pixels_or_shades(
    make_app: MakeApp, trained: Run, colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "shows_colours", lambda console: colours)
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await open_run(pilot, trained)
        await pilot.press("6")
        await wait_for(pilot, lambda: " 1-2 of the" in text(pilot, "answer"))
        cell = next(iter(app.screen.query_one(WorstImages).render_line(0)))
        assert cell.text.startswith("▀") is colours
        if colours:
            assert cell.style is not None and cell.style.color is not None
            assert tuple(cell.style.color.get_truecolor()) == tuple(kept(trained).pixels(0)[:3])


async def test_esc_ends_the_evaluation_and_nothing_is_kept(
    make_app: MakeApp, trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trained.path / file_of("val")).unlink()
    begun, closed, ended = threading.Event(), threading.Event(), threading.Event()
    ticks: list[int] = []

    def once_closed(*arguments: Any, tick: Any, **options: Any) -> Evaluation:
        def counted(done: int, images: int) -> None:
            ticks.append(done)
            tick(done, images)

        begun.set()
        closed.wait(60)
        try:
            return evaluation_of(*arguments, tick=counted, **options)
        finally:
            ended.set()

    monkeypatch.setattr(evaluation, "evaluation_of", once_closed)
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await open_run(pilot, trained)
        await pilot.press("4")
        await wait_for(pilot, begun.is_set)
        await pilot.press("1", "escape")
        await wait_for(pilot, lambda: not isinstance(app.screen, RunScreen))
        closed.set()
        assert await asyncio.to_thread(ended.wait, 60)
        assert len(ticks) == 1, "the first batch ends it"
        assert not (trained.path / file_of("val")).exists()


async def test_another_page_stays_when_the_evaluation_comes(
    make_app: MakeApp, trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, turned = kept(trained), threading.Event()
    (trained.path / file_of("val")).unlink()

    def once_turned(*arguments: Any, **options: Any) -> Evaluation:
        turned.wait(60)
        return found

    monkeypatch.setattr(evaluation, "evaluation_of", once_turned)
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await open_run(pilot, trained)
        await pilot.press("4", "3")
        await wait_for(pilot, lambda: "deleting last.pt" in text(pilot, "answer"))
        turned.set()
        await wait_for(pilot, lambda: not app.screen.workers)
        await pilot.pause()
        assert "best.pt" in screen_text(app)
        await pilot.press("4")
        await wait_for(pilot, lambda: "1,000 val images" in text(pilot, "answer"))


async def test_what_cannot_be_evaluated_is_one_sentence(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    run = read_run(save_run((), name="young").path)
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await open_run(pilot, run)
        await pilot.press("6")
        await wait_for(pilot, lambda: "There is no checkpoint" in text(pilot, "cell"))
        assert "There is no checkpoint" in text(pilot, "answer")
        assert "another split" not in screen_text(app)
        await pilot.press("s")
        await wait_for(pilot, lambda: "There is no checkpoint" in text(pilot, "answer"))
        await pilot.press("1")
        await wait_for(pilot, lambda: "changed" in text(pilot, "answer"))


async def test_another_split_says_which_it_is(make_app: MakeApp, trained: Run) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await open_run(pilot, trained)
        await pilot.press("4")
        await wait_for(pilot, lambda: "1,000 val images" in text(pilot, "answer"))
        await pilot.press("s")
        await wait_for(pilot, lambda: "6,000 train images" in text(pilot, "answer"))
        await pilot.press("s")
        await wait_for(pilot, lambda: "1,000 test images" in text(pilot, "answer"))
        await wait_for(pilot, lambda: "never picks a model" in text(pilot, "cell"))
