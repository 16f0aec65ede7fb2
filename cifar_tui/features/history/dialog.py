"""What History asks for: a filter, columns, groups, a run's name, tags and note, an archive."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from cifar_tui.errors import Tick, UserError
from cifar_tui.features.archive.core import (
    archive_path,
    archive_runs,
    archived_text,
    require_ended,
)
from cifar_tui.features.history.rows import (
    MARK,
    MARK_COLUMN,
    MARK_WIDTH,
    SCROLLBAR,
    format_of,
)
from cifar_tui.query.fields import FIELDS, METRICS, Field, Line, in_order
from cifar_tui.query.filter import value_text
from cifar_tui.query.view import View
from cifar_tui.runs.listing import Run
from cifar_tui.runs.notes import annotate, clean_notes
from cifar_tui.spec.checks import with_role
from cifar_tui.table import Column, Table
from cifar_tui.text import plain, runs_text
from cifar_tui.tui.dialogs import FormDialog
from cifar_tui.tui.row_table import RowTable

Answer = TypeVar("Answer")
WIDTH = 74
NAME_WIDTH = 17
GROUP_METRICS = (*METRICS, "time", "epoch_time")
"""What groups can have the mean of."""


class TickDialog(ModalScreen[Answer | None], Generic[Answer]):
    """Rows with a name and a word on it; Space ticks, Enter closes with what is ticked."""

    CSS = """
    .dialog { width: 78; max-width: 100%; padding: 0 1; }
    RowTable {
        height: auto;
        max-height: 16;
        background: $surface;
        overflow-x: hidden;
        scrollbar-size: 1 1;
    }
    .dialog > Static { width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("space", "tick", "tick"),
        ("enter", "done", "done"),
        ("escape", "dismiss(None)", "cancel"),
    ]
    KEYS = ""
    HEADERS = ("", "")

    def __init__(self, names: Sequence[str], ticked: Sequence[str]) -> None:
        super().__init__()
        self._names = list(names)
        self._ticked = set(ticked)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("", id="title", markup=False)
            yield RowTable(id="ticks")
            yield Static(self.KEYS, markup=False)

    def on_mount(self) -> None:
        table = self.query_one(RowTable)
        name, about = self.HEADERS
        room = WIDTH - NAME_WIDTH - MARK_WIDTH - SCROLLBAR
        columns = (Column(name, NAME_WIDTH), Column(about, room))
        table.set_columns([MARK_COLUMN, *columns])
        table.styles.height = len(self._names) + 1
        table.focus()
        self._draw()

    def chosen(self) -> tuple[str, ...]:
        """The names that are ticked, in order."""
        return tuple(name for name in self._names if name in self._ticked)

    def _draw(self) -> None:
        def texts(name: str) -> tuple[str, ...]:
            return (MARK if name in self._ticked else "", name, self.about(name))

        self.query_one("#title", Static).update(self.title_words())
        self.query_one(RowTable).show(self._names, texts)

    def title_words(self) -> str:
        raise NotImplementedError

    def about(self, name: str) -> str:
        raise NotImplementedError

    @on(RowTable.RowSelected)
    def action_tick(self) -> None:
        name = self.query_one(RowTable).cursor_key
        if name is not None:
            self._ticked ^= {name}
            self.place(name)
            self._draw()

    def place(self, name: str) -> None:
        """Move a row that was ticked, or no longer is, where it belongs."""


ABOUT = {
    "name": "What a person called it",
    "settings": "A column for each setting that varies among the runs shown",
}
"""What the list shows of fields that others show otherwise."""


