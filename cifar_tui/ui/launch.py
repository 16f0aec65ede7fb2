"""Starts the app beside its worker thread, and lets the worker end in peace."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from cifar_tui.backends.backend import Backend
from cifar_tui.backends.choices import ANY, Wish, make_backend
from cifar_tui.backends.detached import start
from cifar_tui.errors import UserError
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from cifar_tui.runs.steer import requeue
from cifar_tui.spec import RunSpec
from cifar_tui.ui.app import CifarApp

SCREEN_GRACE = 5.0
"""Seconds that a screen without a terminal has to end by itself."""


def open_app(runs: Path, data: str, specs: Sequence[RunSpec] = (), wish: Wish = ANY) -> None:
    """Run the app until it is left; training goes on until the worker is done.

    The worker's thread is made here, outside the app, so that a dropped line ends the screen and
    not the training. Raises UserError where there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(
            "The app needs a terminal; `cifar-tui train` trains without one "
            "(`cifar-tui train --help` lists its settings)."
        )
    worker, notes = make_backend(runs, wish)
    folders = [RunFolder.create(runs, spec) for spec in specs]
    for folder in folders:
        worker.add(folder)
    watch = folders[0].id if folders else None
    app = CifarApp(runs, data, worker, watch=watch, wish=wish, notes=notes)
    screen_ended = threading.Event()
    outlive = threading.Thread(target=_outlive, args=(app, screen_ended), daemon=True)
    outlive.start()
    try:
        app.run()
    finally:
        screen_ended.set()
        worker = app.worker
        unfinished = [*worker.training, *worker.queued]
        if app.line_dropped.is_set():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            _train_to_the_end(worker)
        worker.close()
        worker.join()
    if worker.outlives and unfinished:
        many = "1 run goes" if len(unfinished) == 1 else f"{len(unfinished)} runs go"
        print(f"{many} on; `cifar-tui` shows them, `runs stop RUN` stops one.")
    elif app.keep_training:
        _hand_over(runs, unfinished, app.wish)
    if app.return_code:
        sys.exit(app.return_code)


def _hand_over(folder: Path, run_ids: Sequence[str], wish: Wish) -> None:
    """Let a process of its own train on; a run in training goes on from its last whole epoch."""
    runs = Runs(folder)
    ids = []
    for run in map(runs.get, run_ids):
        if run.status in ("queued", "stopped"):
            try:
                ids.append(requeue(run).id)
            except UserError as error:
                print(error)
    if ids:
        start(folder, ids, wish)
        many = "1 run trains" if len(ids) == 1 else f"{len(ids)} runs train"
        print(f"{many} on in the background; `cifar-tui` shows them, `runs stop RUN` stops one.")


def _outlive(app: CifarApp, screen_ended: threading.Event) -> None:
    """End the process in place of a screen that hangs on the terminal it has lost."""
    app.line_dropped.wait()
    _let_go_of_terminal()
    if not screen_ended.wait(SCREEN_GRACE):
        _train_to_the_end(app.worker)
        os._exit(0)


def _train_to_the_end(worker: Backend) -> None:
    """Wait for all runs, or leave them to a backend that needs this process no more."""
    (worker.close if worker.outlives else worker.finish)()
    worker.join()


def _let_go_of_terminal() -> None:
    """Point the standard descriptors away from a terminal that is gone."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
