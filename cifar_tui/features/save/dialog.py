"""The dialog that takes runs out of the terminal: a file, and its text on the clipboard."""

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import App
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from cifar_tui.errors import Tick
from cifar_tui.features.save.core import KINDS, Saved, default_path, save_runs
from cifar_tui.runs.listing import Run
from cifar_tui.text import runs_text
from cifar_tui.tui.dialogs import FormDialog


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
        self.word = self._words[(self._words.index(self.word) + step) % len(self._words)]
        self._draw()
        self.post_message(self.Changed())


class SaveDialog(FormDialog[Saved]):
    """What of some runs is saved, in which format and where; text is copied as well.

    `columns` are those of a table, by default the usual ones.
    """

    DEFAULT_CSS = """
    SaveDialog .field > WordChoice { width: 1fr; height: 1; }
    SaveDialog WordChoice:focus {
        color: $block-cursor-foreground;
        background: $block-cursor-background;
    }
    """
    AUTO_FOCUS = "#what"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("left", "choose(-1)", "before"),
        ("right,space", "choose(1)", "next"),
        ("up", "app.focus_previous", "up"),
        ("down", "app.focus_next", "down"),
    ]
    HINTS: ClassVar = {"file": "the usual name, in this folder"}
    KEYS = "Enter applies   Arrows choose   Esc cancels"
    WORKING = "Writing ..."
    FAILED = "It could not be saved"

    def __init__(self, runs: Sequence[Run], columns: Sequence[str] = ()) -> None:
        self._runs = list(runs)
        self._columns = tuple(columns)
        self._what = WordChoice(tuple(KINDS), id="what")
        self._format = WordChoice(KINDS[self._what.word], id="format")
        super().__init__(f"Save {runs_text(len(runs))}", {"file": self._proposed()})
        self._inputs["file"].cursor_blink = False  # each blink would be sent over the line
        self._not_copied = ""

    def above(self) -> Iterable[Widget]:
        for choice in (self._what, self._format):
            yield Horizontal(Static(str(choice.id), markup=False), choice, classes="field")

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
        file = self._inputs["file"]
        file.value = str(Path(file.value.strip()).parent / self._proposed())
        self.mended()

    def submit(self, texts: Mapping[str, str], tick: Tick) -> Saved:
        what, path = self._what.word, Path(texts["file"]) if texts["file"] else None
        columns = self._columns if what == "table" else ()
        saved = save_runs(
            self._runs, what, self._format.word, path, columns=columns, overwrite=self.overwrite
        )
        self._not_copied = "" if saved.text is None else refusal(saved.text)
        return saved

    def accept(self, result: Saved) -> None:
        outcome = result.sentence()
        if result.text is not None:
            outcome += f"\n{self._not_copied or copy(self.app, result.text)}"
        self.end(outcome, result)


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
