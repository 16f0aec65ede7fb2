"""The backend `thread`: a plain one that trains queued run folders one after another."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_tui.errors import UserError
from cifar_tui.queue.queue import Backend, start_threads
from cifar_tui.queue.turns import locks_folder
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
    return ThreadQueue(), []


class ThreadQueue(Backend):
    """Trains queued runs in a thread made outside the app, and never waits for a screen.

    The thread is no daemon: the process lives until `close`, or until `finish` and an empty queue.
    """

    def __init__(self) -> None:
        super().__init__()
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
