"""The line in which a filter is typed: completed with Tab, former ones with up and down."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.suggester import Suggester
from textual.widgets import Input

from cifar_tui.query.fields import Field
from cifar_tui.query.filter import complete
from cifar_tui.query.view import LONGEST_FILTER
from cifar_tui.tui.textual_internals import suggestion

Values = Callable[[Field], Sequence[str]]


class TermSuggester(Suggester):
    """Types out the last term."""

    def __init__(self, values: Values) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._values = values

    async def get_suggestion(self, value: str) -> str | None:
        """The whole line with its last term complete."""
        return complete(value, self._values)


class FilterInput(Input):
    """One line of filter; `values` gives what a field is in the runs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "complete", show=False),
        Binding("up", "former(1)", "former", show=False),
        Binding("down", "former(-1)", "latter", show=False),
    ]

    def __init__(self, values: Values) -> None:
        super().__init__(
            id="filter",
            compact=True,
            placeholder="lr>=0.05 bn model=resnet -tag:bad val_acc>0.7   Tab completes",
            suggester=TermSuggester(values),
            max_length=LONGEST_FILTER,
        )
        self.filters: Sequence[str] = ()
        """Former filters, the latest first."""
        self._place = -1
        self._draft = ""

    def begin(self, filters: Sequence[str]) -> None:
        """Type after what stands there; these are the former ones."""
        self.filters, self._place = filters, -1
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
        if not -1 <= place < len(self.filters):
            return
        if self._place == -1:
            self._draft = self.value
        self._place = place
        self.value = self._draft if place == -1 else self.filters[place]
        self.cursor_position = len(self.value)
