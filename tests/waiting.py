"""Waiting for what a thread or a process shows, without guessing how long it takes."""

import time
from collections.abc import Callable

from textual.app import App
from textual.pilot import Pilot
from textual.strip import Strip

PATIENCE = 1200
STEP = 0.05
LOOK_EVERY = 0.02


async def wait_for(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Let the app work until the condition holds; fails after a minute."""
    for _ in range(PATIENCE):
        if condition():
            return
        await pilot.pause(STEP)
    raise AssertionError("it did not happen within a minute")


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Let other threads and processes work until the condition holds; fails after so long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {seconds:.0f} seconds"
        time.sleep(LOOK_EVERY)


def screen_strips(app: App[None]) -> list[Strip]:
    """What is drawn, line by line, with its colours."""
    return app.screen._compositor.render_strips()


def screen_text(app: App[None]) -> str:
    """What a person would read, line by line."""
    return "\n".join(strip.text for strip in screen_strips(app))


def toasts(app: App[None]) -> str:
    """What the notifications that are up say, one a line, the oldest first."""
    return "\n".join(notification.message for notification in app._notifications)
