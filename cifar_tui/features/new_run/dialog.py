"""Dialogs of the form: the model layer by layer, and getting CIFAR-10."""

import time
from pathlib import Path
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import ProgressBar, Static
from textual.worker import get_current_worker

from cifar_tui.errors import UserError
from cifar_tui.spec.naming import model_name
from cifar_tui.spec.spec import RunSpec

SHOW_EVERY = 0.2


def layer_table(spec: RunSpec) -> Table:
    """Shapes, parameters and multiply-adds of each layer with weights; imports torch."""
    from cifar_tui.models.layer_table import ROW, rows, summarise_spec

    table = Table(box=None, pad_edge=False, title=model_name(spec.model_dump()))
    for column in ROW:
        table.add_column(column, justify="right" if column in ROW[4:] else "left", no_wrap=True)
    for row in rows(summarise_spec(spec)):
        table.add_row(*map(Text, row))
    return table


class LayersScreen(ModalScreen[None]):
    """The layer table over the form, for windows without room beside it."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,y,f7,enter", "app.back", "back")]

    def __init__(self, spec: RunSpec) -> None:
        super().__init__()
        self._spec = spec
        self._table = Static("Loading torch ...", id="layer-table", markup=False)

    def compose(self) -> ComposeResult:
        """The table, once torch is there."""
        with VerticalScroll(classes="dialog", id="layers"):
            yield self._table

    def on_mount(self) -> None:
        """Make the table in a thread, as torch may still be loading."""
        self._draw()

    @work(thread=True)
    def _draw(self) -> None:
        table = layer_table(self._spec)
        self.app.call_from_thread(self._table.update, table)


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
