"""The queue: what waits in order, moved, taken out, and emptied."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from cifar_tui.errors import Tick, UserError
from cifar_tui.features.queue.plan import Plan, in_queue, plan_now, time_of_day
from cifar_tui.query.fields import Field, Line, settings_text
from cifar_tui.query.telling import telling, words
from cifar_tui.queue.choices import stop
from cifar_tui.runs.control import BY_USER, end
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.table import Column, Table, cut_middle, figures
from cifar_tui.text import clock, plain, runs_text
from cifar_tui.tui.dialogs import Ask
from cifar_tui.tui.jobs import run_job
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.row_table import RowTable
from cifar_tui.tui.screen import KeyLine, TopLine, WatchingScreen


class QueueScreen(WatchingScreen[Plan]):
    """All runs that wait, in whichever program, with the time at which each is to begin."""

    CSS_PATH = "queue.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("queue")
    AUTO_FOCUS = "RowTable"
    LOOK_EVERY = 1.0

    def __init__(self, mode: str) -> None:
        super().__init__(id="queue")
        self._mode = mode
        self._plan = Plan()

    def compose(self) -> ComposeResult:
        yield TopLine(self._mode)
        yield Static("", id="summary", classes="line", markup=False)
        yield RowTable()
        yield KeyLine()

    def look(self) -> Plan:
        return plan_now(self.cifar, in_queue(self.cifar))

    def take(self, seen: Plan) -> None:
        self._plan = seen
        own = self.cifar.worker.own
        self.query_one(RowTable).show_table(queue_table(seen, own), [run.id for run in seen.runs])
        self.say("summary", f" {self._words()}")
        self.refresh_bindings()

    def _words(self) -> str:
        count, done = len(self._plan.runs), self._plan.done
        if not count:
            return "No run waits."
        words = f"{runs_text(count)} wait{'s' * (count == 1)}"
        if self.cifar.worker.held:
            return f"{words}; the queue is on hold, p lets it go on"
        return words if done is None else f"{words}, all done about {_time(done)}"

    def offers(self, action: str) -> bool:
        if action == "pause":
            return bool(self.cifar.worker.queued) and not self.cifar.worker.outlives
        if action == "resume":
            run = self._chosen
            return run is not None and run.left_behind
        return action.startswith("app.") or bool(self._plan.runs)

    @property
    def _chosen(self) -> Run | None:
        """The run under the cursor."""
        key = self.query_one(RowTable).cursor_key
        return next((run for run in self._plan.runs if run.id == key), None)

    @on(RowTable.CursorMoved)
    def _offer_keys(self) -> None:
        self.refresh_bindings()

    @on(RowTable.RowSelected)
    def action_open(self) -> None:
        """Open the page of the run under the cursor."""
        if self._chosen is not None:
            self.cifar.watch_run(self._chosen.id)

    def action_sooner(self) -> None:
        """Move the run forwards."""
        self._move(-1)

    def action_later(self) -> None:
        """Move the run backwards."""
        self._move(1)

    def _move(self, step: int) -> None:
        run, worker = self._chosen, self.cifar.worker
        if run is None:
            return
        if run.id in worker.queued and not worker.outlives:
            worker.move(run.id, step)
            self.look_again()
            return
        why = "waits in another program; only this one's queue can be reordered"
        if run.left_behind:
            why = "is in no queue: r trains it"
        elif run.id in worker.own:
            why = "waits in the cluster's own order" if worker.outlives else "has its turn"
        self.notify(f"{plain(run.name)} {why}.", markup=False)

    def action_pause(self) -> None:
        """Hold this program's queue, or let it go on."""
        worker = self.cifar.worker
        if worker.held:
            worker.go_on()
        elif self.offers("pause"):
            worker.hold()
        self.look_again()

    def action_resume(self) -> None:
        """Queue a run here that a program has left which has ended."""
        if self._chosen is not None:
            self.cifar.launcher.resume(self._chosen)
            self.look_again()

    def action_stop(self) -> None:
        """Take the run out of the queue, after asking."""
        if self._chosen is not None:
            self._ask([self._chosen], f"Take {plain(self._chosen.name)} out of the queue?")

    def action_empty(self) -> None:
        """Stop all runs that wait, in whichever program, after asking; what trains goes on."""
        runs = self._plan.runs
        if not runs:
            self.notify("No run waits.")
            return
        waits = f"{runs_text(len(runs))} that wait{'s' * (len(runs) == 1)}"
        self._ask(runs, f"Stop the {waits}? What trains goes on.")

    def _ask(self, runs: Sequence[Run], question: str) -> None:
        def answered(sure: bool | None) -> None:
            if sure:
                run_job(self, partial(self._stop, runs), self._stopped, self.complain)

        kept = "It is" if len(runs) == 1 else "They are"
        question = f"{question} {kept} kept as stopped, and r in History queues a run again."
        self.app.push_screen(Ask(question, yes="stop"), answered)

    def complain(self, sentence: str) -> None:
        self.cifar.complain(UserError(sentence))

    def _stop(self, runs: Sequence[Run], tick: Tick) -> list[str]:
        """Stop runs, in a thread, the last first so that none of them begins; what went wrong."""
        problems = []
        for run in reversed(runs):
            try:
                if self.cifar.worker.drop(run.id):
                    end(RunFolder(run.path), "stopped", BY_USER)
                else:
                    stop(run)
            except UserError as error:
                problems.append(str(error))
        self.cifar.activity.soon()
        return problems

    def _stopped(self, problems: Sequence[str]) -> None:
        self.cifar.complain_of(problems)
        self.look_again()


def queue_table(plan: Plan, own: Sequence[str]) -> Table:
    """A row per run that waits: its place, what it trains, when it begins, and how long it takes.

    `own` are the ids of the runs of this program.
    """
    lines = [Line(run) for run in plan.runs]
    varying = telling(lines)
    rows = [
        (
            "" if run.left_behind else str(place),
            _title(line, varying),
            f"{run.summary.epochs_done}/{run.summary.epochs}",
            "-" if begins is None else _time(begins),
            "-" if lasts is None else clock(lasts),
            _waits_for(run, own),
        )
        for place, (line, run, begins, lasts) in enumerate(
            zip(lines, plan.runs, plan.begins, plan.lasts, strict=True), 1
        )
    ]
    about = Column("run", 24, grows=True, cut=cut_middle)
    columns = [*figures("#"), about, *figures("epochs", "begins", "takes")]
    return Table([*columns, Column("", 20, grows=True)], rows)


def _title(line: Line, varying: Sequence[Field]) -> str:
    """What a person calls it, and the settings in which it differs from the others."""
    settings = words(line, varying) or settings_text(line.run)
    return plain(f"{line.given_name}  {settings}".strip())


def _waits_for(run: Run, own: Sequence[str]) -> str:
    if run.left_behind:
        return "its program has ended: r trains it"
    if run.summary.reason:
        return plain(run.summary.reason)
    return "" if run.id in own else "in another program"


def _time(seconds: float) -> str:
    return time_of_day(seconds, datetime.now())
