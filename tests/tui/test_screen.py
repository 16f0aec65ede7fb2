"""Texts of a screen that change: only what cannot move anything is left where it is."""

import pytest
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from cifar_tui.tui.screen import put
from tests.waiting import screen_text


class TwoTexts(App[None]):
    """A text as high as it needs to be, and one line beside another."""

    CSS = """
    #many { height: auto; }
    Horizontal { height: 1; }
    .line { height: 1; width: auto; text-wrap: nowrap; }
    """

    def compose(self) -> ComposeResult:
        """The line moves what stands beside it."""
        yield Static("abcd", id="many", markup=False)
        yield Horizontal(Static("one", id="one", classes="line", markup=False), Static("|"))


@pytest.mark.parametrize(
    ("many", "one", "seen"),
    [
        ("ab\ncd", "one", ["ab", "cd", "one|"]),
        ("abcd", "two", ["abcd", "two|"]),
        ("abcd", "three", ["abcd", "three|"]),
        ("abcd", "三二一", ["abcd", "三二一|"]),
        ("", "a", ["", "a|"]),
    ],
)
async def test_a_changed_text_is_shown_whole(many: str, one: str, seen: list[str]) -> None:
    app = TwoTexts()
    async with app.run_test(size=(40, 8)) as pilot:
        put(app.query_one("#many", Static), many)
        put(app.query_one("#one", Static), one)
        await pilot.pause()
        lines = [line.rstrip() for line in screen_text(app).splitlines()]
        assert [line for line in lines if line] == [line for line in seen if line]
