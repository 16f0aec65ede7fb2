"""The dialog in which a person chooses what trains the runs, and on which devices."""

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from cifar_tui.backends.choices import CHOICES, Wish, check_wish, parse_options, split_options
from cifar_tui.errors import UserError
from cifar_tui.formats import plain

HINTS = {"devices": "cuda:0,cuda:1, cpu:2 or all", "options": "NAME=VALUE,NAME=VALUE"}


COMMAS = "Commas stand between options; those inside of a value stay there."


class BackendDialog(ModalScreen[Wish | None]):
    """The backends, those that cannot be used here greyed with their reason; devices, options."""

    DEFAULT_CSS = """
    BackendDialog .dialog { width: 76; }
    BackendDialog OptionList { height: auto; max-height: 10; border: none; padding: 0; }
    BackendDialog OptionList { margin: 0 0 1 0; }
    BackendDialog OptionList:focus { border: none; }
    BackendDialog Horizontal { height: 1; }
    BackendDialog Horizontal > Static { width: 9; }
    BackendDialog Input { width: 1fr; }
    BackendDialog #help, BackendDialog #problem { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "cancel")]
    AUTO_FOCUS = "OptionList"

    def __init__(self, wish: Wish) -> None:
        super().__init__()
        self._wish = wish
        self._reasons = {name: choice.why_not() for name, choice in CHOICES.items()}

    def compose(self) -> ComposeResult:
        """The backends, two fields, the chosen one's options, a line for what is wrong."""
        options = ",".join(f"{name}={value}" for name, value in self._wish.options.items())
        with Vertical(classes="dialog"):
            yield Static("What trains the runs\n", markup=False)
            yield OptionList(
                *(
                    Option(Text(f"{name:<10} {reason or CHOICES[name].help}"), name, bool(reason))
                    for name, reason in self._reasons.items()
                )
            )
            for name, text in (("devices", self._wish.devices), ("options", options)):
                with Horizontal():
                    yield Static(name, markup=False)
                    yield Input(text, id=name, placeholder=HINTS[name], compact=True)
            yield Static("", id="help", classes="muted", markup=False)
            yield Static("", id="problem", classes="error", markup=False)
            yield Static("Enter takes it   Tab next field   Esc cancels", markup=False)

    def on_mount(self) -> None:
        """Begin at the backend in use."""
        names = list(CHOICES)
        self.query_one(OptionList).highlighted = names.index(self._wish.name)

    @on(OptionList.OptionHighlighted)
    def _show_options(self, event: OptionList.OptionHighlighted) -> None:
        options = CHOICES[str(event.option_id)].options
        words = "; ".join(f"{name}: {help}" for name, help in options.items())
        text = f"{words}. {COMMAS}" if words else "It has no options of its own."
        self.query_one("#help", Static).update(text)

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    def _take(self) -> None:
        """Close with the wish, or say what is wrong."""
        place = self.query_one(OptionList).highlighted
        texts = {str(field.id): field.value.strip() for field in self.query(Input)}
        try:
            name = list(CHOICES)[place or 0]
            options = parse_options(split_options(texts["options"], name))
            wish = Wish(name, texts["devices"], options=options)
            check_wish(wish)
        except UserError as error:
            self.query_one("#problem", Static).update(plain(str(error)))
            return
        self.dismiss(wish)
