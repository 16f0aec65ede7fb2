"""The Slurm backend: a cluster's queue trains the runs, with or without this program.

Runs are queued as array jobs by plain `sbatch`; what becomes of them is read from their folders.
"""

import contextlib
import shutil
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_tui.errors import UserError
from cifar_tui.queue.cluster import sbatch, squeue
from cifar_tui.queue.cluster.slurm_fate import (
    GAVE_WAY,
    NAME,
    Absence,
    cancel_all_waiting,
    cancel_waiting,
    job_of,
    verdict,
    withdraw,
)
from cifar_tui.queue.cluster.slurm_nodes import Watch
from cifar_tui.queue.nodes import Node
from cifar_tui.queue.queue import Backend
from cifar_tui.runs.control import end, lost, requeue
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs, read_progress
from cifar_tui.runs.record import Progress, Worker, this_worker, waiting_job
from cifar_tui.spec.spec import RunSpec

if TYPE_CHECKING:
    from cifar_tui.queue.choices import Wish


__all__ = ["Slurm", "make", "why_not", "withdraw"]
LOOK_EVERY, ASK_EVERY, SEARCH_EVERY = 1.0, 15.0, 60.0
"""Seconds between two looks at the folders, questions to Slurm, and searches for others' jobs."""
AT_A_LOOK = 200
"""Folders of waiting runs that are looked at in turn at each look."""
SETTLE = 0.3
"""Seconds without another run after which those queued make an array."""
LOST_AFTER = 60.0
"""Seconds after which a job that Slurm does not know is given up; a shared folder may lag."""
LEAVE_WITHIN = 2.0
"""Seconds that an answer may take which nobody waits for any more."""
NO_WORRY = {"", "None", "Priority", "Resources", "JobArrayTaskLimit", "BeginTime", "Cleaning"}
"""Why a job waits that will start by itself."""
AGAIN = 3
"""So often a run gets another job in place of one that gave way."""


def why_not(options: Mapping[str, str]) -> str:
    """Slurm can be used where its commands are and its controller answers."""
    if not all(map(shutil.which, ("sbatch", "squeue", "scontrol", "scancel"))):
        return "sbatch is not here; run cifar-tui on a login node (ssh) of a Slurm cluster."
    return "" if squeue.is_there() else "Slurm's controller is silent; `scontrol ping` says more."


def make(runs: Path, wish: "Wish") -> tuple[Backend, Sequence[str]]:
    """Slurm's queue; raises UserError for options that sbatch could not take."""
    if wish.devices or wish.together:
        flag = "--devices" if wish.devices else "--together"
        raise UserError(f"{flag} is not for Slurm, whose option gpus gives each run its device.")
    sbatch.check_options(wish.options)
    return Slurm(runs, wish.options), []


