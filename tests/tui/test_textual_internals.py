"""What the program takes from Textual beyond its public names: each test fails where it is gone."""

from typing import ClassVar

import pytest
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from cifar_tui.tui.textual_internals import BaseApp, BaseScreen, suggestion
from tests.waiting import wait_for


class Counter:
    """Sees an event of its screen last."""

    styled = 0

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self.styled += event.refresh_styles


class First(BaseScreen, Counter):
    """A line of text."""

    def compose(self) -> ComposeResult:
        yield Static("first")


class Second(BaseScreen):
    """A text field that suggests something, and a second screen behind it."""

    AUTO_FOCUS = "Input"

    def compose(self) -> ComposeResult:
        yield Input(suggester=SuggestFromList(["resnet"]))

    def on_input_submitted(self) -> None:
        self.app.push_screen(Third())


class Third(BaseScreen):
    """What keys typed behind a submitted text are for."""

    BINDINGS: ClassVar[list[BindingType]] = [("x", "note", "note")]
    noted = 0

    def action_note(self) -> None:
        self.noted += 1


class Over(ModalScreen[None]):
    """Through which the screen under it can be seen."""

    CSS = "Over { background: black 50%; }"


class Small(BaseApp):
    """Two modes, of which the second is not visited at first."""

    DEFAULT_MODE = "first"
    MODES: ClassVar = {"first": First, "second": Second}
    CSS = "Screen { background: black; }"


async def test_a_mode_is_made_ready_before_its_first_visit() -> None:
    app = Small()
    async with app.run_test() as pilot:
        assert app.unvisited == ["second"], "App._screen_stacks"
        await app.make_ready("second")
        assert app.unvisited == [], "App._init_mode"
        assert app.current_mode == "first"
        app.switch_mode("second")
        await pilot.pause()
        assert isinstance(app.screen, Second)


async def test_nothing_is_drawn_under_an_opaque_screen() -> None:
    app = Small()
    async with app.run_test() as pilot:
        under = app.screen
        await app.push_screen(Over())
        assert under.is_current or under in app._background_screens, "App._background_screens"
        await app.push_screen(First())
        await pilot.pause()
        assert app._background_screens == []


async def test_widgets_are_styled_anew_only_where_something_changed() -> None:
    app = Small()
    async with app.run_test() as pilot:
        first = app.screen
        assert isinstance(first, First)
        for _ in range(2):
            app.switch_mode("second")
            await pilot.pause()
            app.switch_mode("first")
            await pilot.pause()
        styled = first.styled
        app.switch_mode("second")
        await pilot.pause()
        app.switch_mode("first")
        await pilot.pause()
        assert first.styled == styled, "ScreenResume.refresh_styles, Screen._on_screen_resume"
        app.theme = "textual-light"
        app.switch_mode("second")
        app.switch_mode("first")
        await pilot.pause()
        assert first.styled == styled + 1, "App._css_update_count"


async def test_a_field_says_what_it_suggests() -> None:
    app = Small()
    async with app.run_test() as pilot:
        app.switch_mode("second")
        await pilot.press("r", "e")
        field = app.screen.query_one(Input)
        await wait_for(pilot, lambda: suggestion(field) == "resnet")


async def test_a_key_behind_enter_is_for_the_screen_that_enter_brought_up() -> None:
    app = Small()
    async with app.run_test() as pilot:
        app.switch_mode("second")
        await pilot.pause()
        field = app.screen.query_one(Input)
        for key, character in (("a", "a"), ("enter", "\r"), ("x", "x"), ("x", "x")):
            app.post_message(events.Key(key, character))
        await wait_for(pilot, lambda: getattr(app.screen, "noted", 0) == 2)
        assert field.value == "a"


async def test_an_equal_toast_is_shown_once_and_again_when_the_first_is_gone() -> None:
    app = Small()
    async with app.run_test(notifications=True) as pilot:
        app.notify("done")
        app.notify("done")
        app.notify("done", severity="error")
        await wait_for(pilot, lambda: app.screen.query("Toast"))
        await pilot.pause()
        assert len(app.screen.query("Toast")) == 2, "App._notifications"
        app.clear_notifications()
        await wait_for(pilot, lambda: not app.screen.query("Toast"))
        app.notify("done")
        await wait_for(pilot, lambda: len(app.screen.query("Toast")) == 1)


async def test_what_ended_the_screen_is_kept() -> None:
    app = Small()
    with pytest.raises(ZeroDivisionError):
        async with app.run_test() as pilot:
            app.call_later(lambda: 1 / 0)
            await wait_for(pilot, lambda: app.errors)
    assert "ZeroDivisionError" in app.errors[0], "App._fatal_error, App._close_messages_no_wait"
