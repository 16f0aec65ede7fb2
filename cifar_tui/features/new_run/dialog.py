"""Dialogs of the form: the model layer by layer, a grid's runs, presets, getting CIFAR-10."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal

from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from cifar_tui.errors import Tick
from cifar_tui.features.new_run.presets import Preset, presets_folder
from cifar_tui.files import at_home, check_output, write_output
from cifar_tui.spec.naming import model_name, slug, title, to_toml
from cifar_tui.spec.settings import RunSpec
from cifar_tui.table import Column
from cifar_tui.text import plain
from cifar_tui.tui.dialogs import FormDialog
from cifar_tui.tui.jobs import WorkDialog
from cifar_tui.tui.row_table import RowTable


def layer_table(spec: RunSpec) -> Table:
    """Shapes, parameters and multiply-adds of each layer with weights; imports torch."""
    from cifar_tui.models.layer_table import summarise_spec

    shown = summarise_spec(spec).table()
    table = Table(box=None, pad_edge=False, title=model_name(vars(spec)))
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


class GridDialog(ModalScreen[bool]):
    """All runs of a grid and the time they take, before they are launched."""

    DEFAULT_CSS = """
    GridDialog #titles { height: auto; max-height: 14; margin: 1 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("enter,y", "dismiss(True)", "launch"),
        ("escape,n", "dismiss(False)", "cancel"),
    ]
    AUTO_FOCUS = "#titles"

    def __init__(self, titles: Sequence[str], verb: str, about: str) -> None:
        super().__init__()
        self._titles = titles
        self._question = (
            f"{verb} these {len(titles)} runs?{f' They take {about}.' if about else ''}"
        )

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False)
            lines = "\n".join(f"{i:>4}  {text}" for i, text in enumerate(self._titles, 1))
            yield VerticalScroll(Static(lines, markup=False), id="titles")
            yield Static("Enter launches   Esc cancels   up and down scroll", markup=False)


class PresetsDialog(ModalScreen[Preset | None]):
    """A list of presets that typing narrows; Enter fills the form with the one under the cursor."""

    DEFAULT_CSS = """
    PresetsDialog RowTable { height: 1fr; background: $surface; overflow-x: hidden; }
    PresetsDialog Input { width: 100%; margin-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", priority=True),
        Binding("up", "move(-1)", priority=True),
        ("escape", "dismiss(None)", "cancel"),
    ]

    def __init__(self, found: Sequence[Preset]) -> None:
        super().__init__()
        self._presets = {str(place): preset for place, preset in enumerate(found)}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Input(placeholder="words to look for: lab2, resnet, bn ...", compact=True)
            yield RowTable(id="presets")
            yield Static("Enter fills the form   Esc cancels", markup=False)

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    @on(Input.Changed)
    def _draw(self) -> None:
        words = self.query_one(Input).value.lower().split()
        texts = {key: (plain(p.name), plain(p.about)) for key, p in self._presets.items()}
        keys = [key for key, row in texts.items() if all(w in " ".join(row).lower() for w in words)]
        table = self.query_one(RowTable)
        name = min(
            max((len(row[0]) for row in texts.values()), default=0) + 2, table.size.width // 2
        )
        about = Column("settings", max(10, table.size.width - name - 1))
        table.set_columns([Column("preset", max(8, name)), about])
        table.show(keys, texts.__getitem__)

    def action_move(self, rows: int) -> None:
        self.query_one(RowTable).action_move(rows)

    @on(Input.Submitted)
    @on(RowTable.RowSelected)
    def _choose(self) -> None:
        key = self.query_one(RowTable).cursor_key
        if key is not None:
            self.dismiss(self._presets[key])


class SavePresetDialog(FormDialog[Path]):
    """Writes what stands in the form as a preset."""

    HINTS: ClassVar = {"file": "a .toml"}

    def __init__(self, spec: RunSpec) -> None:
        path = presets_folder() / f"{slug(title(spec))}.toml"
        super().__init__("Save these settings as a preset", {"file": str(path)})
        self._spec = spec

    def submit(self, texts: Mapping[str, str], tick: Tick) -> Path:
        path = at_home(Path(texts["file"]))
        if path.suffix != ".toml":
            path = path.with_name(f"{path.name}.toml")
        if path.parent == presets_folder():
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
        check_output(path, overwrite=self.overwrite, example="mine.toml")
        write_output(path, to_toml(self._spec).encode(), overwrite=self.overwrite)
        return path

    def accept(self, result: Path) -> None:
        name = result.stem if result.parent == presets_folder() else result
        self.end(plain(f"{result} is written; `cifar-tui train --spec {name}` trains it."), result)


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
