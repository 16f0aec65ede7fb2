"""What trains queued runs: one queue, the same questions and orders whoever does the work; and the
backend `thread`, which trains them one after another in this program."""

import contextlib
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_tui.errors import UserError
from cifar_tui.queue.nodes import Node
from cifar_tui.queue.turns import locks_folder
from cifar_tui.runs.control import BY_USER
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_run
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.spec.checks import SETTINGS
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.process import prepare_process

if TYPE_CHECKING:
    from cifar_tui.queue.choices import Wish
    from cifar_tui.queue.notify import Notifier


class Backend:
    """Trains run folders in the order of a queue; screens and commands know no more of it.

    What happens inside a run is read from its folder, and asked for through its control file.
    """

    outlives = False
    """Whether its runs go on when this program ends; `close` then leaves them alone."""
    slots = 1
    """How many runs train at the same time."""

    def __init__(self) -> None:
        self._queue: list[RunFolder] = []
        self._current: list[RunFolder] = []
        self._held = False
        self._closing = ""
        """Why what is in training is to stop, once it is."""
        self._finishing = False
        self._problem = ""
        self._changed = threading.Condition()
        self.notifier: Notifier | None = None
        """Is told which runs have ended."""
        self._threads: list[threading.Thread] = []
        """What it works in; none is a daemon, so that the process lives until they end."""
        self.ready = threading.Event()
        """Set when a run could begin at once."""

    def start(self) -> None:
        """Begin working; raises UserError, with nothing begun, where threads cannot be had."""
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError as error:
            self.close()
            raise UserError(
                f"Training cannot start here ({error}); allow this user more processes (ulimit -u)."
            ) from None

    @property
    def alive(self) -> bool:
        """Whether it works or waits for work."""
        return any(thread.is_alive() for thread in self._threads)

    def check(self, spec: RunSpec) -> None:
        """Raise UserError for a spec that it could not train."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The machines that it hands runs to, as last seen; none where there is only this one.

        Never waits; a backend in use may take the question as the wish to look again soon.
        """
        return ()

    def find_nodes(self, seconds: float) -> tuple[Node, ...]:
        """The machines as they are now, waiting up to so long; starts no run, needs no `start`.

        Raises UserError where the cluster gives no answer. `close` and `join` end what it began.
        """
        return self.nodes

    def join(self) -> None:
        """Wait until it has ended, if it was ever started."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def add(self, folder: RunFolder, *, place: int | None = None) -> None:
        """Queue a run, last or at `place`; a held queue goes on.

        Its progress file says whose queue it is in, so that others know when it was left behind.
        """
        self._enqueue(folder, place)
        with self._changed:
            self._held = False
            self._changed.notify_all()

    @property
    def current(self) -> str | None:
        """Id of the run in training, the first of several."""
        with self._changed:
            return self._current[0].id if self._current else None

    @property
    def training(self) -> list[str]:
        """Ids of all runs in training."""
        with self._changed:
            return [folder.id for folder in self._current]

    @property
    def queued(self) -> list[str]:
        """Ids of the runs that wait, in order."""
        with self._changed:
            return [folder.id for folder in self._queue]

    @property
    def own(self) -> list[str]:
        """Ids of all runs in its hands."""
        with self._changed:
            return [folder.id for folder in (*self._current, *self._queue)]

    @property
    def held(self) -> bool:
        """Whether the queue waits for `go_on`."""
        with self._changed:
            return self._held

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

    def close(self, reason: str = BY_USER) -> None:
        """Stop what is in training between two batches, start no other run, and end.

        The runs say why; the first reason counts.
        """
        with self._changed:
            self._closing = self._closing or reason
            self._changed.notify_all()

    def finish(self) -> None:
        """End once the queue is empty, or at once while it is held."""
        with self._changed:
            self._finishing = True
            self._changed.notify_all()

    def _enqueue(self, folder: RunFolder, place: int | None = None) -> None:
        """Have a run wait, last or at `place`; a held queue stays held."""
        with contextlib.suppress(OSError):
            folder.write_progress(Progress(worker=this_worker()))
        with self._changed:
            self._queue.insert(len(self._queue) if place is None else place, folder)
            self._changed.notify_all()

    def _say(self, problem: str) -> None:
        with self._changed:
            self._problem = problem

    def _next(self, fits: Callable[[RunFolder], bool] = lambda folder: True) -> RunFolder | None:
        """Wait for the first run in the queue that fits, now in training; None when it is over."""
        with self._changed:
            while not self._closing:
                chosen = next(filter(fits, self._queue), None)
                if chosen is not None and not self._held:
                    self._queue.remove(chosen)
                    self._current.append(chosen)
                    return chosen
                if self._finishing and (self._held or self._is_over()):
                    break
                self._changed.wait()
            return None

    def _is_over(self) -> bool:
        """Whether nothing can come into the queue any more by itself."""
        return not self._queue

    def _done(self, folder: RunFolder) -> None:
        """It is no longer in training."""
        with self._changed:
            self._current.remove(folder)
            is_last = not self._current and not self._queue
            self._changed.notify_all()
        if self.notifier is not None:
            self.notifier.done(folder.id, is_last)


def make(runs: Path, wish: "Wish") -> tuple[Backend, Sequence[str]]:
    """One thread, on the device that each run's spec names."""
    if wish.devices:
        raise UserError("--devices needs --backend processes; a run alone takes --device.")
    return ThreadQueue(), []


