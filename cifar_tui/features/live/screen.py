"""The live screen: one run watched through its folder, whoever trains it."""

import time
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from cifar_tui.errors import UserError
from cifar_tui.queue.choices import withdraw
from cifar_tui.runs.control import in_training, order
from cifar_tui.runs.events import EpochDone
from cifar_tui.runs.folder import Order
from cifar_tui.runs.ids import by_time
from cifar_tui.runs.listing import Follower, Look, Run
from cifar_tui.spec.checks import changed
from cifar_tui.spec.naming import brief, model_name
from cifar_tui.text import at_epoch, clock, learning_rate, loss, plain, rate, runs_text
from cifar_tui.training.schedule import lr_at
from cifar_tui.tui.dialogs import Ask
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.plot import Curve, Curves
from cifar_tui.tui.row_table import EpochTable
from cifar_tui.tui.screen import KeyLine, TopLine, WatchingScreen

ROWS_EVERY = 1.0
PLOT_EVERY = 6.0
"""Seconds between two redraws of the table of epochs and of the curves, which cost most on a slow
line: 2 and 19 kB at 140x40."""
YOUNG = 8
"""The number of epochs up to which the curves are redrawn as often as the table."""


@dataclass(frozen=True)
class Watched:
    """What one look saw."""

    wanted: str | None
    """The run that was asked for."""
    look: Look | None
    """The run that is shown; None where there is none."""
    next_name: str = ""
    """What the first run that waits is called."""


