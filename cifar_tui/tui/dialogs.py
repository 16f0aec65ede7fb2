"""Small questions over a screen: yes or no."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from cifar_tui.tui.keys import EVERYWHERE, Key, keys_for


class AskToLeave(ModalScreen[str]):
    """Leaving while runs are trained: `b` keeps them training, `s` stops them, Esc stays."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("b", "answer('background')", "background"),
        ("s,y", "answer('stop')", "stop"),
        ("n,escape", "answer('')", "stay"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """What would happen, and the keys."""
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False)
            yield Static(
                "\nb keep training in the background   s stop   n or Esc stay here",
                markup=False,
            )

    def action_answer(self, choice: str) -> None:
        """Close with the choice, empty for none."""
        self.dismiss(choice)


class Ask(ModalScreen[bool]):
    """A question whose text names the consequence; `y` agrees, Esc or `n` does not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "answer(True)", "yes"),
        ("n,escape", "answer(False)", "no"),
    ]

    def __init__(self, question: str, *, yes: str) -> None:
        super().__init__()
        self._question = question
        self._yes = yes

    def compose(self) -> ComposeResult:
        """The question and its two keys."""
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False)
            yield Static(f"\ny {self._yes}   n or Esc cancel", markup=False)

    def action_answer(self, sure: bool) -> None:
        """Close with the answer."""
        self.dismiss(sure)


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
            *map(_key_line, keys_for(self._mode)),
            "",
            "Keys everywhere",
            *map(_key_line, keys_for(EVERYWHERE)),
            "",
            "A letter works whenever no text field has the focus (Esc leaves a field);",
            "function keys always work. Several values in a field, like 0.1, 0.01, make a grid.",
        ]
        with VerticalScroll(classes="dialog"):
            yield Static("\n".join(lines), markup=False)


def _key_line(key: Key) -> str:
    return f"  {key.display:<12} {key.help}"
