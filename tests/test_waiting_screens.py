"""No screen waits for a folder that answers slowly: other keys and other runs go on meanwhile."""

import asyncio
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from cifar_tui.app import SCREENS, screen_class
from cifar_tui.data import find
from cifar_tui.features.labs.assignment import LABS
from cifar_tui.queue.choices import BackendChoice
from cifar_tui.queue.queue import ThreadQueue
from cifar_tui.runs import folder as folders
from cifar_tui.runs import listing
from cifar_tui.runs.listing import Runs
from cifar_tui.tui.dialogs import AskToLeave
from tests.apps import MakeApp, SaveRun, run_in_training
from tests.waiting import screen_text, wait_for

SLOW = 0.5
"""Seconds that everybody waits who asks the slow folder anything."""
MOST_HELD = 0.05
LATE = 2 * SLOW
"""The same where it waits for another thread, which a loaded machine starts late, too."""
SCHEDULED = Path("/proc/thread-self/schedstat")

pytestmark = pytest.mark.skipif(not SCHEDULED.exists(), reason="waits are counted in /proc")


def busy() -> float:
    """Seconds for which this thread has computed, or was ready to and another had the core."""
    computed, ready, _ = map(int, SCHEDULED.read_text().split())
    return (computed + ready) / 1e9


class Folder:
    """What is asked of a slow folder, and by what the event loop was held because of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.held: list[str] = []
        self._loop_thread = threading.get_ident()

    def slowly(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*given: Any, **named: Any) -> Any:
            self.asked.append(name)
            began = time.monotonic()
            time.sleep(SLOW)
            here = threading.get_ident() == self._loop_thread
            if here and time.monotonic() - began > MOST_HELD:
                self.held.append("".join(traceback.format_stack(limit=9)))
            return work(*given, **named)

        return slow

    @asynccontextmanager
    async def not_holding(self) -> AsyncIterator[None]:
        """Fail where the event loop asked the folder itself, or waited for somebody who did."""
        self.asked.clear()
        self.held.clear()

        async def beat() -> None:
            while True:
                before, worked = time.monotonic(), busy()
                await asyncio.sleep(0.005)
                waited = time.monotonic() - before - (busy() - worked)
                if waited > LATE:
                    self.held.append(f"for {waited:.2f} s")

        beating = asyncio.create_task(beat())
        yield
        await asyncio.sleep(0.05)
        beating.cancel()
        assert not self.held, "the event loop was held: " + "\n".join(self.held)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Reading and making runs takes a while, and so does asking whether a backend can be used."""
    for name in SCREENS:
        screen_class(name)  # importing takes longer
    slow = Folder()
    for owner, name in (
        (listing, "_stamp"),
        (listing, "read_run"),
        (listing, "read_progress"),
        (folders, "_new_folder"),
        (Runs, "_ids"),
        (BackendChoice, "why_not"),
        (find, "_find_in"),
    ):
        monkeypatch.setattr(owner, name, slow.slowly(name, getattr(owner, name)))
    return slow


async def shows(pilot: Pilot[None], words: str) -> None:
    await wait_for(pilot, lambda: words in screen_text(pilot.app))


async def test_a_grid_is_launched_while_the_screen_goes_on(
    make_app: MakeApp, folder: Folder, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ThreadQueue, "_work", lambda self: self.ready.set())
    app = make_app(data=str(tiny_course))
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Using the course")
        app.screen.query_one("#field-seed").text = "0,1,2,3"  # type: ignore[attr-defined]
        await pilot.pause()
        async with folder.not_holding():
            await pilot.press("enter", "q")
            await wait_for(pilot, lambda: isinstance(app.screen, AskToLeave))
            await shows(pilot, "4 runs ")  # still being made, or waiting to be trained
            await pilot.press("escape")
            await wait_for(pilot, lambda: not app.launcher.making)
        assert folder.asked.count("_new_folder") == 4
        assert len(app.worker.queued) == 4


async def test_a_launch_goes_on_where_the_screen_is_left_meanwhile(
    make_app: MakeApp, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ThreadQueue, "_work", lambda self: self.ready.set())
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter", "q")
        await wait_for(pilot, lambda: isinstance(app.screen, AskToLeave))
        await pilot.press("b")
        await wait_for(pilot, lambda: not app.is_running)
    for _ in range(100):
        await asyncio.sleep(0.05)
        if app.worker.queued:
            break
    assert len(app.worker.queued) == 1


async def test_live_and_its_neighbours_are_read_beside_the_screen(
    make_app: MakeApp, save_run: SaveRun, folder: Folder, tmp_path: Path
) -> None:
    save_run(name="ended")
    run = run_in_training(tmp_path / "runs")
    app = make_app(watch=run.id)
    async with app.run_test(size=(80, 24)) as pilot:
        async with folder.not_holding():
            await shows(pilot, "elsewhere")
            await pilot.press("p")
            await wait_for(pilot, lambda: run.read_order() == "pause")
            await pilot.press("left_square_bracket", "h")
            await shows(pilot, "ended")
            await pilot.press("end", "enter")
            await shows(pilot, "finished")
        assert {"_stamp", "read_progress", "_ids"} <= set(folder.asked)


async def test_the_lab_book_asks_before_launching_while_the_screen_goes_on(
    make_app: MakeApp, save_run: SaveRun, folder: Folder, tiny_course: Path
) -> None:
    save_run(name="ended")
    app = make_app(data=str(tiny_course))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f12")
        await shows(pilot, "labs done")
        async with folder.not_holding():
            await pilot.press("A")
            await shows(pilot, f"runs of {len(LABS)} labs")
        assert "_ids" in folder.asked


async def test_a_backend_is_chosen_beside_the_screen(make_app: MakeApp, folder: Folder) -> None:
    app = make_app()
    before = app.worker
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        async with folder.not_holding():
            await pilot.press("f11", "enter")
            await wait_for(pilot, lambda: app.worker is not before)
        assert "why_not" in folder.asked
        assert len(app.screen_stack) == 1
    before.join()
