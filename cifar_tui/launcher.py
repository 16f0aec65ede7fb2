"""What changes the queue from the screens, in threads: launching, and another backend."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from cifar_tui.errors import UserError
from cifar_tui.features.new_run.screen import NewScreen
from cifar_tui.queue.queue import longest_first
from cifar_tui.runs.control import requeue
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.spec.settings import RunSpec
from cifar_tui.text import plain
from cifar_tui.tui.jobs import ThreadPerJob
from cifar_tui.tui.screen import WatchingScreen

if TYPE_CHECKING:
    from cifar_tui.app import CifarApp
    from cifar_tui.features.devices.dialog import Chosen


class Launcher:
    """Does one thing after another, in the order of the keys, while the screens go on."""

    def __init__(self, app: "CifarApp", threads: ThreadPerJob) -> None:
        self._app = app
        self._threads = threads
        self.making = 0
        """How many runs were launched whose folders are not all there yet."""

    def _in_turn(self, job: Callable[[], None]) -> None:
        """Do what changes the queue in a thread, after what was asked for before it."""

        def work() -> None:
            try:
                job()
            except Exception as error:
                self._app.call_later(self._failed, error)

        self._threads.in_turn(work)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        self._app.complain(error)

    def launch(self, specs: Iterable[RunSpec], count: int) -> None:
        """Make the folders of `count` runs, queue them, and watch the first if nothing else trains.

        After a stop that held the queue, they come before what waits in it.
        """
        if self._app.config.read_only:
            self._app.refuse_change()
            return
        busy = self._app.worker.current is not None or self.making > 0
        self.making += count
        self._in_turn(partial(self._launch, specs, count, busy))
        if not busy:
            self._app.action_go("live")

    def _launch(self, specs: Iterable[RunSpec], count: int, busy: bool) -> None:
        """Make and queue runs, in a thread; one that makes them when training is stopped ends."""
        folders: list[RunFolder] = []
        try:
            for spec in specs:
                if self._app.stop_reason and not self._app.worker.outlives:
                    break
                folders.append(RunFolder.create(self._app.runs.folder, spec))
            first = self._app.worker.held and not busy
            for place, folder in enumerate(self.in_order(folders)):
                try:
                    self._app.worker.add(folder, place=place if first else None)
                except UserError as error:
                    self._app.call_later(self._app.complain, error)
        except UserError:
            folders = []
            raise
        finally:
            self._app.call_later(self._launched, [folder.id for folder in folders], count, busy)

    def _launched(self, made: Sequence[str], count: int, busy: bool) -> None:
        """Show what was launched, where the person still waits for it."""
        self.making -= count
        if busy and made:
            self._app.notify(f"Queued {len(made)} behind the run in training.")
        elif not made and self._app.current_mode == "live" and len(self._app.screen_stack) == 1:
            self._app.action_go("new")
        if isinstance(self._app.screen, WatchingScreen):
            self._app.screen.look_again()

    def resume(self, run: Run) -> None:
        """Queue a run again, to go on from its last whole epoch."""
        self._in_turn(partial(self._resume, run))

    def queue_again(self, run: Run) -> None:
        """Queue a run again at once; raises UserError where it cannot go on."""
        if run.id in self._app.worker.own:
            raise UserError(f"{run.name} is in the queue already.")
        self._app.worker.add(requeue(self._app.runs.get(run.id)))

    def _resume(self, run: Run) -> None:
        self.queue_again(run)
        done, epochs = run.summary.epochs_done, run.summary.epochs
        text = f"{plain(run.name)} is queued and goes on after epoch {done} of {epochs}."
        self._app.call_later(partial(self._app.notify, text, markup=False))

    def in_order(self, folders: Sequence[RunFolder]) -> Sequence[RunFolder]:
        """Runs as they are to be queued: where several train at a time, the longest first."""
        if self._app.worker.slots == 1 or len(folders) == 1:
            return folders
        return longest_first(folders, self._app.runs.all())

    def use_backend(self, chosen: "Chosen | None") -> None:
        """Have another worker, unless this one has runs in its hands."""
        if chosen is not None:
            self._in_turn(partial(self._change_backend, chosen))

    def _change_backend(self, chosen: "Chosen") -> None:
        old, new = self._app.worker, chosen.backend
        if old.own and old.alive and not old.outlives:
            raise UserError(f"{len(old.own)} runs are in training or wait; change it after them.")
        if not old.outlives:  # one whose devices all failed leaves its queue
            for run_id in old.queued:
                new.add(RunFolder(self._app.runs.folder / run_id))
        new.notifier = old.notifier
        old.close()
        self._app.worker, self._app.wish = new, chosen.wish
        new.start()
        self._app.call_later(self._backend_changed, chosen)

    def _backend_changed(self, chosen: "Chosen") -> None:
        if isinstance(self._app.screen, NewScreen):
            self._app.screen.on_screen_resume()  # it says what trains
        wish = chosen.wish
        on = f" on {wish.devices}" if wish.devices else ""
        for sentence in (f"Runs are trained by {wish.name}{on} from now on.", *chosen.notes):
            self._app.notify(sentence, markup=False)
