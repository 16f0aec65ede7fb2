"""The live screen: what trains now, whichever process trains it; several runs as a board."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from cifar_tui.errors import UserError
from cifar_tui.features.live.beside import NOTHING, Around
from cifar_tui.features.live.board import Board
from cifar_tui.features.live.core import before_training
from cifar_tui.features.live.page import RunKeys
from cifar_tui.features.live.run_view import RunView
from cifar_tui.features.queue.plan import Plan, plan_of, time_of_day
from cifar_tui.runs.ids import by_time
from cifar_tui.runs.listing import Follower, Look, Run
from cifar_tui.text import runs_text
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.screen import KeyLine, TopLine

BOARD_EVERY = 2.0
"""Seconds between two looks at several runs."""
PLAN_EVERY = 15.0
"""Seconds for which it stands when the queue is expected to be done."""
NEAR = 20
"""How many of the latest runs `[` and `]` go through where none trains or waits."""


@dataclass(frozen=True)
class Watched:
    """What one look saw."""

    wanted: str | None
    """The run that `[` or `]` went to."""
    looks: tuple[Look, ...] = ()
    """The run that is shown, or all that train."""
    around: Around = NOTHING
    """What waits behind them, and the machine."""
    is_over: bool = False
    """Whether the wanted run is to make way for what trains."""

    @property
    def look(self) -> Look | None:
        """The only run."""
        return self.looks[0] if len(self.looks) == 1 else None


class LiveScreen(RunKeys[Watched]):
    """Progress, curves and epochs of the run in training, or of another near it for a while."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("live")

    def __init__(self) -> None:
        super().__init__()
        self._followers: dict[str, Follower] = {}
        self._seen = Watched(None)
        self._last: str | None = None
        """Id of the run that was shown last."""
        self._board_looked_at = 0.0
        self._planned: tuple[object, float, Plan] = ((), 0.0, Plan())
        """What waits behind which runs, and when that was found."""

    def compose(self) -> ComposeResult:
        yield TopLine("live")
        yield RunView()
        board = Board()
        board.display = False
        yield board
        yield KeyLine()

    def on_screen_resume(self) -> None:
        self.cifar.activity.soon()

    @property
    def shown(self) -> Look | None:
        return self.query_one(Board).chosen if self._several else self._seen.look

    @property
    def _several(self) -> bool:
        return len(self._seen.looks) > 1

    # What is shown

    def look(self) -> Watched:
        wanted, seen = self.cifar.watched, self._seen
        training = self._training()
        if wanted is not None and self._is_gone(wanted):
            return Watched(wanted, is_over=True)
        ids = [wanted] if wanted is not None else training or self._next_best()
        if len(ids) > 1 and ids == [look.run.id for look in seen.looks]:
            if time.monotonic() - self._board_looked_at < BOARD_EVERY:
                return replace(seen, wanted=wanted)
            self._board_looked_at = time.monotonic()
        looks = self._look_at(ids)
        if wanted is not None and looks[0].run.ended and set(training) - {wanted}:
            return Watched(wanted, is_over=True)
        place = self.place_of(looks[0].run) if len(looks) == 1 else ""
        return Watched(wanted, looks, Around(self._plan(looks), self.machine(), place))

    def _training(self) -> list[str]:
        """The runs that have their turn here or train elsewhere, else one that waits for its."""
        now = self.cifar.activity.now
        found = {*self.cifar.worker.training, *(run.id for run in now.training)}
        if not found:
            found = set([run.id for run in now.waiting if run.summary.reason][:1])
        return sorted(found, key=by_time)

    def _next_best(self) -> list[str]:
        """What there is to show while nothing trains: the next run, else the one before."""
        worker = self.cifar.worker
        if self.cifar.launcher.making:
            return []
        if worker.queued and not worker.held:
            return worker.queued[:1]
        if self._last is not None and not self._is_gone(self._last):
            return [self._last]
        return (worker.queued or [run.id for run in self.cifar.activity.now.waiting])[:1]

    def _look_at(self, ids: list[str]) -> tuple[Look, ...]:
        """These runs without those that have ended meanwhile, unless all have."""
        runs, activity = self.cifar.runs, self.cifar.activity
        self._followers = {i: self._followers.get(i) or Follower(runs, i) for i in ids}
        looks = [self._followers[i].look() for i in ids]
        if any(look.run.ended and look.run.id in activity.now.ids for look in looks):
            activity.soon()
        return tuple([look for look in looks if not look.run.ended] or looks[-1:])

    def _plan(self, looks: Sequence[Look]) -> Plan:
        """What waits behind the runs that are shown, in this program or elsewhere."""
        now, worker, runs = self.cifar.activity.now, self.cifar.worker, self.cifar.runs
        shown = {look.run.id for look in looks}
        queued = [i for i in worker.queued or [run.id for run in now.waiting] if i not in shown]
        key = (*queued, *shown)
        if key != self._planned[0] or time.monotonic() - self._planned[1] >= PLAN_EVERY:
            training = [look.run for look in looks if not look.run.ended] or now.training
            plan = plan_of(training, list(map(runs.get, queued)), now.known, worker.slots)
            self._planned = (key, time.monotonic(), plan)
        return self._planned[2]

    def _is_gone(self, run_id: str) -> bool:
        """Whether a run's folder was removed, and this program has given it up."""
        if run_id in self.cifar.worker.own:
            return False
        return not (self.cifar.runs.folder / run_id).is_dir()

    def take(self, seen: Watched) -> None:
        if seen.wanted != self.cifar.watched:  # another was asked for meanwhile
            self.look_again()
            return
        if seen.is_over:
            self.cifar.watched = None
            self.look_again()
            return
        self._seen = seen
        view, board = self.query_one(RunView), self.query_one(Board)
        board.display, view.display = self._several, not self._several
        if self._several:
            board.show(seen.looks, seen.around.plan)
        elif seen.look is None:
            self._show_nothing(view)
        else:
            self._last = seen.look.run.id
            news = self.cifar.outcome if seen.look.run.ended else ""
            problem = self.cifar.worker.problem
            view.show(seen.look, seen.around, self._what_is_next(seen.look), problem, news)
        self.offer_keys()

    def _show_nothing(self, view: RunView) -> None:
        making = self.cifar.launcher.making
        nothing = "Nothing is in training. n sets up a run; h shows the runs so far."
        view.say_nothing(f"Making {runs_text(making)} ..." if making else nothing)

    def _what_is_next(self, look: Look) -> str:
        """The run that comes next, and when all are done where there is room for that."""
        plan = self._seen.around.plan
        if not plan.names:
            return ""
        if self.cifar.worker.held:
            return f"queue on hold (p goes on), {len(plan.names)} waiting "
        more = f" +{len(plan.names) - 1}" if len(plan.names) > 1 else ""
        text = f"next: {plan.names[0]}{more}"
        done = "" if plan.done is None else f", done {time_of_day(plan.done, datetime.now())}"
        room = self.size.width - len(before_training(look.run)) - 2
        return f"{text}{done if len(text + done) <= room else ''} "

    # Keys

    def offers(self, action: str) -> bool:
        match action.partition("(")[0]:
            case "open":
                return self._several
            case "follow":
                return self.cifar.watched is not None
            case "watch_before" | "watch_next":
                return self._has_others
        return super().offers(action)

    @property
    def _has_others(self) -> bool:
        """Whether there is another run than the one that is shown to look at."""
        now = self.cifar.activity.now
        near = now.ids or {run.id for run in now.known[-NEAR:]}
        return bool(near - {look.run.id for look in self._seen.looks[:1]})

    async def action_watch_before(self) -> None:
        """Look at the run before this one."""
        await self._watch(-1)

    async def action_watch_next(self) -> None:
        """Look at the run after this one."""
        await self._watch(1)

    async def _watch(self, step: int) -> None:
        """Go on among the runs that have not ended, or the latest where all have."""
        runs: list[Run] = []
        try:
            runs = await self.cifar.answer_of(self.cifar.runs.all, runs)
        except UserError as error:
            self.cifar.complain(error)
            return
        near = [r.id for r in runs if not r.ended] or [r.id for r in runs[-NEAR:]]
        look = self._seen.look
        shown = self.cifar.watched or (look.run.id if look else None)
        if shown is not None and shown not in near:
            near = sorted([*near, shown], key=by_time)
        if not near:
            return
        place = near.index(shown) if shown in near else min(-step, 0)
        self.cifar.watched = near[(place + step) % len(near)]
        self.look_again()

    def action_follow(self) -> None:
        """Show what trains again."""
        self.cifar.watched = None
        self.look_again()

    def action_open(self) -> None:
        """Open the page of the run under the cursor."""
        if self._several and self.shown is not None:
            self.cifar.watch_run(self.shown.run.id)

    def action_move(self, columns: int, rows: int) -> None:
        """Put the cursor on another run, or show other epochs."""
        if self._several:
            self.query_one(Board).move(columns, rows)
            self.offer_keys()
        else:
            self.query_one(RunView).scroll_epochs(rows)
