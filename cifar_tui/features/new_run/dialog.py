"""Dialogs of the form: the model layer by layer, and getting CIFAR-10."""

from pathlib import Path
from typing import ClassVar, Literal

from rich.table import Table
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from cifar_tui.errors import Tick
from cifar_tui.spec.naming import model_name
from cifar_tui.spec.settings import RunSpec
from cifar_tui.tui.jobs import WorkDialog


def layer_table(spec: RunSpec) -> Table:
    """Shapes, parameters and multiply-adds of each layer with weights; imports torch."""
    from cifar_tui.models.layer_table import summarise_spec

    shown = summarise_spec(spec).table()
    table = Table(box=None, pad_edge=False, title=model_name(spec.model_dump()))
    for column in shown.columns:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(column.name, justify=justify, no_wrap=True)
    for row in shown.rows:
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
        with VerticalScroll(classes="dialog", id="layers"):
            yield self._table

    def on_mount(self) -> None:
        """Make the table in a thread, as torch may still be loading."""
        self._draw()

    @work(thread=True)
    def _draw(self) -> None:
        table = layer_table(self._spec)
        self.app.call_from_thread(self._table.update, table)


class DownloadDialog(WorkDialog):
    """Downloads the official archive with a progress bar; Esc leaves, what arrived is kept."""

    BINDINGS: ClassVar[list[BindingType]] = [("enter", "leave", "close")]

    def __init__(self, folder: str) -> None:
        title = f"Getting CIFAR-10 (170 MB) into {folder}"
        super().__init__(title, "Esc closes this; what arrived is kept.", eta=True)
        self._folder = folder

    def on_mount(self) -> None:
        self.do(self._download, self.end)

    def _download(self, tick: Tick) -> str:
        from cifar_tui.data.official import download

        download(Path(self._folder), tick)
        return f"CIFAR-10 is in {self._folder}."

    def end(self, outcome: str) -> None:
        super().end(f"{outcome} Esc closes this.")
