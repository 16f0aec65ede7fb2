"""The keys that act on one run, and the page of a run, opened from wherever it is listed."""

import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Generic

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType

from cifar_tui.errors import UserError
from cifar_tui.features.live.beside import Around
from cifar_tui.features.live.core import refusal
from cifar_tui.features.live.run_view import RunView
from cifar_tui.features.queue.plan import Plan, in_queue, plan_now
from cifar_tui.queue.choices import withdraw
from cifar_tui.runs.control import RESUMABLE, is_in_training, order
from cifar_tui.runs.folder import Order
from cifar_tui.runs.listing import Follower, Look, Run
from cifar_tui.text import plain
from cifar_tui.tui.dialogs import Ask
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.screen import KeyLine, Seen, TopLine, WatchingScreen

if TYPE_CHECKING:
    from cifar_tui.queue.machine import Snapshot

MACHINE_EVERY, PLACE_EVERY = 2.0, 2.0
"""Seconds between two looks at the machine, and at the queue."""


class RunKeys(WatchingScreen[Seen], Generic[Seen]):
    """A screen whose keys pause, stop, resume, export and explain the run that it shows."""

    CSS_PATH = "live.tcss"
    ALSO_OFFERED = ("app.queue",)
    LOOK_EVERY = 0.25
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 - as Textual has it

    _offered: tuple[object, ...] = ()
    """What decided which keys were offered."""
    _machine: "tuple[float, Snapshot] | None" = None
    """The machine as last looked at, and when that was."""

    _placed = ("", 0.0, "")
    """The run whose place in the queue was asked for, when that was, and the place in words."""

    @property
    def shown(self) -> Look | None:
        """The run on the screen, or under the cursor, as last seen."""
        raise NotImplementedError

    def machine(self) -> "Snapshot | None":
        """The machine as it is now, where there is room to show it; for a thread."""
        if not self.has_class("-wide"):
            return None
        from cifar_tui.queue.machine import snapshot

        now = time.monotonic()
        if self._machine is None or now - self._machine[0] >= MACHINE_EVERY:
            self._machine = (now, snapshot())
        return self._machine[1]

    def place_of(self, run: Run) -> str:
        """Where a run that waits is in the queue, in a sentence; for a thread."""
        if run.status != "queued":
            return ""
        now = time.monotonic()
        if self._placed[0] != run.id or now - self._placed[1] >= PLACE_EVERY:
            plan = plan_now(self.cifar, in_queue(self.cifar))
            words = plan.place_words(run, datetime.now())
            if self.cifar.worker.held and run.id in self.cifar.worker.queued:
                words += " The queue is on hold: p goes on."
            self._placed = (run.id, now, words)
        return self._placed[2]

    def offer_keys(self) -> None:
        """Have the key line name those that do something, where the run's state has changed."""
        run, worker = self.shown.run if self.shown else None, self.cifar.worker
        state: tuple[object, ...] = (worker.held, bool(worker.queued), self.cifar.watched)
        state += tuple(map(self.offers, ("watch_next", "open", "app.queue")))
        if run is not None:
            state += (run.id, run.status, run.left_behind, run.summary.best is None)
        if state != self._offered:
            self._offered = state
            self.refresh_bindings()

    def offers(self, action: str) -> bool:
        run = self.shown.run if self.shown else None
        queued = bool(self.cifar.worker.queued)
        if action == "pause" and self.cifar.worker.held and queued:
            return True
        if action == "app.queue":
            return queued or bool(self.cifar.activity.now.waiting)
        if run is None:
            return action not in RUN_ACTIONS
        match action:
            case "pause":
                return is_in_training(run)
            case "stop":
                return not run.ended
            case "skip":
                return not run.ended and queued and run.id in self.cifar.worker.training
            case "resume":
                return run.status in RESUMABLE or run.left_behind
            case "export" | "weights":
                return run.summary.best is not None
            case "new_from":
                return run.spec is not None
        return True

    async def _now(self) -> Run | None:
        """The run on the screen as it is now, so that no key acts on what was."""
        look = self.shown
        if look is None:
            return None
        return await self.cifar.answer_of(partial(self.cifar.runs.get, look.run.id), look.run)

    def _refuse(self, run: Run | None) -> None:
        training = self.cifar.activity.now.training
        self.notify(refusal(run, training), markup=False)

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
        run = await self._now()
        if await self._is_missing(run):
            return
        waits = self.cifar.worker.queued and run is not None and run.status != "paused"
        if self.cifar.worker.held and (run is None or run.ended or waits):
            self.cifar.worker.go_on()
            self.cifar.watched = None
        elif run is None or not is_in_training(run):
            self._refuse(run)
        else:
            await self._order(run, "go" if run.status == "paused" else "pause")

    async def _is_missing(self, run: Run | None) -> bool:
        """Whether a run's folder is missing, without which it cannot be told anything; says so."""
        if run is None or await self.cifar.answer_of(run.path.is_dir, True):
            return False
        self.notify(
            f"The folder of {plain(run.id)} is missing: unless it is brought back, the run ends "
            "within a minute and the next one starts.",
            markup=False,
        )
        return True

    async def action_stop(self) -> None:
        """Stop the run and hold the queue, after asking."""
        await self._ask_to_stop(hold=True)

    async def action_skip(self) -> None:
        """Stop the run and go on with the next, after asking."""
        await self._ask_to_stop(hold=False)

    async def _ask_to_stop(self, *, hold: bool) -> None:
        run = await self._now()
        if await self._is_missing(run):
            return
        if run is None or run.ended:
            self._refuse(run)
            return
        worker = self.cifar.worker
        hold = hold and not worker.outlives and run.id in worker.own
        waiting = len(worker.queued)
        then = ""
        if waiting == 1:
            then = f" The queued run {'waits' if hold else 'is trained next'}."
        elif waiting:
            then = f" The {waiting} queued runs {'wait' if hold else 'are trained next'}."
        question = (
            f"Stop {plain(run.name)}? {run.summary.epochs_done} of {run.summary.epochs} epochs "
            f"are kept and it can be resumed.{then}"
        )

        async def stop(sure: bool | None) -> None:
            if sure:
                if hold:
                    self.cifar.worker.hold()
                now = await self.cifar.answer_of(partial(self.cifar.runs.get, run.id), run)
                await self._order(now, "stop")

        self.app.push_screen(Ask(question, yes="stop"), stop)

    async def action_resume(self) -> None:
        """Queue the run again, to go on from its last whole epoch."""
        run = await self._now()
        if run is None:
            self._refuse(run)
        else:
            self.cifar.launcher.resume(run)

    async def action_info(self) -> None:
        """Show everything about the run."""
        run = await self._now()
        if run is not None:
            self.cifar.open("info", run, self.cifar.current_mode)

    async def action_export(self) -> None:
        """Write predictions.csv from the best checkpoint."""
        run = await self._now()
        if run is not None:
            self.cifar.open("export", run)

    async def action_weights(self) -> None:
        """Show the run's weights as of its best epoch so far."""
        run = await self._now()
        if run is not None:
            self.cifar.open("weights", [run], self.cifar.current_mode)

    async def action_new_from(self) -> None:
        """Fill the form with this run's settings."""
        run = await self._now()
        if run is not None:
            self.cifar.new_from(run)


RUN_ACTIONS = ("pause", "stop", "skip", "resume", "info", "export", "weights", "new_from")
"""What needs a run."""


class RunPage(RunKeys[tuple[Look, Around]]):
    """One run, over the screen that it was opened from; Esc goes back there."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("page")

    def __init__(self, run_id: str, mode: str) -> None:
        super().__init__(id="page")
        self.run_id = run_id
        self._mode = mode
        self._follower: Follower | None = None
        self._last_look: Look | None = None

    def compose(self) -> ComposeResult:
        yield TopLine(self._mode)
        yield RunView()
        yield KeyLine()

    @property
    def shown(self) -> Look | None:
        return self._last_look

    def look(self) -> tuple[Look, Around]:
        if self._follower is None:
            self._follower = Follower(self.cifar.runs, self.run_id)
        look = self._follower.look()
        return look, Around(Plan(), self.machine(), self.place_of(look.run))

    def take(self, seen: tuple[Look, Around]) -> None:
        self._last_look, around = seen
        self.query_one(RunView).show(self._last_look, around)
        self.offer_keys()

    def action_move(self, columns: int, rows: int) -> None:
        """Show earlier or later epochs."""
        self.query_one(RunView).scroll_epochs(rows)
