"""The dialog that makes a run of a notebook's checkpoint, or brings in an archive of runs."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from cifar_tui.errors import UserError
from cifar_tui.features.archive.core import brought_in_text, is_archive, unarchive
from cifar_tui.text import plain

SHOW_EVERY = 0.25
"""Seconds between two looks at how far the evaluation is."""
HINTS = {
    "file": "a .pth or .pt file, or an archive of runs",
    "name": "the file's name",
    "data": "folder with the images, or demo",
    "activation": "relu; weights do not show whether it was swish",
    "shortcut": "A; weights do not show whether a ResNet had none",
}


class _ImportLeft(Exception):
    """The dialog was closed before the run was made."""


class ImportDialog(ModalScreen[bool]):
    """Asks for the file and what weights do not show; Esc closes at any time.

    An archive of runs, told by its content, needs no more than the file.
    """

    DEFAULT_CSS = """
    ImportDialog .dialog { width: 76; }
    ImportDialog Horizontal { height: 1; }
    ImportDialog Horizontal > Static { width: 12; }
    ImportDialog Input { width: 1fr; }
    ImportDialog #outcome { width: 1fr; margin-top: 1; }
    """
    AUTO_FOCUS = "#file"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "close"),
        ("enter", "leave_when_done", "close"),
    ]

    def __init__(self, runs: Path, data: str) -> None:
        super().__init__()
        self._folder = runs
        self._data = data
        self._done = False
        self._outcome = Static(
            "Enter imports   Tab next field   Esc cancels", id="outcome", markup=False
        )

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Import a checkpoint as a run, or an archive of runs\n", markup=False)
            for name, hint in HINTS.items():
                with Horizontal():
                    yield Static(name, markup=False)
                    value = self._data if name == "data" else ""
                    yield Input(value, id=name, placeholder=hint, compact=True)
            yield self._outcome

    def on_input_submitted(self) -> None:
        """Begin with what was typed; an empty field leaves the default."""
        given = {str(field.id): field.value.strip() for field in self.query(Input)}
        file = given.pop("file")
        if not file:
            self._say("Type the path of a file.")
            self.query_one("#file").focus()
            return
        self.query(Input).set(disabled=True)
        self._say("Reading the file ...")
        self._import(Path(file), {name: text for name, text in given.items() if text})

    @work(thread=True)
    def _import(self, file: Path, given: dict[str, str]) -> None:
        worker, app = get_current_worker(), self.app
        archive = is_archive(file)
        unit = "bytes unpacked" if archive else "images evaluated"
        shown = 0.0

        def tick(done: int, images: int) -> None:
            nonlocal shown
            if worker.is_cancelled:
                raise _ImportLeft
            if time.monotonic() - shown >= SHOW_EVERY:
                shown = time.monotonic()
                text = f"{done:,} of {images:,} {unit}. Esc cancels."
                app.call_from_thread(self._say, text)

        try:
            sentence = self._bring_in(file, given, tick, archive)
            done, outcome = True, f"{sentence}\n\nEnter closes."
        except _ImportLeft:
            return
        except UserError as error:
            done, outcome = False, plain(str(error))
        except Exception as error:
            done, outcome = False, f"The import failed: {plain(repr(error))}"
        if not worker.is_cancelled:
            app.call_from_thread(self._end, done, outcome)

    def _bring_in(
        self, file: Path, given: dict[str, str], tick: Callable[[int, int], None], archive: bool
    ) -> str:
        if archive:
            return brought_in_text(unarchive(file, self._folder, tick))
        from cifar_tui.features.import_.compute import import_checkpoint

        return import_checkpoint(file, self._folder, given, tick).sentence()

    def _end(self, done: bool, outcome: str) -> None:
        self._done = done
        if done:
            self.set_focus(None)
        else:
            self.query(Input).set(disabled=False)
            self.query_one("#file").focus()
        self._say(outcome)

    def _say(self, text: str) -> None:
        self._outcome.update(text)

    def action_leave(self) -> None:
        """Close; an import under way ends without a run."""
        self.dismiss(self._done)

    def action_leave_when_done(self) -> None:
        if self._done:
            self.dismiss(True)
