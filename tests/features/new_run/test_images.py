"""A folder without images is refused by the form, not replaced by the demo set."""

from pathlib import Path

from tests.apps import MakeApp
from tests.waiting import wait_for


async def test_a_folder_without_images_is_not_launched(make_app: MakeApp, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    app = make_app(data=str(folder))
    async with app.run_test(size=(120, 30)) as pilot:
        shown = app.screen.query_one("#images")
        await wait_for(pilot, lambda: "There are no CIFAR-10 images in" in str(shown.render()))
        await pilot.press("enter")
        await pilot.pause()
        assert app.current_mode == "new"
        assert not app.worker.own
        assert not app.launcher.making
    assert not (tmp_path / "runs").exists()
