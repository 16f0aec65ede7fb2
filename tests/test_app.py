"""The app around its screens."""

from collections.abc import Awaitable, Callable

import pytest
from textual import events
from textual.app import ComposeResult
from textual.widgets import Static

from cifar_tui.runs.listing import read_run
from cifar_tui.runs.notes import annotate, read_notes
from cifar_tui.tui.screen import CifarScreen
from tests.apps import MakeApp, SaveRun
from tests.waiting import screen_text, wait_for


async def test_screens_made_ready_behind_the_first_show_what_is_there_when_visited(
    make_app: MakeApp, save_run: SaveRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cifar_tui.app.READY_EVERY", 0.01)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        app.make_screens_ready()
        await wait_for(pilot, lambda: set(app.MODES) <= set(app._screen_stacks))
        assert app.current_mode == "new"
        assert "NEW" in screen_text(app)
        save_run(name="came later")
        for key, words in (("f12", "LAB"), ("f6", "DEVICES"), ("f3", "LIVE"), ("f4", "came later")):
            await pilot.press(key)
            await wait_for(pilot, lambda words=words: words in screen_text(app))


async def test_all_screens_may_be_visited_before_they_are_made_ready(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for(pilot, app.worker.ready.is_set)
        with monkeypatch.context() as patch:
            due: list[Callable[[], Awaitable[None]]] = []
            patch.setattr(app, "set_timer", lambda delay, callback: due.append(callback))
            app.make_screens_ready()
        await pilot.press("f12", "f6", "f3", "f4")
        await wait_for(pilot, lambda: "HISTORY" in screen_text(app))
        (make_next,) = due
        await make_next()


async def test_keys_typed_in_a_burst_go_where_a_patient_person_would_see_them_go(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    folder = save_run(name="old")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f4")
        await wait_for(pilot, lambda: "old" in screen_text(app))
        for key, character in (("a", "a"), ("tab", None), ("x", "x"), ("y", "y"), ("enter", "\r")):
            app.post_message(events.Key(key, character))
        await wait_for(pilot, lambda: read_notes(folder.path).tags is not None)
        assert read_notes(folder.path).tags == ("xy",)
        assert read_run(folder.path).name == "old"
        await wait_for(pilot, lambda: len(app.screen_stack) == 1)


async def test_keys_that_are_still_on_their_way_when_the_app_ends_are_dropped(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)):
        for key in ("f4", "f3", "f6", "f2", "f4", "f3"):
            app.post_message(events.Key(key, None))
        app.exit()


class Fitting(CifarScreen):
    """A screen that fits its only part to its size, as History does."""

    def compose(self) -> ComposeResult:
        yield Static(id="part")

    def on_resize(self) -> None:
        self.query_one("#part")


async def test_a_screen_whose_parts_are_gone_already_fits_nothing_to_a_new_size(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = Fitting()
        await app.push_screen(screen)
        await screen.remove_children()
        await pilot.resize_terminal(70, 20)


async def test_the_dialog_saves_what_was_edited_and_keeps_what_came_meanwhile(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    folder = save_run(name="old")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f4")
        await wait_for(pilot, lambda: "old" in screen_text(app))
        await pilot.press("a")
        await wait_for(pilot, lambda: len(app.screen_stack) == 2)
        annotate(folder.path, tags=["important"], note="do not lose me", pinned=True)
        await pilot.press("end", "x", "enter")
        await wait_for(pilot, lambda: read_notes(folder.path).name == "oldx")
        notes = read_notes(folder.path)
        assert (notes.tags, notes.note, notes.pinned) == (("important",), "do not lose me", True)


async def test_a_click_waits_for_what_was_typed_before_it(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        subset, stop = (app.screen.query_one(f"#field-{n} Input") for n in ("subset", "early_stop"))
        subset.focus()
        subset.value = stop.value = ""
        await pilot.pause()
        x, y = stop.region.offset
        button = {"delta_x": 0, "delta_y": 0, "button": 1}
        button |= {"shift": False, "meta": False, "ctrl": False}
        for number in "7777":
            app.post_message(events.Key(number, number))
        app.post_message(events.MouseDown(None, x, y, **button))
        app.post_message(events.MouseUp(None, x, y, **button))
        app.post_message(events.Key("5", "5"))
        await wait_for(pilot, lambda: "5" in stop.value)
        assert (subset.value, stop.value) == ("7777", "5")
