"""One queue on a cluster: submits runs, follows their folders, submits again what was lost."""

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.queue.cluster.adapter import Cluster, Job, Refused, Silent, State, parse_job
from cifar_tui.queue.nodes import Node, Watch
from cifar_tui.queue.queue import Backend
from cifar_tui.runs.control import BY_USER, end, lost, requeue
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs, read_progress
from cifar_tui.runs.record import Progress, Worker, this_worker, waiting_job
from cifar_tui.spec.settings import RunSpec

LOOK_EVERY, ASK_EVERY, SEARCH_EVERY = 1.0, 15.0, 60.0
"""Seconds between two looks at the folders, questions to the cluster, searches for others' jobs."""
AT_A_LOOK = 200
"""Folders of waiting runs that are looked at in turn at each look."""
SETTLE = 0.3
"""Seconds without another run after which those queued are submitted together."""
LOST_AFTER = 60.0
"""Seconds after which a run whose job has ended is given up; a shared folder may lag."""
LEAVE_WITHIN = 2.0
"""Seconds that an answer may take which nobody waits for any more."""
RESUBMITS = 3
"""How often a run gets another job in place of one that the cluster lost."""
MANY = 1000
"""Runs at a time, where only the cluster knows how many it has room for."""


def withdraw(cluster: Cluster, folder: RunFolder, job: Job) -> bool:
    """Stop a run whose job has not begun, without waiting for its turn; tells whether it was so.

    A job that has begun obeys the run's control file.
    """
    try:
        return job.where == cluster.where() and _cancel_waiting(cluster, folder, job.name)
    except Refused:
        return False
    finally:
        cluster.close()


def _cancel_waiting(cluster: Cluster, folder: RunFolder, job: str) -> bool:
    _cancel_all_waiting(cluster, [job])
    state = cluster.states([job]).get(job)
    return bool(state and state.gone) and end(folder, "stopped", BY_USER)


def _cancel_all_waiting(cluster: Cluster, jobs: Collection[str]) -> None:
    states = cluster.states(jobs)
    if waiting := [job for job, state in states.items() if state.phase == "waiting"]:
        cluster.cancel(waiting)


