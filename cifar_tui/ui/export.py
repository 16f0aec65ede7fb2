"""The export dialog: asks where to, predicts with a progress bar, tells what was written."""

import time
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, ProgressBar, Static
from textual.worker import get_current_worker

from cifar_tui.errors import UserError
from cifar_tui.formats import at_epoch, plain
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.runs.predictions import check_output, output_path

SHOW_EVERY = 0.1
"""Seconds between two moves of the bar."""


class _Left(Exception):
    """The dialog was closed before the file was written."""


class ExportDialog(ModalScreen[None]):
    """predictions.csv from a run's best checkpoint; Esc closes at any time."""

    CSS_PATH = "export.tcss"
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "close"),
        ("enter", "leave_when_done", "close"),
        ("y", "replace", "replace"),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._in_the_way: Path | None = None
        self._done = False
        self._path = Input(str(output_path(None, run.synthetic)), compact=True)
        self._bar = ProgressBar(total=1, show_eta=False)
        self._bar.display = False
        self._outcome = Static("Enter writes the file, Esc leaves.", id="outcome", markup=False)

    def compose(self) -> ComposeResult:
        """What is exported, the path, the bar while it moves, and what comes of it."""
        best = at_epoch(self._run.summary.best)
        title = Static(f"Export {plain(self._run.name)}, best val_acc {best}", markup=False)
        yield VerticalScroll(title, self._path, self._bar, self._outcome, classes="dialog")

    def on_mount(self) -> None:
        """Refuse at once where there is nothing to predict with."""
        if not RunFolder(self._run.path).best.exists():
            self._path.display = False
            self._say(f"{plain(self._run.name)} has no best.pt: no epoch was finished.")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Begin, or ask first where there is such a file."""
        text = event.value.strip()
        try:
            path = output_path(Path(text) if text else None, self._run.synthetic)
            check_output(path, overwrite=True)
        except UserError as error:
            self._say(plain(str(error)))
            return
        self._path.disabled = True
        if path.exists():
            self._in_the_way = path
            self._say(f"{plain(str(path))} exists. y replaces it, Esc keeps it.")
        else:
            self._begin(path)

    def action_replace(self) -> None:
        """Write over the file that was asked about."""
        if self._in_the_way is not None:
            path, self._in_the_way = self._in_the_way, None
            self._begin(path, overwrite=True)

    def action_leave(self) -> None:
        """Close; an export under way ends without having written anything."""
        self.dismiss()

    def action_leave_when_done(self) -> None:
        """Close when there is nothing more to do."""
        if self._done:
            self.dismiss()

    def _begin(self, path: Path, *, overwrite: bool = False) -> None:
        self._bar.display = True
        self._say("Predicting. Esc leaves, and nothing is written.")
        self._export(path, overwrite)

    @work(thread=True)
    def _export(self, path: Path, overwrite: bool) -> None:
        from cifar_tui.training.export import export_predictions

        worker, app = get_current_worker(), self.app
        shown = 0.0

        def tick(done: int, images: int) -> None:
            nonlocal shown
            if worker.is_cancelled:
                raise _Left
            now = time.monotonic()
            if now - shown >= SHOW_EVERY or done == images:
                shown = now
                app.call_from_thread(self._move, done, images)

        try:
            result = export_predictions(self._run, path, overwrite=overwrite, tick=tick)
            outcome = f"{result.sentence()}\n\nEnter closes."
        except _Left:
            return
        except UserError as error:
            outcome = plain(str(error))
        except Exception as error:
            outcome = f"The export failed: {plain(repr(error))}"
        if not worker.is_cancelled:
            app.call_from_thread(self._end, outcome)

    def _move(self, done: int, images: int) -> None:
        self._bar.update(progress=done, total=images)

    def _end(self, outcome: str) -> None:
        self._done = True
        self._bar.display = False
        self.query(VerticalScroll).focus()
        self._say(outcome)

    def _say(self, text: str) -> None:
        self._outcome.update(text)
