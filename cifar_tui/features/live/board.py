"""All runs in training side by side, a panel each."""

from collections.abc import Sequence
from datetime import datetime

from textual.app import ComposeResult
from textual.containers import Grid, Vertical
from textual.widgets import Static

from cifar_tui.features.live.core import panel_words
from cifar_tui.features.queue.plan import Plan, time_of_day
from cifar_tui.runs.listing import Look
from cifar_tui.text import at_epoch, plain, runs_text
from cifar_tui.tui.plot import Curve, Curves
from cifar_tui.tui.screen import put

LEAST_WIDTH, LEAST_HEIGHT = 38, 4
"""Cells of the smallest panel."""
METRICS = ("train_acc", "val_acc")


class Panel(Vertical):
    """One run: its name and best figure, where it is, its curves."""

    def __init__(self) -> None:
        super().__init__()
        self._title = Static("", classes="line title", markup=False)
        self._progress = Static("", classes="line", markup=False)
        self._curves = Curves()

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._progress
        yield self._curves

    def show(self, look: Look) -> None:
        """Show the run as it is now; what has not changed is not sent again."""
        run = look.run
        demo = " demo" if run.synthetic else ""
        put(self._title, f" {plain(run.name)}{demo}  best {at_epoch(run.summary.best)}")
        put(self._progress, f" {panel_words(look)}")
        curves = [Curve(m[:-4], [(e.epoch, getattr(e, m)) for e in look.epochs]) for m in METRICS]
        self._curves.show(curves, "accuracy")


class Board(Vertical):
    """As many panels as fit, the cursor's among them, under a line that counts the runs."""

    def __init__(self) -> None:
        super().__init__()
        self._looks: Sequence[Look] = ()
        self._plan = Plan()
        self._place = 0
        """Which run has the cursor."""

    def compose(self) -> ComposeResult:
        yield Static("", id="summary", classes="line", markup=False)
        yield Grid()

    @property
    def chosen(self) -> Look | None:
        """The run under the cursor."""
        return self._looks[self._place] if self._looks else None

    def show(self, looks: Sequence[Look], plan: Plan) -> None:
        """Show these runs, and what is queued behind them."""
        before = self.chosen
        self._looks, self._plan = looks, plan
        ids = [look.run.id for look in looks]
        if before is not None and before.run.id in ids:
            self._place = ids.index(before.run.id)
        self._place = max(0, min(self._place, len(looks) - 1))
        self.call_next(self._draw)

    def on_resize(self) -> None:
        """Show as many panels as fit now."""
        self.call_after_refresh(self._draw)

    def _words(self) -> str:
        many = len(self._looks)
        waiting = sum(look.run.status == "queued" for look in self._looks)
        parts = [f"{runs_text(many - waiting)} in training"]
        parts += [f"{waiting} waiting for a device"] if waiting else []
        queued, done = len(self._plan.names), self._plan.done
        parts += [f"{queued} queued"] if queued else []
        parts += [f"all done about {time_of_day(done, datetime.now())}"] if done else []
        hidden = many - self._columns() * self._rows()
        parts += [f"{hidden} more than fit here"] if hidden > 0 else []
        return ", ".join(parts)

    def _columns(self) -> int:
        fit = max(1, self.size.width // LEAST_WIDTH)
        return 1 if len(self._looks) <= 1 else min(fit, 2 if len(self._looks) <= 4 else 4)

    def _rows(self) -> int:
        needed = -(-len(self._looks) // self._columns())
        return max(1, min(needed, (self.size.height - 1) // LEAST_HEIGHT))

    async def _draw(self) -> None:
        if not (self.is_attached and self.children and self.size.width):
            return  # not laid out yet, or on its way out
        put(self.query_one("#summary", Static), f" {self._words()}")
        grid = self.query_one(Grid)
        columns, rows = self._columns(), self._rows()
        grid.styles.grid_size_columns, grid.styles.grid_size_rows = columns, rows
        first = max(0, self._place - columns * rows + 1)
        shown = self._looks[first : first + columns * rows]
        panels = list(grid.query(Panel))
        if len(panels) < len(shown):
            more = [Panel() for _ in range(len(shown) - len(panels))]
            await grid.mount(*more)
            panels += more
        for panel in panels[len(shown) :]:
            await panel.remove()
        for number, (panel, look) in enumerate(zip(panels, shown, strict=False), first):
            panel.set_class(number == self._place, "chosen")
            panel.show(look)

    def move(self, columns: int, rows: int) -> None:
        """Put the cursor on another run, that many panels to the right and below."""
        step = columns + rows * self._columns()
        self._place = max(0, min(self._place + step, len(self._looks) - 1))
        self.call_next(self._draw)
