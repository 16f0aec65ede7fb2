"""What a Slurm job does: trains one run, and gives it back to the queue when told to end."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.queue.cluster import job, slurm
from cifar_tui.queue.cluster.adapter import Refused, Silent
from cifar_tui.runs.control import end
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.record import ENDED

ASK_EVERY = 2.0
"""Seconds between two questions to a Slurm that is silent, until it ends this job."""


def job_name() -> str:
    """This job as squeue names it: `12_3` in an array."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    place = os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{place}" if array else os.environ.get("SLURM_JOB_ID", "")


def train_in_job(runs: Path, run_id: str) -> int:
    """Train a run in this job; returns the exit code.

    Slurm ends a job at its time limit (SIGUSR1 comes before), when another needs its place, or
    because it was cancelled. A cancelled run is stopped; any other waits as queued and goes on in
    the job's next turn, unless the time limit leaves no time for a single epoch.
    """
    from cifar_tui.training.faults import Preempted

    folder = RunFolder(runs / run_id)
    if not folder.path.is_dir():
        raise UserError(f"There is no run '{run_id}' in {runs}.")
    notices: list[int] = []
    for notice in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(notice, lambda number, _: notices.append(number))
    name, before = job_name(), read_run(folder.path).summary.epochs_done

    def stopping() -> str:
        if not notices:
            return ""
        if is_cancelled(name):
            return f"its Slurm job {name} was cancelled"
        raise Preempted("gave way in Slurm; goes on from its last whole epoch")

    where, cores = (os.environ.get(f"SLURM_{of}", "") for of in ("CLUSTER_NAME", "CPUS_ON_NODE"))
    try:
        code = job.train(folder, f"{slurm.NAME}:{name}@{where}", cores or "1", stopping)
    except Preempted:
        code = 0
        done, order = read_run(folder.path).summary.epochs_done, folder.read_order()
        with contextlib.suppress(OSError):
            if notices[0] == signal.SIGUSR1 and done == before and order != "pause":
                end(folder, "stopped", "its time limit in Slurm is too short for an epoch")
            else:
                _come_back(folder, name)
    log = runs / slurm.LOGS / f"{name}.log"
    with contextlib.suppress(OSError):
        if read_run(folder.path).summary.status in ENDED and not log.stat().st_size:
            log.unlink()
    return code


def is_cancelled(name: str) -> bool:
    """Whether somebody ended this job: it neither runs, nor is put back, nor lost its place."""
    try:
        standing = slurm.show(name)
    except Refused:
        return False
    goes_on = standing["JobState"] in ("RUNNING", "PENDING", "REQUEUED") or _is_put_back(standing)
    return not goes_on and not standing["PreemptTime"][:1].isdecimal()


def _is_put_back(standing: Mapping[str, str]) -> bool:
    """Whether Slurm itself queues this job again."""
    return int(standing["Restarts"]) > int(os.environ.get("SLURM_RESTART_COUNT", 0))


def _come_back(folder: RunFolder, name: str) -> None:
    """Queue this job again unless Slurm does; where it refuses, the run is stopped."""
    while True:
        try:
            standing = slurm.show(name)
            if standing["JobState"] == "RUNNING" and not _is_put_back(standing):
                slurm.ask(["scontrol", "requeue", name])
            return
        except Silent:
            time.sleep(ASK_EVERY)
        except Refused as error:
            end(folder, "stopped", f"gave way in Slurm, which does not queue it again: {error}")
            return
