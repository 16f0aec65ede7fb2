"""Work beside the screens: threads that end with it, and dialogs with a bar."""

import threading
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import ProgressBar, Static
from textual.worker import Worker as TextualWorker
from textual.worker import get_current_worker

from cifar_tui.errors import Tick, UserError
from cifar_tui.text import plain


class ThreadPerJob(ThreadPoolExecutor):
    """Gives each job a thread of its own; asyncio takes a subclass of its own pool only.

    torch computes with a team of threads for each thread that ever used it, for as long as that
    one lives; beside a second team, waiting threads sleep at once. A run trained at two thirds of
    its speed after predictions had been exported in a thread that stayed
    (docs/notes/performance.md).
    """

    def __init__(self) -> None:
        super().__init__()
        self._own: set[threading.Thread] = set()
        self._last: Future[Any] = Future()
        self._last.set_result(None)

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> "Future[Any]":
        """Begin the job at once; its result or exception comes in the future."""
        future: Future[Any] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = work(*given, **named)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)

        self._own = {thread for thread in self._own if thread.is_alive()}
        thread = threading.Thread(target=run, name="beside")
        thread.start()
        self._own.add(thread)
        return future

    def in_turn(self, work: Callable[[], object]) -> None:
        """Begin a job when all that were given here before have ended."""
        before = self._last

        def after_it() -> None:
            futures.wait([before])
            work()

        self._last = self.submit(after_it)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """With `wait`, return when all jobs have ended."""
        for thread in self._own if wait else ():
            thread.join()


SHOW_EVERY = 0.25
"""Seconds between two words on how much is done."""
BAR_EVERY = 0.1
"""The same for a bar."""
Result = TypeVar("Result")


class _Left(Exception):
    """The screen was closed, or something else was asked for, before the job was done."""


def run_job(
    screen: Screen[Any],
    job: Callable[[Tick], Result],
    then: Callable[[Result], object],
    failed: Callable[[str], object],
    show: Callable[[int, int], object] = lambda done, total: None,
    *,
    words: str = "That failed",
    every: float = SHOW_EVERY,
    group: str = "job",
) -> TextualWorker[None]:
    """Do a job in a thread; then hand over what it returns, or one sentence on why it failed.

    The job calls `tick(done, total)`, which ends it once its screen is closed or another job of
    the group has begun, and shows how much is done now and then. `words` begin the sentence on an
    error that is no UserError.
    """
    app = screen.app

    def work() -> None:
        worker = get_current_worker()
        shown = 0.0

        def tick(done: int, total: int) -> None:
            nonlocal shown
            if worker.is_cancelled:
                raise _Left
            now = time.monotonic()
            if now - shown >= every or done == total:
                shown = now
                app.call_from_thread(show, done, total)

        told: Callable[[], object]
        try:
            told = partial(then, job(tick))
        except _Left:
            return
        except UserError as error:
            told = partial(failed, plain(str(error)))
        except Exception as error:
            told = partial(failed, f"{words}: {plain(repr(error))}")
        if not worker.is_cancelled:
            app.call_from_thread(told)

    return screen.run_worker(work, thread=True, exclusive=True, group=group)


class WorkDialog(ModalScreen[None]):
    """Does a job in a thread and tells what came of it; Esc closes at any time and ends the job."""

    CSS = """
    ProgressBar { width: 100%; margin-top: 1; }
    #outcome { width: 100%; margin-top: 1; }
    Bar { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "close"),
        ("enter", "leave_when_done", "close"),
    ]

    def __init__(self, title: str, hint: str = "", *, eta: bool = False) -> None:
        super().__init__()
        self._done = False
        self._title = Static(title, id="title", markup=False)
        self._bar = ProgressBar(total=1, show_eta=eta)
        self._bar.display = False
        self._outcome = Static(hint, id="outcome", markup=False)

    def compose(self) -> ComposeResult:
        yield VerticalScroll(*self.parts(), classes="dialog")

    def parts(self) -> list[Widget]:
        return [self._title, self._bar, self._outcome]

    def action_leave(self) -> None:
        """Close; what is under way ends without having written anything."""
        self.dismiss()

    def action_leave_when_done(self) -> None:
        if self._done:
            self.dismiss()

    def do(self, job: Callable[[Tick], Result], then: Callable[[Result], object]) -> None:
        """Do a job in a thread behind the bar, then take what it returns; an error ends all."""

        def take(found: Result) -> None:
            self._bar.display = False
            then(found)

        def failed(sentence: str) -> None:
            self._bar.display = False
            self.end(sentence)

        self._bar.display = True
        run_job(self, job, take, failed, self._move, every=BAR_EVERY)

    def _move(self, done: int, total: int) -> None:
        self._bar.update(progress=done, total=total or None)

    def end(self, outcome: str) -> None:
        """Tell what came of it; there is nothing more to do."""
        self._done = True
        self.query(VerticalScroll).focus()
        self.tell(outcome)

    def tell(self, text: str) -> None:
        self._outcome.update(text)
