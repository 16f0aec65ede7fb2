"""The dialog in which a person chooses what trains the runs, and on which devices."""

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from cifar_tui.errors import UserError
from cifar_tui.queue.choices import CHOICES, Wish, make_backend, parse_options, split_options
from cifar_tui.text import plain

if TYPE_CHECKING:
    from cifar_tui.app import CifarApp


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

    def compose(self) -> ComposeResult:
        """The backends, two fields, the chosen one's options, a line for what is wrong."""
        options = ",".join(f"{name}={value}" for name, value in self._wish.options.items())
        with Vertical(classes="dialog"):
            yield Static("What trains the runs\n", markup=False)
            yield OptionList(
                *(Option(_line(name, choice.help), name) for name, choice in CHOICES.items())
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
        self._find_reasons(self.query_one("#options", Input).value)

    @on(Input.Changed, "#options")
    def _look(self, event: Input.Changed) -> None:
        """Ask which can be used with these options."""
        self._find_reasons(event.value)

    @work(thread=True, exclusive=True)
    def _find_reasons(self, text: str) -> None:
        """Ask in a thread, as a cluster that does not answer takes its time."""
        worker = get_current_worker()
        for name, choice in CHOICES.items():
            options: Mapping[str, str] = {}
            with contextlib.suppress(UserError):
                options = parse_options(split_options(text, name))
            reason = choice.why_not(options)
            if worker.is_cancelled:
                return
            self.app.call_from_thread(self._show_reason, name, reason)

    def _show_reason(self, name: str, reason: str) -> None:
        """Grey what cannot be used, with its reason; the cursor stays where it is."""
        if self.is_attached:
            options = self.query_one(OptionList)
            options.get_option(name).disabled = bool(reason)
            options.replace_option_prompt(name, _line(name, reason or CHOICES[name].help))
            options.refresh()

    @on(Input.Changed)
    @on(OptionList.OptionHighlighted)
    def _forget_problem(self) -> None:
        """What was wrong is being mended."""
        self.query_one("#problem", Static).update("")

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
            make_backend(cast("CifarApp", self.app).runs.folder, wish)
        except UserError as error:
            self.query_one("#problem", Static).update(plain(str(error)))
            return
        self.dismiss(wish)


def _line(name: str, text: str) -> Text:
    return Text(f"{name:<10} {plain(text)}")
