"""The Slurm backend: a cluster's queue trains the runs, with or without this program.

Runs are queued as array jobs by plain `sbatch`; what becomes of them is read from their folders.
"""

import contextlib
import math
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_tui.backends import sbatch, slurm_nodes
from cifar_tui.backends.backend import Backend
from cifar_tui.backends.nodes import Node
from cifar_tui.errors import UserError
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs, read_progress
from cifar_tui.runs.record import Progress, Status, Worker, this_worker, waiting_job
from cifar_tui.runs.steer import end
from cifar_tui.spec import RunSpec

if TYPE_CHECKING:
    from cifar_tui.backends.choices import Wish

NAME = "slurm"
LOOK_EVERY, ASK_EVERY = 1.0, 15.0
"""Seconds between two looks at the folders, and two questions to Slurm."""
SETTLE = 0.3
"""Seconds without another run after which those queued make an array."""
LOST_AFTER = 60.0
"""Seconds after which a job that Slurm does not know is given up; a shared folder may lag."""
NODES_EVERY, NODES_UNTIL = 15.0, 30.0
"""Seconds between two looks at the nodes, and after which nobody wants to know any more."""
NODES_WITHIN = 20.0
"""Seconds that the answer may take, as the runs wait behind it."""
NO_WORRY = {"", "None", "Priority", "Resources", "JobArrayTaskLimit", "BeginTime", "Cleaning"}
"""Why a job waits that will start by itself."""


def why_not() -> str:
    """Slurm can be used where its commands are."""
    if all(map(shutil.which, ("sbatch", "squeue", "scontrol", "scancel"))):
        return ""
    return "sbatch is not here; on a login node of a Slurm cluster nothing has to be installed."


def make(runs: Path, wish: "Wish") -> tuple[Backend, Sequence[str]]:
    """Slurm's queue; raises UserError for options that sbatch could not take."""
    if wish.devices or wish.together:
        flag = "--devices" if wish.devices else "--together"
        raise UserError(f"{flag} is not for Slurm, whose option gpus gives each run its device.")
    sbatch.check_options(wish.options)
    return Slurm(runs, wish.options), []


def withdraw(folder: RunFolder, job: str) -> bool:
    """Stop a run whose job has not started, without waiting for its turn; tells whether it was so.

    A job that has started obeys the run's control file.
    """
    if not sbatch.is_job(job):
        return False
    sbatch.cancel_waiting([job])
    try:
        gone = job not in sbatch.standings([job])
    except sbatch.Refused:
        return False
    return gone and end(folder, "stopped", "stopped by the user")


