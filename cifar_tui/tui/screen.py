"""What the program's screens have in common."""

from typing import TYPE_CHECKING, cast

from rich.cells import cell_len
from rich.text import Text
from textual.events import Event, Resize, ScreenResume
from textual.screen import Screen
from textual.widgets import Static

if TYPE_CHECKING:
    from cifar_tui.app import CifarApp


class CifarScreen(Screen[None]):
    """A screen of this program, over the runs and the worker of its app."""

    _styled_for: tuple[object, ...] = ()

    async def on_event(self, event: Event) -> None:
        """Fit nothing to a new size when the parts are gone already, as while the app ends."""
        if not isinstance(event, Resize) or (self.children and self.is_attached):
            await super().on_event(event)

    def _on_screen_resume(self, event: ScreenResume) -> None:
        """Style all widgets anew only where it would change anything: it delays the screen."""
        app = self.app
        state = (app.theme, app.size, app.app_focus, app._css_update_count)
        event.refresh_styles = state != self._styled_for
        self._styled_for = state

    @property
    def cifar(self) -> "CifarApp":
        """The app with its type."""
        return cast("CifarApp", self.app)

    def say(self, name: str, text: str | Text) -> None:
        """Update a one-line widget, only when its text changed: each update is sent whole."""
        put(self.query_one(f"#{name}", Static), text)


def put(widget: Static, text: str | Text) -> None:
    """Update a widget when its text changed; a line that stays as wide needs no new layout.

    A layout of the whole screen costs tens of milliseconds, in which a run beside it stands still.
    """
    before, after = str(widget.content), str(text)
    if before != after:
        stays = widget.has_class("line") and cell_len(before) == cell_len(after)
        widget.update(text, layout=not stays)
