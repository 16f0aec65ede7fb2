"""One line of the form: a setting's label and its text."""

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from cifar_tui.spec.checks import Setting

LABEL_CELLS, WRONG_CELLS = 19, 11
"""Widths that new.tcss gives to the label and to a wrong text."""


class FieldInput(Input):
    """A one-line text field whose text is selected when it is entered, by key or by a click.

    Up and down go to the neighbours, Space walks through choices, and a comma is put behind a
    selected text, as it adds a value to it.
    """

    def __init__(self, text: str, choices: tuple[str, ...]) -> None:
        super().__init__(text, compact=True)
        self.cursor_blink = False  # each blink would be sent over the line
        self._choices = choices
        self._entered = False
        """Whether the field got the focus and no key since."""

    def on_focus(self) -> None:
        self._entered = True

    def on_click(self) -> None:
        """Select all at the first click; the next one moves the cursor."""
        if self._entered:
            self.select_all()
        self._entered = False

    def validate(self, value: str) -> None:
        """The form checks all fields together; this saves a restyling of each as it opens."""

    def on_key(self, event: events.Key) -> None:
        """Take the keys that a plain text field does not use."""
        self._entered = False
        if event.character in (",", ";") and self.selected_text == self.value:
            self.cursor_position = len(self.value)
        if event.key in ("up", "down"):
            event.stop()
            move = self.screen.focus_previous if event.key == "up" else self.screen.focus_next
            move(FieldInput)
        elif event.key == "space" and self._choices and "," not in self.value:
            event.prevent_default()
            event.stop()
            self._next_choice()

    def _next_choice(self) -> None:
        word = self.value.strip()
        place = self._choices.index(word) if word in self._choices else -1
        self.value = self._choices[(place + 1) % len(self._choices)]
        self.cursor_position = len(self.value)


class FormField(Horizontal):
    """A setting's label and text: marked when changed or wrong, dimmed when without effect.

    The label is drawn by the field itself: a form opens the sooner, the fewer widgets it has.
    """

    def __init__(self, setting: Setting, text: str) -> None:
        super().__init__(id=f"field-{setting.name}")
        self.setting = setting
        self.choices = ("no", "yes") if setting.is_bool else setting.choices
        self.input = FieldInput(text, self.choices)
        self._default = text
        self._error = ""

    def compose(self) -> ComposeResult:
        yield self.input

    def render(self) -> Text:
        """The label, and what is expected where the text is wrong and there is room."""
        line = Text(no_wrap=True, overflow="ellipsis", end="")
        mark = "!" if self._error else "*" if self.changed else ""
        line.append(f" {mark:1}{self.setting.label}".ljust(LABEL_CELLS))
        if self._error:
            line.append(" " * (WRONG_CELLS + 1) + self.setting.expected, "not bold")
        return line

    @property
    def text(self) -> str:
        """What stands in the field."""
        return self.input.value

    @text.setter
    def text(self, value: str) -> None:
        self.input.value = value

    @property
    def changed(self) -> bool:
        """Whether it is not the default that stands in the field."""
        return self.text.strip() != self._default

    def show_state(self, error: str, *, applies: bool) -> None:
        """Show whether the text is right and whether the setting has an effect."""
        self.set_class(bool(error), "wrong")
        self.set_class(not applies, "without-effect")
        if error != self._error or self.changed != self.has_class("changed"):
            self._error = error
            self.set_class(self.changed, "changed")
            self.refresh()