class Slurm(Backend):
    """Hands runs to Slurm and looks after them; a thread of its own does all that asks Slurm.

    Runs of the folder that an earlier program has handed in are looked after, too.
    """

    def __init__(self, runs: Path, options: Mapping[str, str]) -> None:
        super().__init__()
        self._runs = Runs(runs)
        self._options = options
        self._limit = sbatch.limit_of(options)
        self._jobs: dict[str, str] = {}
        """The job of each run that was handed in."""
        self._unwanted: set[str] = set()
        """Jobs of runs that were dropped."""
        self._holding = False
        """Whether Slurm was told to hold what waits."""
        self._refusal = ""
        """Why Slurm did not take the runs."""
        self._worry = ""
        """Why Slurm does not get on with those it has."""
        self._missing: dict[str, float] = {}
        """Since when Slurm does not know a job."""
        self._next_question = 0.0
        self._nodes: tuple[Node, ...] = ()
        self._nodes_wanted = self._nodes_asked = -math.inf
        """When somebody last wanted to know them, and when Slurm was last asked."""
        self._thread = threading.Thread(target=self._work, name="slurm")

    def start(self) -> None:
        """Begin handing in and looking."""
        self._thread.start()
        self.ready.set()

    @property
    def alive(self) -> bool:
        """Whether it looks after runs; they are trained without it, too."""
        return self._thread.is_alive()

    @property
    def outlives(self) -> bool:
        """Slurm trains on when this program ends."""
        return True

    @property
    def slots(self) -> int:
        """As many as Slurm finds room for, unless limited."""
        return self._limit or sbatch.LARGEST_ARRAY

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Those of the partition, or all; looked at again while somebody wants to know."""
        with self._changed:
            self._nodes_wanted = time.monotonic()
            return self._nodes

    def find_nodes(self, seconds: float) -> tuple[Node, ...]:
        """Ask for them at once; raises UserError without an answer."""
        try:
            self._nodes = slurm_nodes.find_nodes(self._options.get("partition", ""), seconds)
        except sbatch.Refused as error:
            raise UserError(f"Slurm does not tell of its nodes: {error}") from None
        return self._nodes

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

    def join(self) -> None:
        """Wait until it has ended, if it was ever started."""
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        """Closing hands in what was queued before, and leaves the jobs alone."""
        if not (self._finishing or self._closing):
            self._take_over()
        over = False
        while not over:
            over = self._closing
            self._hand_in()
            self._tell()
            self._look()
            self._look_at_nodes()
            with self._changed:
                over = over or (self._finishing and (self._held or not self.own))
                if not over:
                    self._changed.wait_for(self._has_to_act, LOOK_EVERY)

    def _has_to_act(self) -> bool:
        unsettled = self._unwanted or self._held != self._holding or self._fresh()
        return bool(self._closing or unsettled)

    def _fresh(self) -> list[RunFolder]:
        """The runs to hand in."""
        return [f for f in self._queue if f.id not in self._jobs and not self._held]

    def _take_over(self) -> None:
        """Look after the runs that an earlier program has handed in, held where it held them."""
        try:
            found = {run.id: job for run in self._runs.all() if (job := _job_of(run))}
            standings = sbatch.standings(found.values()).values() if found else ()
        except (UserError, sbatch.Refused) as error:
            self._worry = str(error)
            return
        waiting = [standing.reason for standing in standings if standing.state == "PENDING"]
        with self._changed:
            for run_id in found.keys() - set(self.own):
                self._jobs[run_id] = found[run_id]
                self._queue.append(RunFolder(self._runs.folder / run_id))
            if waiting and all(reason == "JobHeldUser" for reason in waiting):
                self._held = self._holding = not self._fresh()

    def _hand_in(self) -> None:
        """Queue the new runs, those added together as an array; where Slurm refuses, say why."""
        with self._changed:
            fresh = self._fresh()
            while fresh and not self._closing and self._changed.wait(SETTLE):
                fresh = self._fresh()
        for begin in range(0, len(fresh), sbatch.LARGEST_ARRAY):
            part = fresh[begin : begin + sbatch.LARGEST_ARRAY]
            try:
                ids = [folder.id for folder in part]
                jobs = sbatch.submit(ids, self._runs.folder, self._options)
            except (sbatch.Refused, OSError) as error:
                self._refusal = f"Slurm does not take the runs: {error}"
                self.hold()
                return
            self._refusal = ""
            for folder, job in zip(part, jobs, strict=True):
                self._note(folder, job)

    def _note(self, folder: RunFolder, job: str) -> None:
        """Remember a run's job, and say in its folder that it waits there, unless it has begun."""
        with self._changed:
            if folder not in self._queue:
                self._unwanted.add(job)
                return
            self._jobs[folder.id] = job
        progress = read_progress(folder.path)
        if progress is not None and progress.worker == this_worker():
            self._write_holder(folder, waiting_job(f"{NAME}:{job}"))

    def _write_holder(self, folder: RunFolder, holder: Worker) -> None:
        with contextlib.suppress(OSError):
            folder.write_progress(Progress(worker=holder))

    def _tell(self) -> None:
        """Tell Slurm which jobs are not wanted any more, and whether the others may start."""
        with self._changed:
            unwanted, self._unwanted = self._unwanted, set()
            waiting = [self._jobs[f.id] for f in self._queue if f.id in self._jobs]
            changed, self._holding = self._held != self._holding, self._held
        if unwanted:
            sbatch.cancel_waiting(unwanted)
        if changed and waiting:
            (sbatch.hold if self._holding else sbatch.release)(waiting)

    def _look(self) -> None:
        """Sort the runs by what their folders say."""
        lost = self._ask()
        with self._changed:
            jobs = dict(self._jobs)
        for run_id, job in jobs.items():
            folder = RunFolder(self._runs.folder / run_id)
            run = self._runs.get(run_id)
            with contextlib.suppress(OSError):
                if run.status == "queued" and folder.read_order() == "stop":
                    withdraw(folder, job)
                elif job in lost and not run.ended:
                    end(folder, *_verdict(run, job))
            self._sort(folder, self._runs.get(run_id))
        if not jobs:
            self._worry = ""
        self._say(self._refusal or self._worry)

    def _ask(self) -> set[str]:
        """Now and then: what Slurm makes of the jobs; returns those that are gone for long."""
        now = time.monotonic()
        with self._changed:
            ours = set(self._jobs.values())
        if now < self._next_question or not ours:
            return set()
        self._next_question = now + ASK_EVERY
        try:
            standings = sbatch.standings(ours)
        except sbatch.Refused as error:
            self._worry = f"Slurm does not answer: {error}"
            return set()
        reasons = {one.reason for one in standings.values() if one.state == "PENDING"} - NO_WORRY
        reasons -= {"JobHeldUser"} if self._held else set()
        self._worry = f"Slurm keeps runs waiting: {', '.join(sorted(reasons))}" if reasons else ""
        self._missing = {job: self._missing.get(job, now) for job in ours - standings.keys()}
        return {job for job, since in self._missing.items() if now - since >= LOST_AFTER}

    def _look_at_nodes(self) -> None:
        """Now and then, while somebody wants to know: how the nodes are; none without an answer."""
        now = time.monotonic()
        wanted = now - self._nodes_wanted < NODES_UNTIL and not self._closing
        if wanted and now - self._nodes_asked >= NODES_EVERY:
            try:
                self.find_nodes(NODES_WITHIN)
            except UserError:
                self._nodes = ()
            self._nodes_asked = time.monotonic()

    def _sort(self, folder: RunFolder, run: Run) -> None:
        """Move a run to those that wait, those in training, or out of our hands."""
        with self._changed:
            if folder.id not in self._jobs:
                return
            if run.ended:
                self._unwanted |= {self._jobs[folder.id]} if run.problem else set()
                self._forget(folder.id)
                return
            here, there = self._current, self._queue
            if run.status == "queued":
                here, there = there, here
            there[:] = [one for one in there if one.id != folder.id]
            if all(one.id != folder.id for one in here):
                here.append(folder)

    def _forget(self, run_id: str) -> None:
        self._jobs.pop(run_id, None)
        self._current = [folder for folder in self._current if folder.id != run_id]
        self._queue = [folder for folder in self._queue if folder.id != run_id]


def _job_of(run: Run) -> str:
    """The Slurm job that has an unended run in its hands, or nothing."""
    holder = run.progress.worker.job if run.progress and not run.ended else ""
    name, _, job = holder.partition(":")
    return job if name == NAME and sbatch.is_job(job) else ""


def _verdict(run: Run, job: str) -> tuple[Status, str]:
    """How the run of a job ended that is gone, and why, as far as Slurm still knows.

    It forgets a job of an array at once that was cancelled before its turn.
    """
    words = sbatch.last_words(job)
    if words.startswith("CANCELLED") or (run.status == "queued" and not words):
        return "stopped", f"its Slurm job {job} was cancelled"
    why = words or "it has forgotten why"
    return "crashed", f"Slurm ended its job {job} ({why}); see {sbatch.LOGS}/{job}.log"
