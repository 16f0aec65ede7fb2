"""The backend `thread`: a plain one that trains queued run folders one after another."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_tui.errors import UserError
from cifar_tui.queue.queue import Backend, start_threads
from cifar_tui.queue.turns import locks_folder
from cifar_tui.runs.folder import RunFolder
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.process import prepare_process

if TYPE_CHECKING:
    from cifar_tui.queue.choices import Wish


def why_not(options: Mapping[str, str]) -> str:
    """A thread can be had everywhere."""
    return ""


def make(runs: Path, wish: "Wish") -> tuple[Backend, Sequence[str]]:
    """One thread, on the device that each run's spec names."""
    if wish.devices:
        raise UserError("--devices needs --backend processes; a run alone takes --device.")
    return ThreadQueue(together=wish.together), []


class ThreadQueue(Backend):
    """Trains queued runs in a thread made outside the app, and never waits for a screen.

    The thread is no daemon: the process lives until `close`, or until `finish` and an empty queue.
    """

    def __init__(self, *, together: bool = False) -> None:
        super().__init__()
        self._together = together
        """Whether queued runs that differ only in numbers are trained as one batched model."""
        self._thread = threading.Thread(target=self._work, name="training")

    def start(self) -> None:
        """Begin working; torch is imported in the thread; raises UserError."""
        prepare_process()
        start_threads(self, [self._thread])

    def check(self, spec: RunSpec) -> None:
        """Find out what would fail at once: raises UserError for device, precision or images.

        Also where no turns on a device can be taken.
        """
        locks_folder()
        from cifar_tui.training.device import check_run

        check_run(spec)

    @property
    def alive(self) -> bool:
        """Whether the thread works or waits for work."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait until the thread has ended, if it was ever started."""
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        from cifar_tui.queue.train_run import perform
        from cifar_tui.queue.train_together import perform_together
        from cifar_tui.training.faults import DeviceLost, Unwritable, storage_reason

        self.ready.set()
        while first := self._next():
            folders = [first, *self._companions(first)]
            try:
                if len(folders) > 1:
                    perform_together(folders, lambda: self._closing, self._say)
                else:
                    perform(first, lambda: self._closing, self._say)
            except DeviceLost as error:
                self._say(str(error))
                self.hold()
            except Unwritable as error:
                self._say(str(error))
            except OSError as error:
                self._say(storage_reason(error))
            self._done(*folders)

    def _companions(self, first: RunFolder) -> list[RunFolder]:
        """The runs right behind it that can be trained with it, now in training."""
        from cifar_tui.queue.train_together import shares_with

        found: list[RunFolder] = []
        with self._changed:
            while self._together and self._queue and shares_with(first, self._queue[0]):
                found.append(self._queue.pop(0))
            self._current += found
        return found
