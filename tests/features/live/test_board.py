"""All runs in training side by side."""

import pytest

from cifar_tui.features.live.page import RunPage
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.record import Progress, this_worker
from tests.apps import MakeApp, SaveRun
from tests.waiting import screen_text, wait_for


def in_training(save_run: SaveRun, name: str, device: str) -> RunFolder:
    """The folder of a run that some process trains."""
    folder = save_run((0.5, 0.6, 0.65), name=name, epochs=10)
    summary = read_run(folder.path).summary
    folder.write_summary(
        summary.model_copy(update={"status": "running", "device": device, "epochs": 10})
    )
    folder.write_progress(
        Progress(
            worker=this_worker(),
            phase="train",
            epoch=4,
            images_done=50,
            images=100,
            images_per_second=18_200,
            seconds_left=42,
        )
    )
    return folder


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_each_run_in_training_has_a_panel_and_enter_opens_one(
    make_app: MakeApp, save_run: SaveRun, size: tuple[int, int]
) -> None:
    save_run(name="over")
    for number in range(3):
        in_training(save_run, f"run-{number}", f"cuda:{number}")
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await pilot.press("f3")
        await wait_for(pilot, lambda: "run-2" in screen_text(app))
        text = screen_text(app)
        assert "3 runs in training, all done about " in text
        assert "over" not in text
        assert "best 0.6500 @ 3" in text
        assert "cuda:1 4/10  18.2k img/s 0:00:42 left" in text
        await pilot.press("right", "enter")
        await wait_for(pilot, lambda: isinstance(app.screen, RunPage))
        await wait_for(pilot, lambda: "run-1" in screen_text(app))
        assert "run-0" not in screen_text(app)
        await pilot.press("escape")
        await wait_for(pilot, lambda: "run-0" in screen_text(app))


async def test_keys_on_the_board_are_for_the_run_under_the_cursor(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    folders = [in_training(save_run, f"run-{number}", "cpu") for number in range(3)]
    app = make_app(mode="live")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for(pilot, lambda: "run-2" in screen_text(app))
        await pilot.press("j", "p")
        await wait_for(pilot, lambda: folders[2].read_order() == "pause")
        assert [folder.read_order() for folder in folders[:2]] == [None, None]


async def test_more_runs_than_fit_are_counted_and_reached_with_the_cursor(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    for number in range(12):
        in_training(save_run, f"run-{number:02d}", "cpu")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f3")
        await wait_for(pilot, lambda: "12 runs in training" in screen_text(app))
        assert "2 more than fit here" in screen_text(app)
        await wait_for(pilot, lambda: "run-09" in screen_text(app))
        assert "run-11" not in screen_text(app)
        await pilot.press(*["down"] * 6)
        await wait_for(pilot, lambda: "run-11" in screen_text(app))


async def test_the_board_makes_way_for_the_last_run_of_several(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    first, _ = (in_training(save_run, name, "cpu") for name in ("first", "second"))
    app = make_app(mode="live")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for(pilot, lambda: "2 runs in training" in screen_text(app))
        summary = read_run(first.path).summary
        first.write_summary(summary.model_copy(update={"status": "finished"}))
        await wait_for(pilot, lambda: "train_loss" in screen_text(app))
        assert "second" in screen_text(app)


async def test_with_nothing_in_training_it_says_so(make_app: MakeApp, save_run: SaveRun) -> None:
    save_run(name="over")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f3")
        await wait_for(pilot, lambda: "Nothing is in training" in screen_text(app))
