"""One run on the screen: how good, how far, its curves and epochs."""

import time
from collections.abc import Sequence
from datetime import datetime

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from cifar_tui.features.live.beside import Around, device_lines, settings_lines
from cifar_tui.features.live.core import apart, before_training, headline, progress_line, told_of
from cifar_tui.features.queue.plan import queue_lines, time_of_day
from cifar_tui.queue.notify import WRONG
from cifar_tui.runs.events import EpochDone
from cifar_tui.runs.listing import Look
from cifar_tui.table import cut_end
from cifar_tui.tui.plot import Curve, Curves
from cifar_tui.tui.row_table import EpochTable
from cifar_tui.tui.screen import put

ROWS_EVERY = 1.0
PLOT_EVERY = 6.0
"""Seconds between two redraws of the table of epochs and of the curves, which cost most on a slow
line: 2 and 19 kB at 140x40."""
YOUNG = 8
"""The number of epochs up to which the curves are redrawn as often as the table."""

TALL = 24
"""Lines of a window from which on there is room for more than figures of a run that has ended."""


class RunView(Vertical):
    """A run as the last look saw it; what did not change is not drawn again."""

    def __init__(self) -> None:
        super().__init__()
        self._drawn: dict[str, tuple[float, tuple[object, ...]]] = {}
        """When the table and the curves were redrawn, and what they showed then."""

    def compose(self) -> ComposeResult:
        yield Static("", id="run", classes="line", markup=False)
        yield Static("", id="progress", classes="line", markup=False)
        told = Static("", id="told", classes="muted", markup=False)
        told.display = False
        yield told
        with Horizontal():
            with Vertical():
                with Horizontal(id="plots"):
                    yield Curves(id="loss")
                    yield Curves(id="accuracy")
                yield EpochTable(id="epochs")
            with Vertical(id="beside"):
                for name in ("settings", "device-use", "queue"):
                    yield Static("", id=name, markup=False)
        yield Static("", id="foot", classes="line muted", markup=False)

    def say_nothing(self, text: str) -> None:
        """Say why no run is shown."""
        self._put("run", f" {text}")

    def show(
        self, look: Look, around: Around, right: str = "", problem: str = "", news: str = ""
    ) -> None:
        """Show the run, on the last line what comes after it or why training waits, and news."""
        width = self.screen.size.width  # as the view itself has none before its first layout
        beside = self.query_one("#beside")
        if beside.display and beside.content_size.width:
            self._show_beside(look, around, *beside.content_size)
        self._put("run", headline(look.run, width))
        self._put("progress", progress_line(look, width))
        self.query_one("#progress").set_class(look.run.status in WRONG, "error")
        news = f" {news}\n" if news else ""
        tall = self.screen.size.height >= TALL
        settings = tall and not beside.display
        words = told_of(look, width, verdict=tall, settings=settings, place=around.place)
        told = (news + words).rstrip()
        self._put("told", told)
        self.query_one("#told").display = bool(told)
        self.query_one("#foot").set_class(bool(problem), "error")
        left = before_training(look.run)
        self._put("foot", Text(f" {problem}") if problem else apart(left, right, width))
        if self._due("rows", look, ROWS_EVERY):
            self.query_one(EpochTable).show(look.epochs, look.run.summary.best)
        if self._due("curves", look, ROWS_EVERY if len(look.epochs) <= YOUNG else PLOT_EVERY):
            self._plot(look.epochs)

    def _show_beside(self, look: Look, around: Around, width: int, height: int) -> None:
        run, plan, now = look.run, around.plan, datetime.now()
        settings = settings_lines(run)
        shows_device = around.machine is not None and not run.ended
        device = device_lines(run, around.machine) if shows_device and around.machine else []
        left = height - len(settings) - len(device) - 2 - 3
        queue = queue_lines(plan, now, width, max(1, left))
        done = "" if plan.done is None else f", done about {time_of_day(plan.done, now)}"
        waiting = f"Queue: {len(plan.names)} waiting{done}" if plan.names else ""
        self._put_lines("settings", "Changed settings", settings, width)
        self._put_lines("device-use", "Device" if device else "", device, width)
        self._put_lines("queue", waiting, queue, width)

    def _put_lines(self, name: str, title: str, lines: Sequence[str], width: int) -> None:
        """Lines under a title, each cut to the width; as many as before need no new layout."""
        cut = (f"\n{cut_end(line, width)}" for line in lines)
        text = Text.assemble((title, "bold"), *cut, no_wrap=True)
        part = self.query_one(f"#{name}", Static)
        before = str(part.content)
        if before != text.plain:
            part.update(text, layout=before.count("\n") != len(lines))

    def _put(self, name: str, text: str | Text) -> None:
        put(self.query_one(f"#{name}", Static), text)

    def _due(self, part: str, look: Look, every: float) -> bool:
        """Whether a part has something new to show and was left alone for so many seconds.

        Another run, and a run that has ended, are shown at once.
        """
        now = time.monotonic()
        state = (look.run.id, len(look.epochs), look.run.ended)
        then, before = self._drawn.get(part, (0.0, ()))
        at_once = not before or before[0] != look.run.id or look.run.ended
        if state == before or not (at_once or now - then >= every):
            return False
        self._drawn[part] = (now, state)
        return True

    def _plot(self, epochs: list[EpochDone]) -> None:
        for name in ("loss", "acc"):
            curves = [
                Curve(part, [(e.epoch, getattr(e, f"{part}_{name}")) for e in epochs])
                for part in ("train", "val")
            ]
            widget = self.query_one("#loss" if name == "loss" else "#accuracy", Curves)
            widget.show(curves, "loss" if name == "loss" else "accuracy")

    def scroll_epochs(self, lines: int) -> None:
        """Show earlier or later epochs in the table."""
        self.query_one(EpochTable).scroll_relative(y=lines, animate=False)
