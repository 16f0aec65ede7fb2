"""The line in which History's filter is typed, and the former filters come back."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Key
from textual.suggester import Suggester
from textual.widgets import Input, Static

from cifar_tui.query.fields import Field
from cifar_tui.query.filter import complete
from cifar_tui.query.view import LONGEST_FILTER
from cifar_tui.tui.textual_internals import suggestion


class TermSuggester(Suggester):
    """Types out the last term; `values` gives what a field is in the runs."""

    def __init__(self, values: Callable[[Field], Sequence[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._values = values

    async def get_suggestion(self, value: str) -> str | None:
        return complete(value, self._values)


class FilterInput(Input):
    """The line of the filter: completed with Tab, former ones with up and down."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "complete", show=False),
        Binding("up", "former(1)", "former", show=False),
        Binding("down", "former(-1)", "latter", show=False),
    ]

    def __init__(self, values: Callable[[Field], Sequence[str]]) -> None:
        super().__init__(
            id="filter",
            compact=True,
            placeholder="lr>=0.05 bn -tag:bad val_acc>70   Tab completes",
            suggester=TermSuggester(values),
            max_length=LONGEST_FILTER,
        )
        self._filters: Sequence[str] = ()
        """Former filters, the latest first."""
        self._place = -1
        self._draft = ""

    def begin(self, filters: Sequence[str]) -> None:
        """Type after what stands there; these are the former ones."""
        self._filters, self._place = filters, -1
        self.cursor_position = len(self.value)
        self.focus()

    def action_complete(self) -> None:
        """Take what is suggested."""
        self.cursor_position = len(self.value)
        if suggestion(self):
            self.action_cursor_right()

    def action_former(self, step: int) -> None:
        """Put a former filter into the line; before the latest stands what was typed."""
        place = self._place + step
        if not -1 <= place < len(self._filters):
            return
        if self._place == -1:
            self._draft = self.value
        self._place = place
        self.value = self._draft if place == -1 else self._filters[place]
        self.cursor_position = len(self.value)


class FilterLine(Horizontal):
    """Is shown while a filter is typed: Enter applies what was typed, Esc the filter before."""

    def __init__(
        self,
        values: Callable[[Field], Sequence[str]],
        typed: Callable[[str], object],
        left: Callable[[bool], object],
    ) -> None:
        """`typed` is told each new text, `left` whether the last one is to be applied."""
        super().__init__(id="filter-line")
        self._input = FilterInput(values)
        self._typed, self._left = typed, left

    def compose(self) -> ComposeResult:
        yield Static(" filter", markup=False)
        yield self._input
        yield Static("Enter apply  Esc cancel ", id="filter-keys", markup=False)

    @property
    def typing(self) -> bool:
        """Whether a filter is being typed."""
        return bool(self.display)

    def take(self, text: str) -> None:
        """Have this text, as if it had been typed before."""
        self._input.value = text

    def begin(self, filters: Sequence[str]) -> None:
        """Show the line and type into it; these are the former filters."""
        self.display = True
        self._input.begin(filters)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        if self.typing:
            self._typed(event.value)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self._leave(apply=True)

    def key_escape(self, event: Key) -> None:
        """Have the filter before."""
        event.stop()
        self._leave(apply=False)

    def _leave(self, apply: bool) -> None:
        self.display = False
        self._left(apply)
