"""The worker: one plain thread that trains queued run folders one after another."""

import contextlib
import threading

from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.training.process import prepare_process


class Worker:
    """Trains queued runs in a thread made outside the app, and never waits for a screen.

    The thread is no daemon: the process lives until `close`, or until `finish` and an empty queue.
    """

    def __init__(self, *, together: bool = False) -> None:
        self._together = together
        """Whether queued runs that differ only in numbers are trained as one batched model."""
        self._queue: list[RunFolder] = []
        self._current: list[RunFolder] = []
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
        prepare_process()
        self._thread.start()

    def add(self, folder: RunFolder, *, place: int | None = None) -> None:
        """Queue a run, last or at `place`; a held queue goes on.

        Its progress file says whose queue it is in, so that others know when it was left behind.
        """
        with contextlib.suppress(OSError):
            folder.write_progress(Progress(worker=this_worker()))
        with self._changed:
            self._queue.insert(len(self._queue) if place is None else place, folder)
            self._held = False
            self._changed.notify_all()

    @property
    def current(self) -> str | None:
        """Id of the run that this process trains, the first of those trained together."""
        with self._changed:
            return self._current[0].id if self._current else None

    @property
    def training(self) -> list[str]:
        """Ids of all runs that this process trains now."""
        with self._changed:
            return [folder.id for folder in self._current]

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
        """Why training waits or the queue is held, beyond what the run folders can say."""
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
            self._queue = [folder for folder in self._queue if folder.id != run_id]
            return len(self._queue) < before

    def move(self, run_id: str, step: int) -> bool:
        """Move a waiting run forwards (-1) or backwards (1); tells whether it moved."""
        with self._changed:
            ids = [folder.id for folder in self._queue]
            if run_id not in ids or not 0 <= ids.index(run_id) + step < len(ids):
                return False
            place = ids.index(run_id)
            folder = self._queue.pop(place)
            self._queue.insert(place + step, folder)
            return True

    def close(self) -> None:
        """Stop the current run between two batches, start no other, end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def finish(self) -> None:
        """End the thread once the queue is empty, or at once while it is held."""
        with self._changed:
            self._finishing = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the thread has ended, if it was ever started."""
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        from cifar_tui.training.faults import DeviceLost, Unwritable, storage_reason
        from cifar_tui.training.perform import perform
        from cifar_tui.training.perform_together import perform_together

        self.ready.set()
        while folders := self._next():
            try:
                if len(folders) > 1:
                    perform_together(folders, lambda: self._closing, self._say)
                else:
                    perform(folders[0], lambda: self._closing, self._say)
            except DeviceLost as error:
                self._say(str(error))
                self.hold()
            except Unwritable as error:
                self._say(str(error))
            except OSError as error:
                self._say(storage_reason(error))
            with self._changed:
                self._current = []

    def _say(self, problem: str) -> None:
        with self._changed:
            self._problem = problem

    def _next(self) -> list[RunFolder]:
        """The next run, with those behind it that can be trained together; none when it is over."""
        with self._changed:
            while not self._closing:
                if self._queue and not self._held:
                    self._current = [self._queue.pop(0)]
                    while self._together and self._queue and self._fits(self._queue[0]):
                        self._current.append(self._queue.pop(0))
                    return self._current
                if self._finishing and (self._held or not self._queue):
                    break
                self._changed.wait()
            return []

    def _fits(self, folder: RunFolder) -> bool:
        from cifar_tui.training.perform_together import shares_with

        return shares_with(self._current[0], folder)
