"""Weights of one to four runs: histograms of a layer side by side, and every layer's shares."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static
from textual.worker import get_current_worker

from cifar_tui.errors import Tick
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, labelled
from cifar_tui.text import accuracy
from cifar_tui.tui.jobs import run_job
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.row_table import RowTable
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine

if TYPE_CHECKING:
    from cifar_tui.features.weights.compute import Weights


SHARES, SPREAD = slice(2, 4), slice(0, 2)
"""Which of a layer's figures the table shows."""


class WeightsScreen(CifarScreen):
    """A table of layers; the cursor's layer is drawn above it, one histogram per run."""

    CSS_PATH = "../../tui/nets.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("weights")
    AUTO_FOCUS = "RowTable"

    def __init__(self, runs: Sequence[Run], mode: str = "history") -> None:
        super().__init__(id="weights")
        self._runs = list(runs)
        self._titles = labelled(runs)
        self._mode = mode
        self._found: list[Weights] = []
        self._figures = SHARES
        self._drawn: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield TopLine(self._mode)
        yield Static(" Reading the weights ...", id="head", classes="line", markup=False)
        yield Static("", id="pictures", markup=False)
        yield RowTable(id="layers")
        yield KeyLine()

    def on_mount(self) -> None:
        def read(tick: Tick) -> "list[Weights]":
            from cifar_tui.features.weights.compute import read_weights

            return [read_weights(RunFolder(run.path).best) for run in self._runs]

        run_job(self, read, self._take, lambda sentence: self.say("head", f" {sentence}"))

    def _take(self, found: "list[Weights]") -> None:
        self._found = found
        self._fill()

    def _fill(self) -> None:
        from cifar_tui.features.weights.compute import layer_table

        table = layer_table(self._titles, self._found, self._figures)
        self.query_one(RowTable).show_table(table)
        self._show_layer()

    def on_resize(self) -> None:
        """Draw to the new size, once the parts have theirs."""
        self.call_after_refresh(self._show_layer)

    @on(RowTable.CursorMoved)
    def _show_layer(self) -> None:
        """Draw the cursor's layer, unless it is on the screen already."""
        name = self.query_one(RowTable).cursor_key
        width, height = self.query_one("#pictures").size
        if name is None or not self._found or not width:
            return
        if (name, width, height) != self._drawn:
            self._drawn = (name, width, height)
            self.say("head", f" {name}: {self._shares(name)}")
            self._draw(name, width, height)

    def _shares(self, name: str) -> str:
        parts = []
        for title, weights in zip(self._titles, self._found, strict=True):
            layer = weights.layer(name)
            if layer is not None:
                letter = f"{title[0]} " if len(self._titles) > 1 else ""
                parts.append(f"{letter}{accuracy(layer.shares.below)}")
        zero = [weights.layer(name) for weights in self._found]
        exact = ", ".join(accuracy(one.shares.zero) for one in zero if one is not None)
        return f"share below 1e-3 {', '.join(parts)}; exactly 0 {exact}"

    @work(thread=True, exclusive=True, group="draw")
    def _draw(self, name: str, width: int, height: int) -> None:
        from cifar_tui.features.weights.compute import pictures

        worker, app = get_current_worker(), self.app
        titles = [f" {title}" for title in self._titles]
        lines = pictures(titles, self._found, name, width, max(1, height - 2))
        if not worker.is_cancelled:
            app.call_from_thread(self.query_one("#pictures", Static).update, "\n".join(lines))

    def action_layer_before(self) -> None:
        self.query_one(RowTable).action_move(-1)

    def action_layer_next(self) -> None:
        self.query_one(RowTable).action_move(1)

    def action_figures(self) -> None:
        self._figures = SPREAD if self._figures is SHARES else SHARES
        if self._found:
            self._fill()
