"""All that rests on Textual's private names; tests/tui/test_textual_internals.py says what each is
for, and fails where another version of Textual no longer has it."""

import io
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text
from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.errors import NoWidget
from textual.message_pump import MessagePump
from textual.notifications import Notify
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input
from textual.worker import Worker

PATIENCE = 1.0
"""Seconds after which a key no longer waits for the one before."""
JOB_EVERY = 0.01
"""Seconds between two looks whether a job that a key began is done."""
Stroke = events.Key | events.Paste | events.MouseDown | events.MouseUp


def suggestion(field: Input) -> str:
    """What a text field suggests to complete its text to."""
    return field._suggestion


class BaseScreen(Screen[None]):
    """A screen that styles its widgets anew only where that changes anything."""

    _styled_for: tuple[object, ...] = ()

    def keep_clear(self, lines: int) -> None:
        """Have toasts leave so many lines at the bottom free."""
        for rack in self.query("ToastRack"):
            rack.styles.margin = (0, 0, lines, 0)

    async def on_event(self, event: events.Event) -> None:
        """Fit nothing to a new size when the parts are gone already, as while the app ends."""
        if not isinstance(event, events.Resize) or (self.children and self.is_attached):
            await super().on_event(event)

    def _on_screen_resume(self, event: events.ScreenResume) -> None:
        """Textual styles all widgets anew on each visit, which delays the screen."""
        app = self.app
        state = (app.theme, app.size, app.app_focus, app._css_update_count)
        event.refresh_styles = state != self._styled_for
        self._styled_for = state


class BaseApp(App[None]):
    """An app in which a key or click is handled only when the one before has been.

    Over a slow line keys come in bursts. Textual by itself hands all of them to what has the focus
    when they arrive, and clicks overtake them; here each meets what the one before made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []
        """The tracebacks of what ended the screen."""
        self._typed: deque[Stroke] = deque()
        """What was typed and clicked and is not handled yet; the first is on its way."""
        self._give_up: Timer | None = None
        self._job: Worker[Any] | None = None
        """What the key on its way began, which the next one waits for."""

    def send(self, sequence: str) -> None:
        """Send the terminal what changes nothing on its screen."""
        if self._driver is not None:
            self._driver.write(sequence)
            self._driver.flush()

    def on_notify(self, event: Notify) -> None:
        """Show no toast that is there already."""
        new = event.notification
        if any((t.message, t.severity) == (new.message, new.severity) for t in self._notifications):
            event.prevent_default()

    def keys_wait_for(self, job: Worker[Any]) -> None:
        """Let the next key wait until a job in a thread is done, up to a second."""
        self._job = job

    @property
    def _background_screens(self) -> list[Screen[Any]]:
        """None under an opaque screen, as else what changes there is sent over the line."""
        opaque = bool(self._screen_stack) and self._screen_stack[-1].styles.background.a == 1
        return [] if opaque else super()._background_screens

    @property
    def unvisited(self) -> list[str]:
        """The modes that have no screen yet."""
        return [mode for mode in self.MODES if mode not in self._screen_stacks]

    async def make_ready(self, mode: str) -> None:
        """Make a mode's screen behind the one that is shown, so that its first visit is quick."""
        await self._init_mode(mode)

    def panic(self, *renderables: RenderableType) -> None:
        """End the screen; what ended it is kept for a log, not shown on the terminal."""
        for renderable in renderables:
            text = io.StringIO()
            Console(file=text, width=100).print(renderable)
            self.errors.append(text.getvalue())
        self._close_messages_no_wait()

    def _fatal_error(self) -> None:
        """End the screen for the error that is being handled."""
        self.panic(Text(traceback.format_exc()))

    async def on_event(self, event: events.Event) -> None:
        """Let a key wait for those before it; a single one goes its way at once."""
        if isinstance(event, Stroke) and not event.is_forwarded and self.screen_stack:
            self._typed.append(event)
            if len(self._typed) == 1:
                await self._handle_first()
        else:
            await super().on_event(event)

    async def _handle_first(self) -> None:
        """Send the first key on its way, and follow it up to the app."""
        event, screen = self._typed[0], self.screen
        way = self._receiver(event).ancestors_with_self
        await super().on_event(event)
        self._give_up = self.set_timer(PATIENCE, partial(self._handled, event, in_time=False))
        self._follow(way, partial(self._arrived, event, screen, way))

    def _receiver(self, event: Stroke) -> DOMNode:
        """The widget that gets an event first: the one in focus, or under the mouse."""
        if isinstance(event, events.MouseEvent):
            try:
                return self.mouse_captured or self.get_widget_at(event.x, event.y)[0]
            except NoWidget:
                return self.screen
        return self.focused or self.screen

    def _follow(self, pumps: Sequence[MessagePump], then: Callable[[], object]) -> None:
        """Queue up behind the key at each of these in turn, as it bubbles from one to the next."""
        while pumps:
            step = partial(self._follow, pumps[1:], then)
            if pumps[0].post_message(events.Callback(callback=step)):
                return
            pumps = pumps[1:]
        then()

    def _arrived(
        self, event: events.Event, before: MessagePump, way: Sequence[MessagePump]
    ) -> None:
        """The key's action was run at the app; now what it told the widgets, like that a text was
        submitted, has to arrive, and a screen that it brought up must have its focus."""
        opened = [screen for screen in self.screen_stack[-1:] if screen is not before]
        self._follow([*way, *opened, self], partial(self.call_next, self._handled, event))

    async def _handled(self, event: events.Event, *, in_time: bool = True) -> None:
        """Take the next key, unless that was done already or there is a job to wait for."""
        if self._typed and self._typed[0] is event:
            if in_time and self._job is not None and not self._job.is_finished:
                self.set_timer(JOB_EVERY, partial(self._handled, event))
                return
            self._job = None
            if self._give_up is not None:
                self._give_up.stop()
            self._typed.popleft()
            if self._typed and self.screen_stack:  # none is left once the app ends
                await self._handle_first()
