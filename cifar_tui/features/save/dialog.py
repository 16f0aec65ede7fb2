"""The dialog that takes runs out of the terminal: a file, and its text on the clipboard."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from cifar_tui.errors import UserError
from cifar_tui.features.save.core import KINDS, default_path, save_runs
from cifar_tui.files import InTheWay
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain

State = Literal["ready", "writing", "asking", "done"]
HINT = "Enter writes it, and copies what is text. Esc leaves."


class WordChoice(Static, can_focus=True):
    """One of a few words on one line."""

    class Changed(Message):
        """Another word was chosen."""

    def __init__(self, words: Sequence[str], id: str) -> None:
        super().__init__(markup=False, id=id)
        self._words: tuple[str, ...] = ()
        self.word = ""
        self.offer(words)

    def offer(self, words: Sequence[str]) -> None:
        """Let these be chosen from; the word in force stays if it is among them."""
        self._words = tuple(words)
        self.word = self.word if self.word in words else words[0]
        self._draw()

    def _draw(self) -> None:
        words = [f"[{word}]" if word == self.word else f" {word} " for word in self._words]
        self.update(" ".join(words))

    def turn(self, step: int) -> None:
        """Take the neighbouring word."""
        self.word = self._words[(self._words.index(self.word) + step) % len(self._words)]
        self._draw()
        self.post_message(self.Changed())


class SaveDialog(ModalScreen[None]):
    """What of some runs is saved, in which format and where; Enter writes it.

    `columns` are those of a table, by default the usual ones.
    """

    DEFAULT_CSS = """
    SaveDialog .dialog { width: 72; }
    SaveDialog Horizontal { height: 1; }
    SaveDialog Horizontal > .name { width: 8; }
    SaveDialog WordChoice { width: 1fr; height: 1; }
    SaveDialog WordChoice:focus {
        color: $block-cursor-foreground;
        background: $block-cursor-background;
    }
    SaveDialog Input { width: 1fr; margin-left: 1; }
    SaveDialog #outcome { width: 100%; margin-top: 1; }
    """
    AUTO_FOCUS = "#what"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "dismiss", "close"),
        ("enter", "save", "save"),
        ("left", "choose(-1)", "before"),
        ("right,space", "choose(1)", "next"),
        ("up", "app.focus_previous", "up"),
        ("down", "app.focus_next", "down"),
        ("y", "replace", "replace"),
    ]

    def __init__(self, runs: Sequence[Run], columns: Sequence[str] = ()) -> None:
        super().__init__()
        self._runs = list(runs)
        self._columns = tuple(columns)
        self._state: State = "ready"
        self._what = WordChoice(tuple(KINDS), id="what")
        self._format = WordChoice(KINDS[self._what.word], id="format")
        self._path = Input(self._proposed(), id="path", compact=True)
        self._path.cursor_blink = False  # each blink would be sent over the line
        self._outcome = Static(HINT, id="outcome", markup=False)

    def compose(self) -> ComposeResult:
        count = f"{len(self._runs)} run{'s' if len(self._runs) != 1 else ''}"
        with Vertical(classes="dialog"):
            yield Static(f"Save {count}   (arrows choose)\n", markup=False)
            for widget in (self._what, self._format, self._path):
                with Horizontal():
                    yield Static(str(widget.id), classes="name", markup=False)
                    yield widget
            yield self._outcome

    def _proposed(self) -> str:
        synthetic = any(run.synthetic for run in self._runs)
        return str(default_path(self._what.word, self._format.word, synthetic))

    def action_choose(self, step: int) -> None:
        """Change the choice with the focus; at first, when none has it yet, what is saved."""
        (self.focused if isinstance(self.focused, WordChoice) else self._what).turn(step)

    @on(WordChoice.Changed)
    def _choice_changed(self) -> None:
        """Propose a path for it; a folder that was typed stays."""
        self._format.offer(KINDS[self._what.word])
        self._path.value = str(Path(self._path.value.strip()).parent / self._proposed())

    @on(WordChoice.Changed)
    @on(Input.Changed)
    def _begin_anew(self) -> None:
        if self._state != "writing":
            self._show("ready", HINT)

    @on(Input.Submitted)
    def action_save(self) -> None:
        if self._state == "done":
            self.dismiss()
        elif self._state != "writing":
            self._begin(overwrite=False)

    def action_replace(self) -> None:
        if self._state == "asking":
            self._begin(overwrite=True)

    def _begin(self, *, overwrite: bool) -> None:
        self._show("writing", "Writing.")
        typed = self._path.value.strip()
        output = Path(typed) if typed else None
        self._write(self._what.word, self._format.word, output, overwrite)

    @work(thread=True)
    def _write(self, what: str, format: str, output: Path | None, overwrite: bool) -> None:
        worker, app = get_current_worker(), self.app
        state: State = "ready"
        text = None
        try:
            columns = self._columns if what == "table" else ()
            saved = save_runs(
                self._runs, what, format, output, columns=columns, overwrite=overwrite
            )
            state, outcome, text = "done", saved.sentence(), saved.text
        except InTheWay as error:
            there = plain(str(error)).partition("; ")[0]
            state, outcome = "asking", f"{there}. y replaces it, Esc keeps it."
        except UserError as error:
            outcome = plain(str(error))
        except Exception as error:
            outcome = f"It could not be saved: {plain(repr(error))}"
        refused = "" if text is None else refusal(text)
        if not worker.is_cancelled:
            app.call_from_thread(self._end, state, outcome, text, refused)

    def _end(self, state: State, outcome: str, text: str | None, refused: str) -> None:
        """Say what was written, and what was copied or why not."""
        if text is not None:
            outcome += f"\n{refused or copy(self.app, text)}"
        if state == "done":
            outcome += "\n\nEnter closes."
        self.set_focus(self._what)
        self._show(state, outcome)

    def _show(self, state: State, text: str) -> None:
        self._state = state
        self._outcome.update(text)


MOST_BYTES = 74_994
"""Of text: common terminals take sequences of 100,000 bytes, and base64 adds a third."""
TMUX_SECONDS = 1.0
"""Longest wait for tmux's answer."""


def refusal(text: str) -> str:
    """Why the text cannot be copied, in one sentence, or nothing; asks tmux where it runs in one.

    A terminal never says whether it took a text.
    """
    size = len(text.encode())
    if size > MOST_BYTES:
        return f"Too large to copy: {size:,} bytes; terminals take up to {MOST_BYTES:,}."
    if "TMUX" in os.environ and _tmux_setting() not in ("on", ""):
        return "Not copied: this tmux passes nothing on until `tmux set -s set-clipboard on`."
    return ""


def _tmux_setting() -> str:
    """tmux's set-clipboard: on, external or off; nothing where it cannot be asked."""
    try:
        asked = subprocess.run(
            ["tmux", "show-options", "-sv", "set-clipboard"],
            capture_output=True,
            text=True,
            timeout=TMUX_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.strip()


def copy(app: App[None], text: str) -> str:
    """Send the text to the terminal's clipboard; says so, as nothing answers."""
    app.copy_to_clipboard(text)
    return f"Copied {len(text.encode()):,} bytes to the clipboard, if the terminal allows it."