class ThreadQueue(Backend):
    """Trains queued runs in a thread made outside the app, and never waits for a screen."""

    def __init__(self) -> None:
        super().__init__()
        self._threads = [threading.Thread(target=self._work, name="training")]

    def start(self) -> None:
        prepare_process()  # torch is imported in the thread
        super().start()

    def check(self, spec: RunSpec) -> None:
        """Raise UserError for device, precision or images, and where no turns can be taken."""
        locks_folder()
        from cifar_tui.training.device import check_run

        check_run(spec)

    def _work(self) -> None:
        from cifar_tui.queue.train_run import perform
        from cifar_tui.training.faults import DeviceLost, Unwritable, storage_reason

        self.ready.set()
        while folder := self._next():
            try:
                perform(folder, lambda: self._closing, self._say)
            except DeviceLost as error:
                self._say(str(error))
                self.hold()
            except Unwritable as error:
                self._say(str(error))
            except OSError as error:
                self._say(storage_reason(error))
            self._done(folder)


class Pace:
    """How long runs take, by the newest run that keeps the same pace.

    `known` are runs, oldest first; one that was imported has no time of its own. With `by_data` a
    run is judged by those on the same images only.
    """

    def __init__(self, known: Sequence[Run], *, by_data: bool = True) -> None:
        self._by_data = by_data
        self._epoch_seconds = {
            self._like(run.spec): run.summary.seconds / run.summary.epochs_done
            for run in known
            if run.spec and run.summary.epochs_done and run.summary.seconds
        }

    def _like(self, spec: RunSpec) -> tuple[object, ...]:
        pace = (getattr(spec, name) for name, setting in SETTINGS.items() if setting.sets_pace)
        return (*pace, spec.data if self._by_data else "")

    def seconds_left(self, spec: RunSpec, done: int = 0) -> float | None:
        """Seconds for the epochs after `done`; None where no run like it is known."""
        each = self._epoch_seconds.get(self._like(spec))
        return None if each is None else each * (spec.epochs - done)

    def seconds_in_all(self, wanted: Iterable[tuple[RunSpec, int]]) -> float | None:
        """The same for several specs with their epochs done, one after another."""
        times = [self.seconds_left(spec, done) for spec, done in wanted]
        known = [seconds for seconds in times if seconds is not None]
        return sum(known) if len(known) == len(times) else None


def longest_first(folders: Sequence[RunFolder], known: Sequence[Run]) -> list[RunFolder]:
    """Queued runs in the order in which several devices are done soonest: the longest first.

    Those whose time is not known come before, in their order, as any may be long.
    """
    pace = Pace(known)

    def time(folder: RunFolder) -> float:
        run = read_run(folder.path)
        left = pace.seconds_left(run.spec, run.summary.epochs_done) if run.spec else None
        return math.inf if left is None else left

    return sorted(folders, key=time, reverse=True)
