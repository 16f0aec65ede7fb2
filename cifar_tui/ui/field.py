"""One line of the form: a setting's label and its text."""

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Static

from cifar_tui.settings import Setting


class FieldInput(Input):
    """A one-line text field; up and down go to the neighbours, Space walks through choices."""

    def __init__(self, choices: tuple[str, ...]) -> None:
        super().__init__(compact=True, select_on_focus=False)
        self._choices = choices

    def on_key(self, event: events.Key) -> None:
        """Take the keys that a plain text field does not use."""
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


class Field(Horizontal):
    """A setting's label and text, with a mark when it is wrong and dimmed when without effect."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(id=f"field-{setting.name}")
        self.setting = setting
        self.choices = ("no", "yes") if setting.is_bool else setting.choices
        self.input = FieldInput(self.choices)
        self._label = Static(self._marked(""), classes="label", markup=False)
        self._error = Static("", classes="field-error", markup=False)

    def compose(self) -> ComposeResult:
        """Label, text, and the error beside it where there is room."""
        yield self._label
        yield self.input
        yield self._error

    @property
    def text(self) -> str:
        """What stands in the field."""
        return self.input.value

    @text.setter
    def text(self, value: str) -> None:
        self.input.value = value

    def show_state(self, error: str, *, applies: bool) -> None:
        """Show whether the text is right and whether the setting has an effect."""
        self.set_class(bool(error), "wrong")
        self.set_class(not applies, "without-effect")
        self._label.update(self._marked("!" if error else ""))
        self._error.update(f"{self.setting.expected}" if error else "")

    def _marked(self, mark: str) -> str:
        unit = f" ({self.setting.extra['unit']})" if self.setting.extra["unit"] == "pixels" else ""
        return f"{mark:1}{self.setting.label}{unit}"
