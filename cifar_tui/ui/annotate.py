"""The dialog in which a run is named, tagged and annotated."""

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from cifar_tui.errors import UserError
from cifar_tui.formats import plain
from cifar_tui.runs.listing import Run
from cifar_tui.runs.notes import annotate, clean_notes

HINTS = {"name": "as it was started", "tags": "words, with commas", "note": "one line"}


class AnnotateDialog(ModalScreen[bool]):
    """Name, tags and note of one run; only what was edited is saved."""

    DEFAULT_CSS = """
    AnnotateDialog .dialog { width: 72; }
    AnnotateDialog Horizontal { height: 1; }
    AnnotateDialog Horizontal > Static { width: 6; }
    AnnotateDialog Input { width: 1fr; }
    AnnotateDialog #problem { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(False)", "cancel")]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._before = {
            "name": plain(run.name),
            "tags": plain(",".join(run.tags)),
            "note": plain(run.notes.note),
        }

    def compose(self) -> ComposeResult:
        """Three fields, a line for what is wrong, and the keys."""
        with Vertical(classes="dialog"):
            yield Static(f"{plain(self._run.id)}\n", markup=False)
            for name, text in self._before.items():
                with Horizontal():
                    yield Static(name, markup=False)
                    yield Input(text, id=name, placeholder=HINTS[name], compact=True)
            yield Static("", id="problem", classes="error", markup=False)
            yield Static("Enter saves   Tab next field   Esc cancels", markup=False)

    def on_input_submitted(self) -> None:
        """Save what was edited, or say which field is wrong and go there."""
        changes: dict[str, Any] = {}
        for field in self.query(Input):
            name = str(field.id)
            if field.value == self._before[name]:
                continue
            try:
                changes |= clean_notes(**{name: field.value})
            except UserError as error:
                self._complain(str(error))
                field.focus()
                return
        try:
            if changes:
                annotate(self._run.path, **changes)
        except UserError as error:
            self._complain(str(error))
            return
        self.dismiss(True)

    def _complain(self, sentence: str) -> None:
        self.query_one("#problem", Static).update(sentence)
