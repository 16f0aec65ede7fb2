"""The dialog in which a person chooses what trains the runs, and on which devices."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import on, work
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from cifar_tui.errors import Tick, UserError
from cifar_tui.queue.choices import CHOICES, Wish, make_backend, parse_options, split_options
from cifar_tui.queue.queue import Backend
from cifar_tui.text import plain
from cifar_tui.tui.dialogs import FormDialog

COMMAS = "Commas stand between options; those inside of a value stay there."


class Chosen(NamedTuple):
    """What was wished for, and the backend that was made of it, with what to tell of it."""

    wish: Wish
    backend: Backend
    notes: Sequence[str]


class BackendDialog(FormDialog[Chosen]):
    """The backends, those that cannot be used here greyed with their reason; devices, options."""

    DEFAULT_CSS = """
    BackendDialog OptionList { height: auto; max-height: 10; border: none; padding: 0; }
    BackendDialog OptionList { margin: 0 0 1 0; }
    BackendDialog OptionList:focus { border: none; }
    """
    AUTO_FOCUS = "OptionList"
    HINTS: ClassVar = {"devices": "cuda:0,cuda:1, cpu:2 or all", "options": "NAME=VALUE,NAME=VALUE"}
    WORKING = "Asking whether it can be used ..."

    def __init__(self, runs: Path, wish: Wish) -> None:
        options = ",".join(f"{name}={value}" for name, value in wish.options.items())
        super().__init__("What trains the runs", {"devices": wish.devices, "options": options})
        self._runs = runs
        self._chosen = wish.name
        self._options = OptionList(
            *(Option(_line(name, choice.help), name) for name, choice in CHOICES.items())
        )

    def above(self) -> Iterable[Widget]:
        yield self._options

    def below(self) -> Iterable[Widget]:
        yield Static("", id="help", classes="muted", markup=False)

    def on_mount(self) -> None:
        self._options.highlighted = list(CHOICES).index(self._chosen)
        self._find_reasons(self.query_one("#options", Input).value)

    @on(Input.Changed, "#options")
    def _look(self, event: Input.Changed) -> None:
        self._find_reasons(event.value)

    @work(thread=True, exclusive=True, group="reasons")
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
            self._options.get_option(name).disabled = bool(reason)
            self._options.replace_option_prompt(name, _line(name, reason or CHOICES[name].help))
            self._options.refresh()

    @on(OptionList.OptionHighlighted)
    def _show_options(self, event: OptionList.OptionHighlighted) -> None:
        self._chosen = str(event.option_id)
        self.mended()
        options = CHOICES[self._chosen].options
        words = "; ".join(f"{name}: {help}" for name, help in options.items())
        text = f"{words}. {COMMAS}" if words else "It has no options of its own."
        self.query_one("#help", Static).update(text)

    @on(OptionList.OptionSelected)
    def _take_it(self) -> None:
        self.action_apply()

    def submit(self, texts: Mapping[str, str], tick: Tick) -> Chosen:
        """Make the backend, which shows whether it can be used."""
        options = parse_options(split_options(texts["options"], self._chosen))
        wish = Wish(self._chosen, texts["devices"], options=options)
        return Chosen(wish, *make_backend(self._runs, wish))


def _line(name: str, text: str) -> Text:
    return Text(f"{name:<10} {plain(text)}")