class LiveScreen(WatchingScreen[Watched]):
    """Progress, curves and epochs of the watched run."""

    CSS_PATH = "live.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("live")

    LOOK_EVERY = 0.25

    def __init__(self) -> None:
        super().__init__()
        self._follower: Follower | None = None
        self._seen = Watched(None, None)
        self._elsewhere: str | None = None
        """Id of a run that another process trains."""
        self._drawn: dict[str, tuple[float, tuple[object, ...]]] = {}
        """When the table and the curves were redrawn, and what they showed then."""

    def compose(self) -> ComposeResult:
        yield TopLine("live")
        yield Static("", id="run", classes="line", markup=False)
        yield Static("", id="progress", classes="line", markup=False)
        with Horizontal(id="plots"):
            yield Curves(id="loss")
            yield Curves(id="accuracy")
        yield EpochTable(id="epochs")
        yield Static("", id="foot", classes="line muted", markup=False)
        yield KeyLine()

    def on_screen_resume(self) -> None:
        self._look_elsewhere()

    @work(thread=True, exclusive=True)
    def _look_elsewhere(self) -> None:
        try:
            elsewhere = in_training(self.cifar.runs.all())
        except UserError:
            return
        self._elsewhere = elsewhere[-1].id if elsewhere else None

    def look(self) -> Watched:
        wanted, runs = self.cifar.watched, self.cifar.runs
        run_id = self._choose(None if self._is_gone(wanted) else wanted)
        if run_id is None:
            return Watched(wanted, None)
        if self._follower is None or self._follower.run_id != run_id:
            self._follower = Follower(runs, run_id)
        queued = [name for name in self.cifar.worker.queued if name != run_id]
        next_name = runs.get(queued[0]).name if queued else ""
        return Watched(wanted, self._follower.look(), next_name)

    def _choose(self, wanted: str | None) -> str | None:
        """The watched run, else the one in training here or elsewhere, else the one before."""
        if self._follower is not None and self._is_gone(self._follower.run_id):
            self._follower = None
        wanted = wanted or self.cifar.worker.current
        if wanted is not None:
            return wanted
        if self.cifar.launcher.making:
            return None
        if self._follower is not None:
            return self._follower.run_id
        waiting = self.cifar.worker.queued
        return waiting[0] if waiting else self._elsewhere

    def _is_gone(self, run_id: str | None) -> bool:
        """Whether a run's folder was removed, and this program has given it up."""
        if run_id is None or run_id in self.cifar.worker.own:
            return False
        return not (self.cifar.runs.folder / run_id).is_dir()

    def take(self, seen: Watched) -> None:
        if seen.wanted != self.cifar.watched:  # another was asked for meanwhile
            self.look_again()
            return
        if seen.wanted is not None and (seen.look is None or seen.look.run.id != seen.wanted):
            self.cifar.watched = None  # its folder is gone
        self._seen = seen
        if seen.look is None:
            self._show_nothing()
        else:
            self._show(seen.look)

    def _show_nothing(self) -> None:
        making = self.cifar.launcher.making
        nothing = "Nothing is in training. n sets up a run; h shows the runs so far."
        self.say("run", f" Making {runs_text(making)} ..." if making else f" {nothing}")

    def _show(self, look: Look) -> None:
        self.say("run", self._headline(look.run))
        self.say("progress", progress_line(look, self.size.width))
        problem = self.cifar.worker.problem
        self.query_one("#foot").set_class(bool(problem), "error")
        self.say("foot", Text(f" {problem}") if problem else self._footline(look.run))
        if self._due("rows", look, ROWS_EVERY):
            self.query_one(EpochTable).show(look.epochs, look.run.summary.best)
        if self._due("curves", look, ROWS_EVERY if len(look.epochs) <= YOUNG else PLOT_EVERY):
            self._plot(look.epochs)

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

    def _headline(self, run: Run) -> Text:
        best = f"best val_acc {at_epoch(run.summary.best)} "
        name = plain(run.name)
        if run.synthetic:
            name += " (synthetic demo images)"
        if run.spec is not None and not run.name.startswith(model_name(run.spec.model_dump())):
            settings = f"{model_name(run.spec.model_dump())} {brief(changed(run.spec))}"
            name += f"  {plain(settings)}"
        return _apart(f" {name}", best, self.size.width)

    def _footline(self, run: Run) -> Text:
        before = run.summary.initial_loss
        left = "" if before is None else f" before training: loss {loss(before)} (ln 10 = 2.3026)"
        queued = [run_id for run_id in self.cifar.worker.queued if run_id != run.id]
        right = ""
        if queued and self._seen.next_name:
            name = plain(self._seen.next_name)
            held = "held (p goes on), " if self.cifar.worker.held else ""
            more = f" +{len(queued) - 1}" if len(queued) > 1 else ""
            right = f"{held}next: {name}{more} "
        return _apart(left, right, self.size.width)

    async def _watched(self) -> Run | None:
        """The run on the screen as it is now, so that no key acts on what was."""
        look = self._seen.look
        if look is None:
            return None
        return await self.cifar.answer_of(partial(self.cifar.runs.get, look.run.id), look.run)

    async def _order(self, run: Run, wanted: Order) -> None:
        try:
            await self.cifar.answer_of(partial(order, run, wanted), None)
        except UserError as error:
            self.cifar.complain(error)
            return
        if wanted == "stop" and run.status == "queued" and run.id not in self.cifar.worker.own:
            self._withdraw(run)

    @work(thread=True, group="withdraw")
    def _withdraw(self, run: Run) -> None:
        """Have a cluster give up a run that waits there, whichever backend is in use here."""
        withdraw(run)

    async def action_pause(self) -> None:
        """Let a held queue go on, else pause the run or let it go on."""
        run = await self._watched()
        if await self._is_missing(run):
            return
        waits = self.cifar.worker.queued and run is not None and run.status != "paused"
        if self.cifar.worker.held and (run is None or run.ended or waits):
            self.cifar.worker.go_on()
            self.cifar.watched = None
        elif run is not None:
            await self._order(run, "go" if run.status == "paused" else "pause")

    async def _is_missing(self, run: Run | None) -> bool:
        """Whether a run's folder is missing, without which it cannot be told anything; says so."""
        if run is None or await self.cifar.answer_of(run.path.is_dir, True):
            return False
        self.notify(
            f"The folder of {plain(run.id)} is missing: unless it is brought back, the run ends "
            "within a minute and the next one starts."
        )
        return True

    async def action_stop(self) -> None:
        """Stop the run and hold the queue, after asking."""
        await self._ask_to_stop(hold=True)

    async def action_skip(self) -> None:
        """Stop the run and go on with the next, after asking."""
        await self._ask_to_stop(hold=False)

    async def _ask_to_stop(self, *, hold: bool) -> None:
        run = await self._watched()
        if await self._is_missing(run):
            return
        if run is None or run.ended:
            self.notify("There is no running run to stop here.")
            return
        hold = hold and not self.cifar.worker.outlives
        waiting = len(self.cifar.worker.queued)
        then = f" {waiting} queued {'wait' if hold else 'go on'}." if waiting else ""
        question = (
            f"Stop {plain(run.name)}? {run.summary.epochs_done} of {run.summary.epochs} epochs "
            f"are kept and it can be resumed.{then}"
        )

        async def stop(sure: bool | None) -> None:
            if sure:
                if hold:
                    self.cifar.worker.hold()
                else:
                    self.cifar.watched = None
                now = await self._watched()
                if now is not None:
                    await self._order(now, "stop")

        self.app.push_screen(Ask(question, yes="stop"), stop)

    async def action_watch_before(self) -> None:
        """Watch the run before this one."""
        await self._watch(-1)

    async def action_watch_next(self) -> None:
        """Watch the run after this one."""
        await self._watch(1)

    async def _watch(self, step: int) -> None:
        """Go on among the runs that have not ended, or the latest where all have."""
        runs: list[Run] = []
        try:
            runs = await self.cifar.answer_of(self.cifar.runs.all, runs)
        except UserError as error:
            self.cifar.complain(error)
        near = [r.id for r in runs if not r.ended] or [r.id for r in runs[-20:]]
        look = self._seen.look
        shown = self.cifar.watched or (look.run.id if look else None)
        if shown is not None and shown not in near:
            near = sorted([*near, shown], key=by_time)
        if not near:
            return
        place = near.index(shown) if shown in near else -1
        self.cifar.watched = near[(place + step) % len(near)]
        self.look_again()

    def action_panels(self) -> None:
        """Show all runs in training side by side."""
        from cifar_tui.features.live.panels import PanelsScreen

        self.app.push_screen(PanelsScreen())

    async def action_info(self) -> None:
        """Show everything about the run."""
        run = await self._watched()
        if run is not None:
            self.cifar.open("info", run, "live")

    async def action_export(self) -> None:
        """Write predictions.csv from the best checkpoint."""
        run = await self._watched()
        if run is not None:
            self.cifar.open("export", run)

    async def action_weights(self) -> None:
        """Show the run's weights as of its best epoch so far."""
        run = await self._watched()
        if run is not None:
            self.cifar.open("weights", [run], "live")

    async def action_new_from(self) -> None:
        """Fill the form with this run's settings."""
        run = await self._watched()
        if run is not None:
            self.cifar.new_from(run)


