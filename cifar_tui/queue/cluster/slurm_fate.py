"""What becomes of the runs of Slurm jobs that wait, are cancelled, or are gone."""

import contextlib
import os
import time
from collections.abc import Iterable

from cifar_tui.queue.cluster import sbatch, squeue
from cifar_tui.runs.control import BY_USER, end
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import Status

NAME = "slurm"
GAVE_WAY = ("BOOT_FAIL", "COMPLETED", "NODE_FAIL", "PREEMPTED", "TIMEOUT")
"""States of a job that ended before its run did, through no fault of the run."""


def withdraw(folder: RunFolder, text: str) -> bool:
    """Stop a run whose job has not started, without waiting for its turn; tells whether it was so.

    A job that has started obeys the run's control file.
    """
    job = squeue.parse_job(text)
    try:
        if job is None or job.cluster != squeue.site().cluster:
            return False
        return cancel_waiting(folder, job.name)
    except sbatch.Refused:
        return False


def cancel_waiting(folder: RunFolder, job: str) -> bool:
    """The same with a job of the Slurm that is here; raises Refused."""
    standing = squeue.standings().get(job)
    if standing is None:
        gone = squeue.fate(job) is not None
    elif standing.waits:
        sbatch.cancel([job])
        gone = job not in squeue.standings()
    else:
        gone = False
    return gone and end(folder, "stopped", BY_USER)


def cancel_all_waiting(jobs: Iterable[str]) -> None:
    """Cancel those of some jobs that have not started; raises Refused."""
    sbatch.cancel(
        [job for job, one in squeue.standings().items() if one.waits and job in set(jobs)]
    )


def job_of(run: Run, cluster: str) -> str:
    """The job of this cluster that has an unended run of this user in its hands, or nothing."""
    holder = run.progress.worker.job if run.progress and not run.ended else ""
    name, _, text = holder.partition(":")
    job = squeue.parse_job(text)
    with contextlib.suppress(OSError):
        if name == NAME and job and job.cluster == cluster:
            return job.name if run.path.stat().st_uid == os.getuid() else ""
    return ""


def verdict(run: Run, job: str, words: str) -> tuple[Status, str]:
    """How the run of a job ended that is gone, and why, as far as Slurm still knows.

    It forgets a job of an array at once that was cancelled before its turn.
    """
    if words.startswith("CANCELLED") or (run.status == "queued" and not words):
        return "stopped", f"its Slurm job {job} was cancelled"
    why = words or "it has forgotten why"
    return "crashed", f"Slurm ended its job {job} ({why}); see {sbatch.LOGS}/{job}.log"


class Absence:
    """Since when something has been missing, as what is missing for a moment may come back."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, float] = {}

    def note(self, missing: Iterable[str]) -> set[str]:
        """Those that were missing at each look for so many seconds."""
        now = time.monotonic()
        self._since = {name: self._since.get(name, now) for name in missing}
        return {name for name, since in self._since.items() if now - since >= self._seconds}