class ClusterQueue(Backend):
    """Submits runs to a cluster and looks after them; a thread of its own does all that may wait.

    The cluster trains them with or without this program. Runs of the folder that another program
    of this user has submitted are looked after, too.
    """

    outlives = True
    slots = MANY

    def __init__(self, runs: Path, cluster: Cluster) -> None:
        super().__init__()
        self._runs = Runs(runs)
        self._cluster = cluster
        self._jobs: dict[str, str] = {}
        """The job of each run that was submitted."""
        self._begun: set[str] = set()
        """Runs whose job has begun by the cluster's word."""
        self._resubmits: Counter[str] = Counter()
        self._unwanted: set[str] = set()
        """Jobs of runs that were dropped."""
        self._refusal = ""
        """Why the cluster did not take the runs; no more are submitted until told to go on."""
        self._worry = ""
        """Why the cluster does not get on with those it has."""
        self._silent = False
        """Whether the cluster gave no answer in this round."""
        self._gone_since: dict[str, float] = {}
        self._next_question = self._next_search = 0.0
        self._turn = 0
        self._over = False
        self._watch = Watch(cluster.find_nodes)
        self._thread = threading.Thread(target=self._work, name=cluster.name, daemon=True)

    def start(self) -> None:
        """Begin submitting and looking."""
        self._thread.start()
        self.ready.set()

    @property
    def alive(self) -> bool:
        """Whether it looks after runs; they are trained without it, too."""
        with self._changed:
            return self._thread.is_alive() and not (self._closing and self._is_settled())

    @property
    def held(self) -> bool:
        """Whether runs wait for `go_on`, as the cluster did not take them."""
        with self._changed:
            return bool(self._refusal)

    def hold(self) -> None:
        """What was submitted starts when the cluster has room."""

    def go_on(self) -> None:
        """Try once more what the cluster did not take."""
        with self._changed:
            self._refusal = ""
            self._changed.notify_all()

    def move(self, run_id: str, step: int) -> bool:
        """A cluster's queue has its own order."""
        return False

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The cluster's machines; looked at again while somebody wants to know."""
        return self._watch.nodes

    def find_nodes(self, seconds: float) -> tuple[Node, ...]:
        """Ask for them at once; raises UserError without an answer."""
        return self._watch.ask(seconds)

    def check(self, spec: RunSpec) -> None:
        """Raise UserError for a device that the cluster would not give."""
        self._cluster.check(spec)

    def add(self, folder: RunFolder, *, place: int | None = None) -> None:
        """Queue a run; raises UserError for a device that the cluster would not give."""
        self.check(folder.spec())
        with self._changed:
            self._forget(folder.id)
            self._refusal = ""
        super().add(folder, place=place)

    def drop(self, run_id: str) -> bool:
        """Take a waiting run out of the queue; tells whether it was there."""
        with self._changed:
            dropped = super().drop(run_id)
            job = self._jobs.pop(run_id, "") if dropped else ""
            if job:
                self._unwanted.add(job)
                self._changed.notify_all()
        if job:
            self._write_holder(RunFolder(self._runs.folder / run_id), this_worker())
        return dropped

    def join(self) -> None:
        """Wait until it has ended, if it was ever started; once closed, for no late answer."""
        if self._thread.ident is None:
            self._cluster.close()
            return
        with self._changed:
            self._changed.wait_for(lambda: self._over or (self._closing and self._is_settled()))
        self._thread.join(LEAVE_WITHIN)

    def _is_settled(self) -> bool:
        """Whether there is nothing that the cluster still has to be told."""
        return not (self._unwanted or self._fresh())

    def _fresh(self) -> list[RunFolder]:
        """The runs to submit."""
        if self._refusal:
            return []
        return [folder for folder in self._queue if folder.id not in self._jobs]

    def _work(self) -> None:
        """Closing submits what was queued before, and leaves the jobs alone."""
        try:
            while self._go_round():
                with self._changed:
                    self._changed.wait_for(self._has_to_act, LOOK_EVERY)
        finally:
            with self._changed:
                self._problem, self._over = self._refusal, True
                self._changed.notify_all()
            self._cluster.close()

    def _has_to_act(self) -> bool:
        return bool(self._closing) or not (self._silent or self._is_settled())

    def _go_round(self) -> bool:
        """Do once all there is to do; tells whether there will be more."""
        closing, self._silent = self._closing, False
        if not (self._finishing or closing):
            self._search()
        self._submit()
        self._cancel_unwanted()
        if closing:
            return False
        self._look()
        self._watch.look()
        with self._changed:
            waits = self._jobs or (self._queue and not self._refusal)
            return bool(waits) or not self._finishing

    def _search(self) -> None:
        """Now and then: look after runs that others have submitted."""
        now = time.monotonic()
        if now < self._next_search:
            return
        try:
            where = self._cluster.where()
            found = {run.id: job for run in self._runs.all() if (job := self._job_of(run, where))}
        except UserError as error:
            self._silent, self._worry = True, f"Cannot look after earlier runs: {error}"
            return
        self._next_search = now + SEARCH_EVERY
        with self._changed:
            for run_id in found.keys() - set(self.own):
                self._jobs[run_id] = found[run_id]
                self._queue.append(RunFolder(self._runs.folder / run_id))

    def _job_of(self, run: Run, where: str) -> str:
        """The job of this cluster that has an unended run of this user in its hands, or nothing."""
        job = parse_job(run.progress.worker.job) if run.progress and not run.ended else None
        with contextlib.suppress(OSError):
            if job and (job.kind, job.where) == (self._cluster.name, where):
                return job.name if run.path.stat().st_uid == os.getuid() else ""
        return ""

    def _submit(self) -> None:
        """Submit the new runs, those added together at once; where the cluster refuses, say why."""
        with self._changed:
            fresh = self._fresh()
            while fresh and not self._closing and self._changed.wait(SETTLE):
                fresh = self._fresh()
        try:
            while fresh:
                where = self._cluster.where()
                jobs = self._cluster.submit(fresh)
                for folder, job in zip(fresh, jobs, strict=False):
                    self._note(folder, job, where)
                fresh = fresh[len(jobs) :]
        except (Refused, OSError) as error:
            with self._changed:
                self._refusal = f"{self._cluster.title} does not take the runs: {error}"

    def _note(self, folder: RunFolder, job: str, where: str) -> None:
        """Remember a run's job, and say in its folder that it waits there, unless it has begun."""
        with self._changed:
            if folder not in self._queue:
                self._unwanted.add(job)
                return
            self._jobs[folder.id] = job
        progress = read_progress(folder.path)
        if progress is not None and progress.worker == this_worker():
            self._write_holder(folder, waiting_job(f"{self._cluster.name}:{job}@{where}"))

    def _write_holder(self, folder: RunFolder, holder: Worker) -> None:
        with contextlib.suppress(OSError):
            folder.write_progress(Progress(worker=holder))

    def _cancel_unwanted(self) -> None:
        with self._changed:
            unwanted = set(self._unwanted)
        if not unwanted:
            return
        try:
            _cancel_all_waiting(self._cluster, unwanted)
        except Silent as error:
            self._silent, self._worry = True, f"{self._cluster.title} does not answer: {error}"
            return
        except Refused:  # some have begun or ended meanwhile
            pass
        with self._changed:
            self._unwanted -= unwanted

    def _look(self) -> None:
        """Sort the runs by what their folders say, of those that wait some at a time."""
        gone = self._ask()
        with self._changed:
            jobs = dict(self._jobs)
            training = {folder.id for folder in self._current}
        waiting = sorted(jobs.keys() - training - self._begun)
        begin = self._turn % max(1, len(waiting))
        turn = [*waiting[begin:], *waiting[:begin]][:AT_A_LOOK]
        self._turn = begin + AT_A_LOOK
        for run_id in (training | set(turn) | self._begun) & jobs.keys():
            job = jobs[run_id]
            self._look_at(RunFolder(self._runs.folder / run_id), job, gone.get(job))
        if not (jobs or self._silent):
            self._worry = ""
        self._say(self._refusal or self._worry)

    def _look_at(self, folder: RunFolder, job: str, gone: State | None) -> None:
        run = self._runs.get(folder.id)
        with contextlib.suppress(OSError, Refused):
            if run.status == "queued" and folder.read_order() == "stop":
                _cancel_waiting(self._cluster, folder, job)
                run = self._runs.get(folder.id)
            elif gone is not None and run.problem:  # it was deleted
                self._forget(folder.id)
            elif gone is not None and not run.ended:
                self._judge(folder, run, job, gone)
                run = self._runs.get(folder.id)
        self._sort(folder, run, job)

    def _ask(self) -> dict[str, State]:
        """Now and then: how the jobs are; returns those that have been gone for long."""
        now = time.monotonic()
        with self._changed:
            ours = dict(self._jobs)
        if now < self._next_question or not ours:
            return {}
        self._next_question = now + ASK_EVERY
        try:
            states = self._cluster.states(ours.values())
        except Refused as error:
            self._worry = f"{self._cluster.title} does not answer: {error}"
            return {}
        waiting = {job: state for job, state in states.items() if state.phase == "waiting"}
        self._begun = {run_id for run_id, job in ours.items() if job not in waiting}
        reasons = sorted({state.reason for state in waiting.values() if state.reason})
        worry = f"{self._cluster.title} keeps runs waiting: {', '.join(reasons)}"
        self._worry = worry if reasons else ""
        gone = {job: state for job, state in states.items() if state.gone}
        self._gone_since = {job: self._gone_since.get(job, now) for job in gone}
        return {job: gone[job] for job, t in self._gone_since.items() if now - t >= LOST_AFTER}

    def _judge(self, folder: RunFolder, run: Run, job: str, state: State) -> None:
        """What becomes of an unended run whose job is gone.

        One that the cluster lost gets another job; one forgotten before its turn was cancelled.
        """
        title, stopping = self._cluster.title, folder.read_order() == "stop"
        if state.phase == "lost" and not stopping and self._resubmits[run.id] < RESUBMITS:
            self._resubmits[run.id] += 1
            with contextlib.suppress(UserError), self._changed:
                requeue(lost(run), keep_order=True)
                self._forget(run.id)
                self._enqueue(folder)
        elif state.phase == "cancelled" or (state.phase, run.status) == ("forgotten", "queued"):
            end(folder, "stopped", f"its {title} job {job} was cancelled")
        else:
            end(folder, "crashed", f"{title} ended its job {job} ({state.reason})")

    def _sort(self, folder: RunFolder, run: Run, job: str) -> None:
        """Move a run to those that wait, those in training, or out of our hands."""
        with self._changed:
            if self._jobs.get(folder.id) != job:
                return
            if run.ended and not run.problem:
                self._forget(folder.id)
            elif not run.problem:
                here, there = self._current, self._queue
                if run.status == "queued":
                    here, there = there, here
                there[:] = [one for one in there if one.id != folder.id]
                if all(one.id != folder.id for one in here):
                    here.append(folder)

    def _forget(self, run_id: str) -> None:
        with self._changed:
            if self._jobs.pop(run_id, None) is not None:
                self._current = [folder for folder in self._current if folder.id != run_id]
                self._queue = [folder for folder in self._queue if folder.id != run_id]
