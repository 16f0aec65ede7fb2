"""Getting CIFAR-10 from within the app."""

import time
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import ProgressBar, Static
from textual.worker import get_current_worker

from cifar_tui.errors import UserError

SHOW_EVERY = 0.2


class DownloadDialog(ModalScreen[bool]):
    """Downloads the official archive with a progress bar; Esc leaves, what arrived is kept."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,enter", "leave", "close")]

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder
        self._done = False

    def compose(self) -> ComposeResult:
        """What happens, how far it is."""
        with Vertical(classes="dialog"):
            yield Static(f"Getting CIFAR-10 (170 MB) into {self._folder}", markup=False)
            yield ProgressBar(id="bar", show_eta=True)
            yield Static("Esc closes this; what arrived is kept.", id="outcome", markup=False)

    def on_mount(self) -> None:
        """Begin at once."""
        self._download()

    @work(thread=True)
    def _download(self) -> None:
        from cifar_tui.data.official import download

        worker = get_current_worker()
        shown = 0.0

        def tick(done: int, total: int) -> None:
            nonlocal shown
            if worker.is_cancelled:
                raise UserError("The download was left; the next one resumes it.")
            if time.monotonic() - shown >= SHOW_EVERY or done == total:
                shown = time.monotonic()
                self.app.call_from_thread(self._show, done, total)

        try:
            download(Path(self._folder), tick)
        except UserError as error:
            if not worker.is_cancelled:
                self.app.call_from_thread(self._say, f"{error} Esc closes this.")
            return
        self._done = True
        self.app.call_from_thread(self._say, f"CIFAR-10 is in {self._folder}. Esc closes this.")

    def _show(self, done: int, total: int) -> None:
        self.query_one("#bar", ProgressBar).update(total=total or None, progress=done)

    def _say(self, text: str) -> None:
        self.query_one("#bar", ProgressBar).display = False
        self.query_one("#outcome", Static).update(text)

    def action_leave(self) -> None:
        """Close, and tell whether the images are there."""
        self.dismiss(self._done)
