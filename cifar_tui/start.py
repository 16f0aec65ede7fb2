"""Starts the app beside its worker thread; training outlives every end of the screen unasked."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from cifar_tui import __version__
from cifar_tui.app import CifarApp
from cifar_tui.config import Config
from cifar_tui.errors import UserError
from cifar_tui.queue.choices import ANY, Wish, make_backend
from cifar_tui.runs.activity import is_busy
from cifar_tui.runs.control import BY_USER, by_signal
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.visits import mark_visit
from cifar_tui.spec.settings import RunSpec
from cifar_tui.terminal import Terminal, let_go, say
from cifar_tui.text import plain, runs_text

LOOK_SECONDS = 0.1
"""How long the first screen may wait for an answer of the runs' folder."""
SCREEN_GRACE = 5.0
"""Seconds that a screen that is to end has to do so by itself."""
LOG = ".crash.log"
"""Beside the runs: what ended a screen."""


def open_app(
    runs: Path,
    data: str,
    specs: Sequence[RunSpec] = (),
    wish: Wish = ANY,
    terminal: Terminal | None = None,
    config: Config | None = None,
) -> None:
    """Run the app until it is left; training goes on until the worker is done.

    The worker's thread is made here, outside the app, so that only who asks for it ends training:
    a dropped line or an error ends the screen, and the prompt comes back if `terminal` was forked.
    Raises UserError where there is no terminal, SystemExit with a code other than 0.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(
            "The app needs a terminal; `cifar-tui train` trains without one "
            "(`cifar-tui train --help` lists its settings)."
        )
    if config is not None and (config.columns or config.views):
        from cifar_tui.query.view import check_views

        check_views(config)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is a screen to end
    worker, notes = make_backend(runs, wish)
    folders = [RunFolder.create(runs, spec) for spec in specs]
    for folder in folders:
        worker.add(folder)
    mode = "live" if folders or _trains(runs) else "new"
    app = CifarApp(runs, data, worker, mode=mode, wish=wish, notes=notes, config=config)
    end = _End(app, terminal or Terminal())
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end.at_signal)
    threading.Thread(target=end.of_a_hanging_screen, daemon=True).start()
    try:
        app.run()
    except BaseException:  # SystemExit, too, ends no training
        app.errors.append(traceback.format_exc())
    code = end.of_screen()
    if code:
        sys.exit(code)


def _trains(runs: Path) -> bool:
    """Whether something trains or waits among the latest runs, as far as is known at once."""
    found: list[bool] = []
    looking = threading.Thread(target=lambda: found.append(is_busy(runs)), daemon=True)
    looking.start()
    looking.join(LOOK_SECONDS)
    return any(found)


class _End:
    """What comes after the screen, whichever way it ended."""

    def __init__(self, app: CifarApp, terminal: Terminal) -> None:
        self._app = app
        self._terminal = terminal
        self._begun = threading.Lock()
        self._screen_ended = threading.Event()

    def at_signal(self, number: int, _: object) -> None:
        """End the screen, at once: a loop that waits for a frozen terminal calls nothing.

        With a terminal that is gone training goes on; else the program ends, and training stops.
        """
        app = self._app
        if number == signal.SIGHUP:
            app.line_dropped = True
        else:
            app.stop_reason, app.exit_code = by_signal(number), 128 + number
            if self._begun.locked():
                app.worker.close(app.stop_reason)
        app.over.put(None)
        with contextlib.suppress(RuntimeError):  # no loop runs before and after the screen
            asyncio.get_running_loop().call_soon_threadsafe(app.exit)

    def of_screen(self) -> int:
        """Stop training if somebody asked for it, else train on to the end; the exit code."""
        self._screen_ended.set()
        if not self._begun.acquire(blocking=False):
            threading.Event().wait()  # the thread for hanging screens was quicker, and exits
        return self._of_training()

    def of_a_hanging_screen(self) -> None:
        """End the process in place of a screen that is over and hangs, as on a lost terminal."""
        self._app.over.get()
        if self._app.line_dropped:
            let_go((0, 1, 2))
        if not self._screen_ended.wait(SCREEN_GRACE) and self._begun.acquire(blocking=False):
            if not self._app.line_dropped:
                self._terminal.restore()
            os._exit(self._of_training())

    def _of_training(self) -> int:
        app, worker = self._app, self._app.worker
        mark_visit(app.runs.folder)
        details = self._log()
        if app.keep_training:
            worker.go_on()
        goes_on = worker.outlives or not app.stop_reason
        going = [*worker.training, *([] if worker.held else worker.queued)] if goes_on else []
        if not (app.stop_reason or app.keep_training or app.line_dropped):
            app.exit_code = 1
            say(f"cifar-tui: {details}", 2)
        if going:
            shown = "`cifar-tui` shows them, `cifar-tui runs stop RUN` stops one."
            say(f"{runs_text(len(going))} still training in the background; {shown}")
        if worker.outlives or not going:
            worker.close(app.stop_reason or BY_USER)
        else:
            if not app.line_dropped:
                self._terminal.leave(app.exit_code)
            if not app.training_began:
                worker.start()
            worker.finish()
        worker.join()
        return app.exit_code

    def _log(self) -> str:
        """What ended the screen unasked, as a sentence; its traceback is written into a log."""
        if not self._app.errors:
            return "The screen ended, though nobody asked for it."
        error = self._app.errors[0]
        log = self._app.runs.folder / LOG
        details = ""
        with contextlib.suppress(OSError):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a") as file:
                file.write(f"{time.strftime('%F %T')} cifar-tui {__version__}\n{error}\n")
            details = f" (details in {plain(str(log))})"
        return f"An error ended the screen{details}: {plain(error.strip().splitlines()[-1])}"
