"""Waiting for what a thread or a process shows, without guessing how long it takes."""

from collections.abc import Callable

from textual.app import App
from textual.pilot import Pilot

PATIENCE = 1200
STEP = 0.05


async def wait_for(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Let the app work until the condition holds; fails after a minute."""
    for _ in range(PATIENCE):
        if condition():
            return
        await pilot.pause(STEP)
    raise AssertionError("it did not happen within a minute")


def screen_text(app: App[None]) -> str:
    """What a person would read, line by line."""
    return "\n".join(
        "".join(segment.text for segment in strip)
        for strip in app.screen._compositor.render_strips()
    )
