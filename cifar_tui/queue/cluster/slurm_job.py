"""What a Slurm job does: trains one run, and gives it back to the queue when told to end."""

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cifar_tui.errors import UserError
from cifar_tui.queue.cluster import slurm
from cifar_tui.queue.cluster.adapter import Refused, Silent, parse_job
from cifar_tui.runs.control import end
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_progress, read_run
from cifar_tui.runs.record import ENDED, JOB
from cifar_tui.training.process import prepare_process

LOCK_EVERY = 5.0
"""Seconds between two attempts at a run that is still locked, as by a node that was given up."""
ASK_EVERY = 2.0
"""Seconds between two questions to a Slurm that is silent, until it ends this job."""
Answer = TypeVar("Answer")
NOTICES = (signal.SIGTERM, signal.SIGUSR1)
"""Slurm ends the job; or its time limit is near."""


def job_name() -> str:
    """This job as squeue names it: `12_3` in an array."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    place = os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{place}" if array else os.environ.get("SLURM_JOB_ID", "")


def train_in_job(runs: Path, run_id: str) -> int:
    """Train a run in this job; returns the exit code.

    Slurm ends a job at its time limit, when another needs its place, or because it was cancelled.
    A cancelled run is stopped; any other waits as queued and goes on in the job's next turn, unless
    the time limit leaves no time for a single epoch.
    """
    folder = RunFolder(runs / run_id)
    if not folder.path.is_dir():
        raise UserError(f"There is no run '{run_id}' in {runs}.")
    notices: list[int] = []
    for notice in NOTICES:
        signal.signal(notice, lambda number, _: notices.append(number))
    name, before = job_name(), read_run(folder.path).summary.epochs_done
    os.environ[JOB] = f"{slurm.NAME}:{name}@{os.environ.get('SLURM_CLUSTER_NAME', '')}"
    os.environ["OMP_NUM_THREADS"] = os.environ.get("SLURM_CPUS_ON_NODE", "1")
    with tempfile.TemporaryDirectory(prefix="cifar-tui-") as locks:
        os.environ["CIFAR_TUI_LOCKS"] = locks  # Slurm shares out the devices
        prepare_process()
        code = _perform(folder, name, notices)
    if code is None:
        return 0
    summary = read_run(folder.path).summary
    with contextlib.suppress(OSError):
        if summary.status in ENDED:
            _remove_empty(runs / slurm.LOGS / f"{name}.log")
        elif (
            notices[:1] == [signal.SIGUSR1]
            and summary.epochs_done == before
            and folder.read_order() != "pause"
        ):
            end(folder, "stopped", "its time limit in Slurm is too short for an epoch")
        elif not code:
            _come_back(folder, name)
    return code


def _perform(folder: RunFolder, name: str, notices: list[int]) -> int | None:
    """Train the run; returns the exit code, None where another job trains it."""
    from cifar_tui.queue.train_run import perform
    from cifar_tui.training.faults import DeviceLost, Preempted, Unwritable, storage_reason

    def stopping() -> str:
        if not notices:
            return ""
        if is_cancelled(name):
            return f"its Slurm job {name} was cancelled"
        raise Preempted("gave way in Slurm; goes on from its last whole epoch")

    def say(problem: str) -> None:
        with contextlib.suppress(OSError):  # the log may be on the disk that is full
            print(problem, file=sys.stderr, flush=True)

    try:
        while perform(folder, stopping, say).status not in ENDED and not notices:
            if _is_trained_elsewhere(folder, name):
                say("another job of Slurm trains this run")
                return None
            time.sleep(LOCK_EVERY)
    except Preempted:
        return 0  # it came while the folder could not be written; the run is still not ended
    except (DeviceLost, Unwritable) as error:
        say(str(error))
        return 1
    except OSError as error:
        say(storage_reason(error))
        return 1
    return 0


def is_cancelled(name: str) -> bool:
    """Whether somebody ended this job: it neither runs, nor is put back, nor lost its place."""
    try:
        standing = _this_turn(name)
        if standing is None or standing.state in ("RUNNING", "PENDING", "REQUEUED"):
            return False
        return not slurm.is_preempted(name)
    except Refused:
        return False


def _this_turn(name: str) -> slurm.Standing | None:
    """How this job stands; None when Slurm is putting it back; raises Silent."""
    standing = slurm.standings().get(name)
    turn = int(os.environ.get("SLURM_RESTART_COUNT", 0))
    return None if standing is None or standing.restarts > turn else standing


def _is_trained_elsewhere(folder: RunFolder, name: str) -> bool:
    """Whether the run, handed in twice, is in the hands of another job that runs."""
    progress = read_progress(folder.path)
    other = parse_job(progress.worker.job) if progress else None
    if other is None or other.name == name:
        return False
    try:
        standing = slurm.standings().get(other.name)
    except Silent:
        return False
    return standing is not None and standing.state == "RUNNING"


def _come_back(folder: RunFolder, name: str) -> None:
    """Queue this job again unless Slurm does; where it refuses, the run is stopped."""
    standing = _heard(lambda: _this_turn(name))
    if standing is not None and standing.state == "RUNNING":
        try:
            _heard(lambda: slurm.ask(["scontrol", "requeue", name]))
        except Refused as error:
            end(folder, "stopped", f"gave way in Slurm, which does not queue it again: {error}")


def _heard(ask: Callable[[], Answer]) -> Answer:
    """What Slurm answers, as soon as it does; raises Refused."""
    while True:
        try:
            return ask()
        except Silent:
            time.sleep(ASK_EVERY)


def _remove_empty(log: Path) -> None:
    if log.is_file() and not log.stat().st_size:
        log.unlink()
