"""All runs in training side by side, a panel each; Enter shows one on the whole screen."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid, Vertical
from textual.widgets import Static

from cifar_tui.errors import UserError
from cifar_tui.runs.control import in_training
from cifar_tui.runs.ids import by_time
from cifar_tui.runs.listing import Follower, Look
from cifar_tui.text import at_epoch, clock, plain, rate
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.plot import Curve, Curves
from cifar_tui.tui.screen import KeyLine, TopLine, WatchingScreen

LEAST_WIDTH, LEAST_HEIGHT = 38, 4
"""Cells of the smallest panel."""
BARE = 3
"""Lines of the screen that are no panels."""
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
        title = f" {plain(run.name)}{demo}  best {at_epoch(run.summary.best)}"
        for widget, text in ((self._title, title), (self._progress, f" {progress_words(look)}")):
            if str(widget.content) != text:
                widget.update(text)
        curves = [Curve(m[:-4], [(e.epoch, getattr(e, m)) for e in look.epochs]) for m in METRICS]
        self._curves.show(curves, "accuracy")


def progress_words(look: Look) -> str:
    """`cuda:1 12/30  18.2k img/s 0:00:42 left`, or what the run waits for."""
    summary, progress = look.run.summary, look.progress
    if look.run.status != "running" or progress is None:
        reason = f": {plain(summary.reason)}" if summary.reason else ""
        return f"{look.run.status} {summary.epochs_done}/{summary.epochs}{reason}"
    device = summary.device.partition(" ")[0]
    speed = rate(progress.images_per_second)
    left = clock(progress.seconds_left)
    return f"{device} {progress.epoch}/{summary.epochs}  {speed} img/s {left} left"


class PanelsScreen(WatchingScreen[tuple[list[Look], str]]):
    """The runs in training, whoever trains them, as many panels as fit."""

    CSS_PATH = "panels.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("panels")

    def __init__(self) -> None:
        super().__init__(id="panels")
        self._followers: dict[str, Follower] = {}
        self._looks: list[Look] = []
        self._place = 0
        """Which run has the cursor."""

    def compose(self) -> ComposeResult:
        yield TopLine("live")
        yield Static(" Looking ...", id="summary", classes="line", markup=False)
        yield Grid(id="grid")
        yield KeyLine()

    def on_resize(self) -> None:
        """Show as many panels as fit now."""
        self.call_after_refresh(self._show)

    def look(self) -> tuple[list[Look], str]:
        looks: list[Look] = []
        try:
            training = {run.id for run in in_training(self.cifar.runs.all())}
            for run_id in sorted(training | set(self.cifar.worker.training), key=by_time):
                follower = self._followers.get(run_id) or Follower(self.cifar.runs, run_id)
                self._followers[run_id] = follower
                looks.append(follower.look())
        except UserError as error:
            return looks, str(error)
        return looks, ""

    def take(self, seen: tuple[list[Look], str]) -> None:
        self._looks, problem = seen
        self._place = max(0, min(self._place, len(self._looks) - 1))
        self.say("summary", f" {plain(problem) if problem else self._words()}")
        self.call_next(self._show)

    def _words(self) -> str:
        many = len(self._looks)
        waiting = sum(look.run.status == "queued" for look in self._looks)
        training, queued = many - waiting, len(self.cifar.worker.queued)
        parts = [f"{training} run{'' if training == 1 else 's'} in training"]
        parts += [f"{waiting} waiting for a device"] if waiting else []
        parts += [f"{queued} queued"] if queued else []
        hidden = many - self._columns() * self._rows()
        parts += [f"{hidden} more than fit here"] if hidden > 0 else []
        if self.cifar.worker.problem:
            parts.append(plain(self.cifar.worker.problem))
        return ", ".join(parts)

    def _columns(self) -> int:
        fit = max(1, self.size.width // LEAST_WIDTH)
        return 1 if len(self._looks) <= 1 else min(fit, 2 if len(self._looks) <= 4 else 4)

    def _rows(self) -> int:
        needed = -(-len(self._looks) // self._columns())
        return max(1, min(needed, (self.size.height - BARE) // LEAST_HEIGHT))

    async def _show(self) -> None:
        """Have one panel per run that fits, the cursor's among them."""
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

    async def action_move(self, step: int) -> None:
        """Put the cursor on another run."""
        self._place = max(0, min(self._place + step, len(self._looks) - 1))
        await self._show()

    async def action_move_row(self, step: int) -> None:
        """Put the cursor on the run above or below."""
        await self.action_move(step * self._columns())

    def action_open(self) -> None:
        """Show the cursor's run on the whole screen."""
        if self._looks:
            self.cifar.watch_run(self._looks[self._place].run.id)
