"""The worker: one plain thread that trains queued run folders one after another."""

import threading
from collections import deque

from cifar_tui.runs.folder import RunFolder


class Worker:
    """Trains queued runs in a thread made outside the app, and never waits for a screen.

    The thread is no daemon: the process lives until `close`, or until `finish` and an empty queue.
    """

    def __init__(self) -> None:
        self._queue: deque[RunFolder] = deque()
        self._current: RunFolder | None = None
        self._held = False
        self._closing = False
        self._finishing = False
        self._problem = ""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="training")
        self.ready = threading.Event()
        """Set when torch has been imported."""

    def start(self) -> None:
        """Begin working; torch is imported in the thread."""
        self._thread.start()

    def add(self, folder: RunFolder) -> None:
        """Queue a run; it starts as soon as those before it have ended."""
        with self._changed:
            self._queue.append(folder)
            self._held = False
            self._changed.notify_all()

    @property
    def current(self) -> str | None:
        """Id of the run that this process trains."""
        with self._changed:
            return self._current.id if self._current else None

    @property
    def queued(self) -> list[str]:
        """Ids of the runs that wait, in order."""
        with self._changed:
            return [folder.id for folder in self._queue]

    @property
    def held(self) -> bool:
        """Whether the queue waits for `go_on`."""
        with self._changed:
            return self._held

    @property
    def alive(self) -> bool:
        """Whether the thread works or waits for work."""
        return self._thread.is_alive()

    @property
    def problem(self) -> str:
        """Why the last run's folder could not be written, or nothing."""
        with self._changed:
            return self._problem

    def hold(self) -> None:
        """Start no further run until `go_on`."""
        with self._changed:
            self._held = True

    def go_on(self) -> None:
        """Go on with the queue."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def drop(self, run_id: str) -> bool:
        """Take a waiting run out of the queue; tells whether it was there."""
        with self._changed:
            before = len(self._queue)
            self._queue = deque(f for f in self._queue if f.id != run_id)
            return len(self._queue) < before

    def close(self) -> None:
        """Stop the current run between two batches, start no other, end the thread."""
        with self._changed:
            self._closing = True
            if self._current:
                self._current.write_order("stop")
            self._changed.notify_all()

    def finish(self) -> None:
        """End the thread once the queue is empty."""
        with self._changed:
            self._held = False
            self._finishing = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the thread has ended, if it was ever started."""
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        from cifar_tui.training.perform import perform

        self.ready.set()
        while (folder := self._next()) is not None:
            try:
                perform(folder)
                problem = ""
            except OSError as error:
                problem = f"Cannot write {folder.path}: {error.strerror or error}."
            with self._changed:
                self._current, self._problem = None, problem

    def _next(self) -> RunFolder | None:
        with self._changed:
            while not self._closing:
                if self._queue and not self._held:
                    self._current = self._queue.popleft()
                    return self._current
                if self._finishing and not self._queue:
                    break
                self._changed.wait()
            return None
