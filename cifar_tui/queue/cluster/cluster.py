"""One queue on a cluster: submits runs, follows their folders, submits again what was lost."""

import contextlib
import os
import threading
import time
from collections import Counter
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.queue.cluster.adapter import Cluster, Refused, Silent, State, parse_job
from cifar_tui.queue.nodes import Node, Watch
from cifar_tui.queue.queue import Backend
from cifar_tui.runs.control import end, is_taken, lost, requeue
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs, read_progress
from cifar_tui.runs.record import Progress, Worker, this_worker, waiting_job
from cifar_tui.spec.settings import RunSpec

LOOK_EVERY, ASK_EVERY, SEARCH_EVERY = 1.0, 15.0, 60.0
"""Seconds between two looks at the folders, questions to the cluster, searches for others' jobs."""
AT_A_LOOK = 200
"""The first of the waiting runs, whose folders are looked at each time."""
SETTLE = 0.3
"""Seconds without another run after which those queued are submitted together."""
LOST_AFTER = 60.0
"""Seconds after which a run whose job has ended is given up; a shared folder may lag."""
LEAVE_WITHIN = 2.0
"""Seconds that an answer may take which nobody waits for any more."""
RESUBMITS = 3
"""How often a run gets another job in place of one that the cluster lost."""


class ClusterQueue(Backend):
    """Submits runs to a cluster and looks after them; a thread of its own does all that may wait.

    The cluster trains them with or without this program. Runs of the folder that another program
    of this user has submitted are looked after, too.
    """

    outlives = True
    slots = 1000  # only the cluster knows how many it has room for

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
        self._over = False
        self._watch = Watch(cluster.find_nodes)
        self._threads = [threading.Thread(target=self._work, name=cluster.name, daemon=True)]

    def start(self) -> None:
        super().start()
        self.ready.set()

    @property
    def alive(self) -> bool:
        with self._changed:
            return super().alive and not (self._closing and self._is_settled())

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
        return self._watch.nodes

    def find_nodes(self, seconds: float) -> tuple[Node, ...]:
        return self._watch.ask(seconds)

    def check(self, spec: RunSpec) -> None:
        """Raise UserError for a GPU by number: a job sees only its own, as the first."""
        if spec.device not in ("auto", "cpu", "cuda", "cuda:0"):
            raise UserError(
                f"A run names device {spec.device}; {self._cluster.title} gives each run its own, "
                "so leave --device at auto."
            )

    def add(self, folder: RunFolder, *, place: int | None = None) -> None:
        """Queue a run; raises UserError for a device that the cluster would not give."""
        self.check(folder.spec())
        with self._changed:
            self._forget(folder.id)
            self._refusal = ""
        super().add(folder, place=place)

    def drop(self, run_id: str) -> bool:
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
        (thread,) = self._threads
        if thread.ident is None:
            self._cluster.close()
            return
        with self._changed:
            self._changed.wait_for(lambda: self._over or (self._closing and self._is_settled()))
        thread.join(LEAVE_WITHIN)

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
        try:
            if unwanted:
                self._cluster.cancel_waiting(unwanted)
        except Silent as error:
            self._silent, self._worry = True, f"{self._cluster.title} does not answer: {error}"
            return
        except Refused:  # some have begun or ended meanwhile
            pass
        with self._changed:
            self._unwanted -= unwanted

    def _look(self) -> None:
        """Act on what the runs' folders say, and on what has become of their jobs."""
        gone = self._ask()
        with self._changed:
            jobs = dict(self._jobs)
            training = [folder.id for folder in self._current]
            waiting = [folder.id for folder in self._queue if folder.id in jobs]
        for run_id in {*training, *waiting[:AT_A_LOOK], *self._begun} & jobs.keys():
            self._look_at(RunFolder(self._runs.folder / run_id), jobs[run_id], gone)
        if not (jobs or self._silent):
            self._worry = ""
        self._say(self._refusal or self._worry)

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

    def _look_at(self, folder: RunFolder, job: str, gone: dict[str, State]) -> None:
        """Do what a run's folder or the end of its job asks for, and sort it by its status."""
        run, state = self._runs.get(folder.id), gone.get(job)
        with contextlib.suppress(OSError, Refused):
            if run.status == "queued" and folder.read_order() == "stop":
                self._cluster.stop_waiting(folder, job)
            elif state is not None and (run.problem or is_taken(folder)):
                self._forget(folder.id)  # it was deleted, or another job trains it
            elif state is not None and not run.ended:
                self._judge(folder, run, job, state)
            run = self._runs.get(folder.id)
        with self._changed:
            if self._jobs.get(folder.id) != job or run.problem:
                return
            if run.ended:
                self._forget(folder.id)
                return
            here, there = self._current, self._queue
            if run.status == "queued":
                here, there = there, here
            there[:] = [one for one in there if one.id != folder.id]
            if all(one.id != folder.id for one in here):
                here.append(folder)

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

    def _forget(self, run_id: str) -> None:
        with self._changed:
            if self._jobs.pop(run_id, None) is not None:
                self._current = [folder for folder in self._current if folder.id != run_id]
                self._queue = [folder for folder in self._queue if folder.id != run_id]
