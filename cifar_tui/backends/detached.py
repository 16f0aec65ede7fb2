"""Training in the background: a process of its own that outlives the terminal and the app."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cifar_tui.backends.choices import ANY, Wish
from cifar_tui.errors import UserError
from cifar_tui.training.process import as_started, program


def start(runs: Path, run_ids: Sequence[str], wish: Wish = ANY) -> int:
    """Train the queued runs in a new session; returns the process's pid.

    It reads and writes the run folders only; what it could not write there is in
    `.background.log` beside them.
    """
    command = program("worker", *run_ids, "--runs", str(runs), *wish.arguments())
    try:
        with (runs / ".background.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                env=as_started(os.environ),
            )
    except OSError as error:
        raise UserError(f"Cannot start training in the background: {error.strerror}.") from None
    return process.pid
