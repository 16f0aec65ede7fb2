"""The pictures of the docs: what the screen showed stands in them, when it did."""

from xml.etree import ElementTree

from benchmarks.svg import Picture
from tests.apps import MakeApp

SVG = "{http://www.w3.org/2000/svg}"


def words(picture: ElementTree.Element) -> str:
    return " ".join(text.text or "" for text in picture.iter(f"{SVG}text"))


async def test_a_still_shows_the_screen_under_its_title(make_app: MakeApp) -> None:
    async with make_app().run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        picture = Picture()
        svg = ElementTree.fromstring(picture.still(picture.frame(pilot.app, "a title & more")))
    assert "a title & more" in words(svg)
    assert "Momentum" in words(svg)


async def test_a_moving_picture_shows_each_frame_in_its_time(make_app: MakeApp) -> None:
    async with make_app().run_test(size=(100, 30)) as pilot:
        picture = Picture()
        await pilot.pause()
        first = picture.frame(pilot.app, "first", 3.0)
        await pilot.press("f4")
        await pilot.pause()
        second = picture.frame(pilot.app, "second", 1.0)
        svg = ElementTree.fromstring(picture.moving([first, second]))
    seen = {}
    for title in svg.findall(f"{SVG}text"):
        found = title.find(f"{SVG}animate")
        assert found is not None
        seen[title.text] = (found.get("keyTimes"), found.get("values"))
    assert seen == {"first": ("0;0.75", "visible;hidden"), "second": ("0;0.75", "hidden;visible")}
