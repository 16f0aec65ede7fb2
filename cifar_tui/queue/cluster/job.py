"""What a job of a cluster does: trains one run, on a device that the cluster gave it."""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable

from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.record import ENDED, JOB
from cifar_tui.training.process import prepare_process

FREE_WITHIN = 180
"""Seconds to wait for whoever still holds a run, as a process of a lost node does, to let go."""


def train(folder: RunFolder, job: str, cores: str, stopping: Callable[[], str] = str) -> int:
    """Train a run as this job; returns the exit code.

    Raises Preempted where `stopping` does; the run then waits as queued.
    """
    os.environ |= {JOB: job, "OMP_NUM_THREADS": cores}
    prepare_process()
    from cifar_tui.queue.train_run import perform
    from cifar_tui.training.faults import DeviceLost, Unwritable, storage_reason

    def say(problem: str) -> None:
        with contextlib.suppress(OSError):  # the log may be on the disk that is full
            print(problem, file=sys.stderr, flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix="cifar-tui-") as locks:
            os.environ["CIFAR_TUI_LOCKS"] = locks  # the cluster shares out the devices
            for _ in range(FREE_WITHIN):
                if perform(folder, stopping, say).status in ENDED:
                    return 0
                stopping()
                time.sleep(1)
        say(f"another process trains {folder.id}")
        return 0
    except (DeviceLost, Unwritable) as error:
        say(str(error))
    except OSError as error:
        say(storage_reason(error))
    return 1
