"""The help screen: every key of this screen and those that work everywhere."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from cifar_tui.tui.keys import EVERYWHERE, Key, keys_for


class HelpScreen(ModalScreen[None]):
    """All keys, from the same table as the footer."""

    BINDINGS: ClassVar[list[BindingType]] = [("question_mark,f1,escape", "app.back", "back")]

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def compose(self) -> ComposeResult:
        """One line per key."""
        lines = [
            f"Keys here ({self._mode})",
            *map(_line, keys_for(self._mode)),
            "",
            "Keys everywhere",
            *map(_line, keys_for(EVERYWHERE)),
            "",
            "A letter works whenever no text field has the focus (Esc leaves a field);",
            "function keys always work. Several values in a field, like 0.1, 0.01, make a grid.",
        ]
        with VerticalScroll(classes="dialog"):
            yield Static("\n".join(lines), markup=False)


def _line(key: Key) -> str:
    return f"  {key.display:<12} {key.help}"
