"""Dialogs of History: columns and groups, and the name, tags and note of a run."""

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from cifar_tui.errors import UserError
from cifar_tui.features.history.rows import (
    MARK,
    MARK_COLUMN,
    MARK_WIDTH,
    SCROLLBAR,
    fitting,
    look_of,
)
from cifar_tui.query.fields import FIELDS, METRICS, Field, Line, in_order
from cifar_tui.query.filter import value_text
from cifar_tui.query.view import COLUMNS, View
from cifar_tui.runs.listing import Run
from cifar_tui.runs.notes import annotate, clean_notes
from cifar_tui.spec.settings import with_role
from cifar_tui.text import plain
from cifar_tui.tui.row_table import RowTable, TableColumn

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
        """What is asked, the rows, and the keys."""
        with Vertical(classes="dialog"):
            yield Static("", id="title", markup=False)
            yield RowTable(id="ticks")
            yield Static(self.KEYS, markup=False)

    def on_mount(self) -> None:
        """Show the rows and take the keys."""
        table = self.query_one(RowTable)
        name, about = self.HEADERS
        room = WIDTH - NAME_WIDTH - MARK_WIDTH - SCROLLBAR
        columns = (TableColumn(name, NAME_WIDTH), TableColumn(about, room))
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
        """What is asked."""
        raise NotImplementedError

    def about(self, name: str) -> str:
        """A word on the row."""
        raise NotImplementedError

    @on(RowTable.RowSelected)
    def action_tick(self) -> None:
        """Tick the row, or no longer."""
        name = self.query_one(RowTable).cursor_key
        if name is not None:
            self._ticked ^= {name}
            self.place(name)
            self._draw()

    def place(self, name: str) -> None:
        """Move a row that was ticked, or no longer is, where it belongs."""


class ColumnsDialog(TickDialog[tuple[str, ...]]):
    """Which fields are columns, and in which order; the first ones are shown in a narrow window."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("less_than_sign,left", "move(-1)", "up"),
        ("greater_than_sign,right", "move(1)", "down"),
        ("r", "reset", "reset"),
    ]
    HEADERS = ("column", "what it is")
    KEYS = "Space shows or hides   < > move   r resets   Enter takes it   Esc cancels"

    def __init__(self, columns: Sequence[str], width: int) -> None:
        super().__init__(_columns_first(columns), columns)
        self._room = width - MARK_WIDTH - SCROLLBAR

    def title_words(self) -> str:
        """How many of them have room."""
        return f"Columns: the first {len(self._fitting())} of {len(self.chosen())} have room here"

    def about(self, name: str) -> str:
        """What the field is, and whether it has room."""
        hidden = name in self._ticked and look_of(FIELDS[name]).header not in self._fitting()
        return f"(no room) {FIELDS[name].help}" if hidden else FIELDS[name].help

    def place(self, name: str) -> None:
        """Bring a new column up behind the others."""
        before = self._names[: self._names.index(name)]
        if name in self._ticked and self._ticked - {name} <= set(before):
            self._names.remove(name)
            last = max((self._names.index(other) for other in self._ticked - {name}), default=-1)
            self._names.insert(last + 1, name)

    def _fitting(self) -> list[str]:
        fields = [FIELDS[name] for name in self.chosen()]
        return [look.header for look, _ in fitting(fields, self._room)]

    def action_move(self, step: int) -> None:
        """Move the row under the cursor up or down."""
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
        self._names, self._ticked = _columns_first(COLUMNS), set(COLUMNS)
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
    KEYS = "Space ticks   u none: runs again   m other metric   Enter groups   Esc"

    def __init__(self, fields: Sequence[Field], lines: Sequence[Line], view: View) -> None:
        names = [field.name for field in fields]
        usual = [name for name in names if name not in with_role("repeat")] or names
        super().__init__(names, view.groups or usual)
        self._view, self._metric = view, view.metric
        self._values = {field.name: _values(field, lines) for field in fields}

    def title_words(self) -> str:
        """What the groups have the mean of."""
        metric = look_of(self._view.field(self._metric)).header
        return f"Group by which settings? Mean and spread of {metric}"

    def about(self, name: str) -> str:
        """The values that occur."""
        return self._values[name]

    def action_metric(self) -> None:
        """Have the mean of the next metric."""
        place = GROUP_METRICS.index(self._metric) if self._metric in GROUP_METRICS else -1
        self._metric = GROUP_METRICS[(place + 1) % len(GROUP_METRICS)]
        self._draw()

    def action_none(self) -> None:
        """Tick nothing."""
        self._ticked.clear()
        self._draw()

    def action_done(self) -> None:
        """Close with the settings and the metric."""
        self.dismiss((self.chosen(), self._metric))


def _values(field: Field, lines: Sequence[Line]) -> str:
    """What the field is in the runs, in order."""
    values = in_order({line.value(field) for line in lines} - {None}, lambda value: value, False)
    return ", ".join(map(value_text, values))


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