def progress_line(look: Look, width: int) -> Text:
    """Where the run is: epoch, bar of the whole run, speed and time left, at fixed widths."""
    summary, progress = look.run.summary, look.progress
    reason = f": {plain(summary.reason)}" if summary.reason else ""
    if look.run.left_behind:
        reason = " in a process that is gone; r in History trains it"
    elif look.run.status == "queued" and progress is not None and progress.worker.job:
        reason += f" as {plain(progress.worker.job)}"
    epochs = summary.epochs
    digits = len(str(epochs))
    if look.run.ended or progress is None or not progress.images:
        where = f" {look.run.status}{reason}"
        done = f"epoch {summary.epochs_done}/{epochs}  {clock(summary.seconds)} "
        return _apart(where, done, width)
    share = min(1.0, (progress.epoch - 1 + progress.part) / max(1, epochs))
    does = f"{rate(progress.images_per_second)} img/s"
    if progress.phase == "val":
        does = "validating"
    if progress.phase == "paused" or look.run.status == "paused":
        does = "paused"
    lr = f"lr {learning_rate(lr_at(look.run.spec, progress.epoch))} " if look.run.spec else ""
    left = f" epoch {progress.epoch:>{digits}}/{epochs} {progress.part:4.0%} {lr}"
    right = f" {share:4.0%}  {does:>12}  {clock(progress.seconds_left):>7} left "
    cells = max(4, width - len(left) - len(right) - 2)
    filled = int(cells * share)
    return Text(f"{left}[{'#' * filled}{'.' * (cells - filled)}]{right}", no_wrap=True)


def _apart(left: str, right: str, width: int) -> Text:
    """Two texts at both ends of a line; the left one gives way."""
    room = max(0, width - len(right) - 1)
    if len(left) > room:
        left = left[: max(0, room - 1)] + "…"
    return Text(left + " " * max(1, width - len(left) - len(right)) + right, no_wrap=True)