class Slurm(Backend):
    """Hands runs to Slurm and looks after them; a thread of its own does all that asks Slurm.

    Runs of the folder that another program of this user has handed in are looked after, too.
    """

    def __init__(self, runs: Path, options: Mapping[str, str]) -> None:
        super().__init__()
        self._runs = Runs(runs)
        self._options = options
        self._limit = sbatch.limit_of(options)
        self._site: squeue.Site | None = None
        self._jobs: dict[str, str] = {}
        """The job of each run that was handed in."""
        self._begun: set[str] = set()
        """Runs whose job has begun by Slurm's word."""
        self._again: Counter[str] = Counter()
        """How often a run got another job."""
        self._unwanted: set[str] = set()
        """Jobs of runs that were dropped."""
        self._holding = False
        """Whether Slurm was told to hold what waits."""
        self._refusal = ""
        """Why Slurm did not take the runs; no more are handed in until told to go on."""
        self._worry = ""
        """Why Slurm does not get on with those it has."""
        self._deaf = False
        """Whether Slurm gave no answer in this round."""
        self._gone, self._deleted = Absence(LOST_AFTER), Absence(LOST_AFTER)
        self._next_question = self._next_search = 0.0
        self._turn = 0
        self._over = False
        self._watch = Watch(options.get("partition", ""))
        self._thread = threading.Thread(target=self._work, name="slurm", daemon=True)

    def start(self) -> None:
        """Begin handing in and looking."""
        self._thread.start()
        self.ready.set()

    @property
    def alive(self) -> bool:
        """Whether it looks after runs; they are trained without it, too."""
        with self._changed:
            return self._thread.is_alive() and not (self._closing and self._is_settled())

    @property
    def outlives(self) -> bool:
        """Slurm trains on when this program ends."""
        return True

    @property
    def slots(self) -> int:
        """As many as Slurm finds room for, unless limited."""
        return self._limit or squeue.LARGEST_ARRAY

    @property
    def held(self) -> bool:
        """Whether the queue waits for `go_on`, also as Slurm did not take a run."""
        with self._changed:
            return self._held or bool(self._refusal)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Those of the partition, or all; looked at again while somebody wants to know."""
        return self._watch.nodes

    def find_nodes(self, seconds: float) -> tuple[Node, ...]:
        """Ask for them at once; raises UserError without an answer."""
        return self._watch.ask(seconds)

    def check(self, spec: RunSpec) -> None:
        """Raise UserError for a GPU by number: a job sees its own only, as the first."""
        if spec.device not in ("auto", "cpu", "cuda", "cuda:0"):
            raise UserError(
                f"A run names device {spec.device}; in Slurm each run has its own: take auto."
            )

    def add(self, folder: RunFolder, *, place: int | None = None) -> None:
        """Queue a run; raises UserError when it names a GPU by number."""
        self.check(folder.spec())
        with self._changed:
            self._forget(folder.id)
            self._refusal = ""
        super().add(folder, place=place)

    def move(self, run_id: str, step: int) -> bool:
        """Slurm's queue has its own order."""
        return False

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

    def hold(self) -> None:
        """Let no waiting run start until `go_on`."""
        with self._changed:
            super().hold()
            self._changed.notify_all()

    def go_on(self) -> None:
        """Go on with the queue, and try once more what Slurm did not take."""
        with self._changed:
            self._refusal = ""
            super().go_on()

    def join(self) -> None:
        """Wait until it has ended, if it was ever started; when it closes, not for Slurm's word."""
        if self._thread.ident is None:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._over or (self._closing and self._is_settled()))
        self._thread.join(LEAVE_WITHIN)

    def _is_settled(self) -> bool:
        """Whether there is nothing that Slurm still has to be told."""
        return not (self._unwanted or self._held != self._holding or self._fresh())

    def _fresh(self) -> list[RunFolder]:
        """The runs to hand in."""
        if self._held or self._refusal:
            return []
        return [folder for folder in self._queue if folder.id not in self._jobs]

    def _work(self) -> None:
        """Closing hands in what was queued before, and leaves the jobs alone."""
        try:
            while self._go_round():
                with self._changed:
                    self._changed.wait_for(self._has_to_act, LOOK_EVERY)
        finally:
            with self._changed:
                self._problem, self._over = self._refusal, True
                self._changed.notify_all()

    def _has_to_act(self) -> bool:
        return bool(self._closing) or not (self._deaf or self._is_settled())

    def _go_round(self) -> bool:
        """Do once all there is to do; tells whether there will be more."""
        closing, self._deaf = self._closing, False
        if not (self._finishing or closing):
            self._search()
        self._hand_in()
        self._tell()
        if closing:
            return False
        self._look()
        self._watch.look()
        with self._changed:
            waits = self._jobs or (self._queue and not self._refusal)
            return not (self._finishing and (self._held or not waits))

    def _know_site(self) -> squeue.Site:
        """The Slurm that is here; raises Refused."""
        self._site = self._site or squeue.site()
        return self._site

    def _search(self) -> None:
        """Now and then: look after runs that others have handed in, held where they held them."""
        now, first = time.monotonic(), not self._next_search
        if now < self._next_search:
            return
        try:
            cluster = self._know_site().cluster
            found = {run.id: job for run in self._runs.all() if (job := job_of(run, cluster))}
            standings = squeue.standings() if found else {}
        except (UserError, sbatch.Refused) as error:
            self._deaf, self._worry = True, f"Cannot look after earlier runs: {error}"
            return
        self._next_search = now + SEARCH_EVERY
        reasons = [s.reason for j in found.values() if (s := standings.get(j)) and s.waits]
        with self._changed:
            for run_id in found.keys() - set(self.own):
                self._jobs[run_id] = found[run_id]
                self._queue.append(RunFolder(self._runs.folder / run_id))
            if first and reasons and set(reasons) == {"JobHeldUser"}:
                self._held = self._holding = not self._fresh()

    def _hand_in(self) -> None:
        """Queue the new runs, those added together as an array; where Slurm refuses, say why."""
        with self._changed:
            fresh = self._fresh()
            while fresh and not self._closing and self._changed.wait(SETTLE):
                fresh = self._fresh()
        try:
            while fresh:
                most = self._know_site().largest_array
                part, fresh = fresh[:most], fresh[most:]
                ids = [folder.id for folder in part]
                jobs = sbatch.submit(ids, self._runs.folder, self._options)
                for folder, job in zip(part, jobs, strict=True):
                    self._note(folder, job)
        except (sbatch.Refused, OSError) as error:
            with self._changed:
                self._refusal = f"Slurm does not take the runs: {error}"

    def _note(self, folder: RunFolder, job: str) -> None:
        """Remember a run's job, and say in its folder that it waits there, unless it has begun."""
        with self._changed:
            if folder not in self._queue:
                self._unwanted.add(job)
                return
            self._jobs[folder.id] = job
        progress = read_progress(folder.path)
        if progress is not None and progress.worker == this_worker():
            named = squeue.Job(job, self._know_site().cluster)
            self._write_holder(folder, waiting_job(f"{NAME}:{named}"))

    def _write_holder(self, folder: RunFolder, holder: Worker) -> None:
        with contextlib.suppress(OSError):
            folder.write_progress(Progress(worker=holder))

    def _tell(self) -> None:
        """Tell Slurm which jobs are not wanted any more, and whether the others may start."""
        with self._changed:
            unwanted, held = set(self._unwanted), self._held
            waiting = [self._jobs[f.id] for f in self._queue if f.id in self._jobs]
        try:
            if unwanted:
                cancel_all_waiting(unwanted)
                with self._changed:
                    self._unwanted -= unwanted
            if held != self._holding:
                if waiting:
                    (sbatch.hold if held else sbatch.release)(waiting)
                self._holding = held
        except sbatch.Silent as error:
            self._deaf, self._worry = True, f"Slurm does not answer: {error}"
        except sbatch.Refused:  # some have begun or ended meanwhile
            with self._changed:
                self._unwanted -= unwanted
                self._holding = held

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
            self._look_at(RunFolder(self._runs.folder / run_id), jobs[run_id], gone)
        if not (jobs or self._deaf):
            self._worry = ""
        self._say(self._refusal or self._worry)

    def _look_at(self, folder: RunFolder, job: str, gone: set[str]) -> None:
        run = self._runs.get(folder.id)
        with contextlib.suppress(OSError, sbatch.Refused):
            if run.status == "queued" and folder.read_order() == "stop":
                cancel_waiting(folder, job)
                run = self._runs.get(folder.id)
            elif job in gone and not run.ended:
                self._judge(folder, run, job)
                run = self._runs.get(folder.id)
        self._sort(folder, run, job)

    def _ask(self) -> set[str]:
        """Now and then: what Slurm makes of the jobs; returns those it has not known for long."""
        now = time.monotonic()
        with self._changed:
            ours = dict(self._jobs)
        if now < self._next_question or not ours:
            return set()
        self._next_question = now + ASK_EVERY
        try:
            standings = squeue.standings()
        except sbatch.Refused as error:
            self._worry = f"Slurm does not answer: {error}"
            return set()
        found = {run_id: standings[job] for run_id, job in ours.items() if job in standings}
        waiting = {run_id for run_id, standing in found.items() if standing.waits}
        self._begun = ours.keys() - waiting
        reasons = {found[run_id].reason for run_id in waiting} - NO_WORRY
        reasons -= {"JobHeldUser"} if self._held else set()
        self._worry = f"Slurm keeps runs waiting: {', '.join(sorted(reasons))}" if reasons else ""
        self._let_go_of_deleted(ours)
        return self._gone.note(set(ours.values()) - standings.keys())

    def _judge(self, folder: RunFolder, run: Run, job: str) -> None:
        """What becomes of the run of a job that Slurm does not have any more.

        One that Slurm ended through no fault of the run gets another job in its place.
        """
        words = squeue.fate(job)
        if words is None:
            return
        gave_way = words.startswith(GAVE_WAY) and folder.read_order() != "stop"
        if not gave_way or self._again[run.id] >= AGAIN:
            end(folder, *verdict(run, job, words))
            return
        self._again[run.id] += 1
        with contextlib.suppress(UserError), self._changed:
            requeue(lost(run), keep_order=True)
            self._forget(run.id)
            self._enqueue(folder)

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

    def _let_go_of_deleted(self, jobs: Mapping[str, str]) -> None:
        """Cancel the jobs of runs that have been missing for long from a folder that is there."""
        here = (self._runs.folder / sbatch.LOGS).is_dir()
        missing = [i for i in jobs if here and not (self._runs.folder / i).exists()]
        for run_id in self._deleted.note(missing):
            with self._changed:
                self._unwanted.add(jobs[run_id])
                self._forget(run_id)

    def _forget(self, run_id: str) -> None:
        if self._jobs.pop(run_id, None) is not None:
            self._current = [folder for folder in self._current if folder.id != run_id]
            self._queue = [folder for folder in self._queue if folder.id != run_id]
