"""Starts the app beside its worker thread, and lets the worker end in peace."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from cifar_tui.runs.folder import RunFolder
from cifar_tui.spec import RunSpec
from cifar_tui.training.worker import Worker
from cifar_tui.ui.app import CifarApp


def open_app(runs: Path, data: str, specs: Sequence[RunSpec] = ()) -> None:
    """Run the app until it is left; training goes on until the worker is done.

    The worker's thread is made here, outside the app, so that a dropped line ends the screen and
    not the training.
    """
    worker = Worker()
    folders = [RunFolder.create(runs, spec) for spec in specs]
    for folder in folders:
        worker.add(folder)
    app = CifarApp(runs, data, worker, watch=folders[0].id if folders else None)
    try:
        app.run()
    finally:
        if app.line_dropped:
            _let_go_of_terminal()
            worker.finish()
        else:
            worker.close()
        worker.join()
    if app.return_code:
        sys.exit(app.return_code)


def _let_go_of_terminal() -> None:
    """Point the standard descriptors away from a terminal that is gone."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
