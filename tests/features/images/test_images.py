"""The images of a data set can be looked at, class by class, in the app and printed."""

from collections.abc import Callable

import numpy as np
import pytest

from cifar_tui.app import CifarApp
from cifar_tui.cli import run
from cifar_tui.data.demo import draw_demo
from cifar_tui.features.images.core import in_turns, of_class
from cifar_tui.features.images.screen import ImagesScreen
from tests.waiting import screen_text, wait_for

MakeApp = Callable[..., CifarApp]


def test_all_classes_come_in_turns() -> None:
    labels = np.array([3, 3, 0, 9, 0, 3])
    assert in_turns(labels) == [2, 0, 3, 4, 1, 5]
    assert of_class(labels, 3) == [0, 1, 5]


async def test_pages_of_images_by_class_and_split(make_app: MakeApp) -> None:
    app, demo = make_app(), draw_demo()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("escape", "v")
        await wait_for(pilot, lambda: isinstance(app.screen, ImagesScreen))
        await wait_for(pilot, lambda: "all classes: 1-2 of" in screen_text(app))
        await pilot.press("right")
        await wait_for(pilot, lambda: "all classes: 3-4 of" in screen_text(app))
        await pilot.press("j")
        name, first = demo.classes[0], of_class(demo.train.labels, 0)[0]  # type: ignore[arg-type]
        await wait_for(pilot, lambda: f"class {name}: 1-2 of" in screen_text(app))
        assert f"#{first} {name}" in screen_text(app)
        await pilot.press("s")
        await wait_for(pilot, lambda: "val split of the demo set (synthetic)" in screen_text(app))
        await pilot.press("escape")
        await wait_for(pilot, lambda: not isinstance(app.screen, ImagesScreen))


async def test_images_that_cannot_be_read_are_named(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("images", "/nowhere")
        await wait_for(pilot, lambda: "There is no folder /nowhere" in screen_text(app))


def test_the_command_draws_the_first_images_of_each_class(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["data", "--data", "demo", "--pictures", "2"]) == 0
    printed = capsys.readouterr().out
    demo = draw_demo()
    for label, name in enumerate(demo.classes):
        for place in of_class(demo.train.labels, label)[:2]:  # type: ignore[arg-type]
            assert f"#{place} {name}" in printed
