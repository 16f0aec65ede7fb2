"""What the program's screens have in common."""

from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.screen import Screen
from textual.widgets import Static

if TYPE_CHECKING:
    from cifar_tui.ui.app import CifarApp


class CifarScreen(Screen[None]):
    """A screen of this program, over the runs and the worker of its app."""

    @property
    def cifar(self) -> "CifarApp":
        """The app with its type."""
        return cast("CifarApp", self.app)

    def say(self, name: str, text: str | Text) -> None:
        """Update a one-line widget, only when its text changed: each update is sent whole."""
        widget = self.query_one(f"#{name}", Static)
        if str(widget.content) != str(text):
            widget.update(text)
