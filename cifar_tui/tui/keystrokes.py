"""Keys and clicks that come in a burst, as over a slow line, each meet what the one before made.

Textual by itself hands all keys to what has the focus when they arrive, and clicks overtake them.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.errors import NoWidget
from textual.message_pump import MessagePump
from textual.timer import Timer

PATIENCE = 1.0
"""Seconds after which a key no longer waits for the one before."""
Stroke = events.Key | events.Paste | events.MouseDown | events.MouseUp


class KeystrokesApp(App[None]):
    """An app in which a key or click is handled only when the one before has been."""

    def __init__(self) -> None:
        super().__init__()
        self._typed: deque[Stroke] = deque()
        """What was typed and clicked and is not handled yet; the first is on its way."""
        self._give_up: Timer | None = None

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
        start = self._receiver(event)
        await super().on_event(event)
        self._give_up = self.set_timer(PATIENCE, partial(self._handled, event))
        self._follow([*start.ancestors_with_self], partial(self._arrived, event, screen))

    def _receiver(self, event: Stroke) -> DOMNode:
        """The widget that gets an event first: the one in focus, or under the mouse."""
        if isinstance(event, events.MouseEvent):
            try:
                return self.mouse_captured or self.get_widget_at(event.x, event.y)[0]
            except NoWidget:
                return self.screen
        return self.focused or self.screen

    def _follow(self, pumps: list[MessagePump], then: Callable[[], object]) -> None:
        """Queue up behind the key at each of these in turn, as it bubbles from one to the next."""
        while pumps:
            step = partial(self._follow, pumps[1:], then)
            if pumps[0].post_message(events.Callback(callback=step)):
                return
            pumps = pumps[1:]
        then()

    def _arrived(self, event: events.Event, before: MessagePump) -> None:
        """The key has done what it does; a screen that it brought up must have its focus first."""
        opened = [screen for screen in self.screen_stack[-1:] if screen is not before]
        self._follow([*opened, self], partial(self.call_next, self._handled, event))

    async def _handled(self, event: events.Event) -> None:
        """Take the next key, unless that was done already."""
        if self._typed and self._typed[0] is event:
            if self._give_up is not None:
                self._give_up.stop()
            self._typed.popleft()
            if self._typed and self.screen_stack:  # none is left once the app ends
                await self._handle_first()