class ColumnsDialog(TickDialog[tuple[str, ...]]):
    """Which fields are columns, and in which order; the first ones are shown in a narrow window."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("less_than_sign,left", "move(-1)", "up"),
        ("greater_than_sign,right", "move(1)", "down"),
        ("r", "reset", "reset"),
    ]
    HEADERS = ("column", "what it is")
    KEYS = "Space shows or hides   < > move   r resets   Enter applies   Esc cancels"

    def __init__(
        self,
        columns: Sequence[str],
        usual: Sequence[str],
        have_room: Callable[[Sequence[str]], Sequence[str]],
    ) -> None:
        super().__init__(_columns_first(columns), columns)
        self._usual, self._have_room = usual, have_room
        self._shown: Sequence[str] = ()
        """The columns that have room."""

    def _draw(self) -> None:
        self._shown = self._have_room(self.chosen())
        super()._draw()

    def title_words(self) -> str:
        return f"Columns: the first {len(self._shown)} of {len(self.chosen())} have room here"

    def about(self, name: str) -> str:
        hidden = name in self._ticked and name not in self._shown
        help = ABOUT.get(name, FIELDS[name].help)
        return f"(no room) {help}" if hidden else help

    def place(self, name: str) -> None:
        """Bring a new column up behind the others."""
        before = self._names[: self._names.index(name)]
        if name in self._ticked and self._ticked - {name} <= set(before):
            self._names.remove(name)
            last = max((self._names.index(other) for other in self._ticked - {name}), default=-1)
            self._names.insert(last + 1, name)

    def action_move(self, step: int) -> None:
        table = self.query_one(RowTable)
        here = table.cursor_row
        there = here + step
        if 0 <= there < len(self._names):
            names = self._names
            names[here], names[there] = names[there], names[here]
            self._draw()
            table.move_cursor(there)

    def action_reset(self) -> None:
        """Have the columns that there are at first."""
        self._names, self._ticked = _columns_first(self._usual), set(self._usual)
        self._draw()

    def action_done(self) -> None:
        """Close with the columns; without any, nothing is changed."""
        self.dismiss(self.chosen() or None)


def _columns_first(columns: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*columns, *FIELDS]))


class GroupsDialog(TickDialog[tuple[tuple[str, ...], str]]):
    """By which settings runs are grouped, and what the groups have the mean of."""

    BINDINGS: ClassVar[list[BindingType]] = [("m", "metric", "metric"), ("u", "none", "none")]
    HEADERS = ("setting", "values")
    KEYS = "Space ticks   u none: runs again   m metric   Enter applies   Esc cancels"

    def __init__(self, fields: Sequence[Field], lines: Sequence[Line], view: View) -> None:
        names = [field.name for field in fields]
        usual = [name for name in names if name not in with_role("repeat")] or names
        super().__init__(names, view.groups or usual)
        self._view, self._metric = view, view.metric
        self._values = {field.name: _values(field, lines) for field in fields}

    def title_words(self) -> str:
        metric = format_of(self._view.field(self._metric)).header
        return f"Group by which settings? Mean and spread of {metric}"

    def about(self, name: str) -> str:
        return self._values[name]

    def action_metric(self) -> None:
        place = GROUP_METRICS.index(self._metric) if self._metric in GROUP_METRICS else -1
        self._metric = GROUP_METRICS[(place + 1) % len(GROUP_METRICS)]
        self._draw()

    def action_none(self) -> None:
        self._ticked.clear()
        self._draw()

    def action_done(self) -> None:
        self.dismiss((self.chosen(), self._metric))


def _values(field: Field, lines: Sequence[Line]) -> str:
    """What the field is in the runs, in order."""
    values = in_order({line.value(field) for line in lines} - {None}, lambda value: value, False)
    return ", ".join(map(value_text, values))


class ViewsDialog(ModalScreen[View | None]):
    """Views by name with what they show; Enter shows the one under the cursor."""

    CSS = """
    ViewsDialog RowTable { height: auto; max-height: 16; width: 74; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("enter", "choose", "show"),
        ("escape,F", "dismiss(None)", "cancel"),
    ]

    def __init__(self, views: Mapping[str, tuple[str, View]]) -> None:
        super().__init__()
        self._views = views

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield RowTable()
            yield Static("\nEnter shows it   Esc cancels", markup=False)

    def on_mount(self) -> None:
        rows = [(plain(name), words) for name, (words, _) in self._views.items()]
        about = Column("what it shows", 16, grows=True)
        table = Table([Column("view", 16, grows=True), about], rows)
        self.query_one(RowTable).show_table(table, list(self._views))

    @on(RowTable.RowSelected)
    def action_choose(self) -> None:
        key = self.query_one(RowTable).cursor_key
        if key is not None:
            self.dismiss(self._views[key][1])


class AnnotateDialog(FormDialog[bool]):
    """Name, tags and note of one run; only what was edited is saved."""

    HINTS: ClassVar = {
        "name": "as it was started",
        "tags": "words, with commas",
        "note": "one line",
    }

    def __init__(self, run: Run) -> None:
        self._path = run.path
        self._before = {
            "name": plain(run.name),
            "tags": plain(",".join(run.tags)),
            "note": plain(run.notes.note),
        }
        super().__init__(plain(run.id), self._before)

    def submit(self, texts: Mapping[str, str], tick: Tick) -> bool:
        edited = {name: text for name, text in texts.items() if text != self._before[name].strip()}
        if edited:
            annotate(self._path, **clean_notes(**edited))
        return True


class ArchiveDialog(FormDialog[str]):
    """One .zip of some runs."""

    HINTS: ClassVar = {"file": "a .zip"}
    WORKING = "Archiving ..."
    unit = "bytes"

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = list(runs)
        what = plain(runs[0].name) if len(runs) == 1 else runs_text(len(runs))
        super().__init__(f"Archive {what} as .zip", {"file": str(archive_path(None, runs))})

    def on_mount(self) -> None:
        try:
            for run in self._runs:
                require_ended(run)
        except UserError as error:
            self.end(plain(str(error)))

    def submit(self, texts: Mapping[str, str], tick: Tick) -> str:
        path = archive_path(Path(texts["file"]) if texts["file"] else None, self._runs)
        size = archive_runs(self._runs, path, overwrite=self.overwrite, tick=tick)
        return archived_text(self._runs, path, size)

    def accept(self, result: str) -> None:
        told = "I in History, or `cifar-tui runs unarchive FILE`, brings it in."
        self.end(f"{result}\n{told}", result)
