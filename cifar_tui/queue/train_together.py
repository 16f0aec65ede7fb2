"""Carries several runs out as one batched model, each in its own folder."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from cifar_tui.data.loading import IMAGES
from cifar_tui.errors import UserError
from cifar_tui.locks import ASKED, Lock
from cifar_tui.queue.train_run import Performance
from cifar_tui.queue.turns import device_turn
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.record import ENDED
from cifar_tui.training.batched import Member, can_share, train_together
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.device import choose_device
from cifar_tui.training.faults import DeviceLost, Gone, Stopped, Unwritable
from cifar_tui.training.slot import slot_name
from cifar_tui.training.trainer import Keep, Phase


def shares_with(first: RunFolder, other: RunFolder) -> bool:
    """Whether two queued runs can be trained together: both fresh, and alike but for numbers."""
    if any(folder.last.exists() or folder.best.exists() for folder in (first, other)):
        return False
    try:
        return can_share(first.spec(), other.spec())
    except (UserError, OSError):
        return False


def perform_together(
    folders: Sequence[RunFolder],
    stopping: Callable[[], str] = lambda: "",
    blocked: Callable[[str], None] = lambda reason: None,
) -> None:
    """Train fresh runs that share from start to end; locks, orders and faults as in `perform`.

    A run that is stopped ends at once and leaves its place in the model after the epoch; one that
    is paused holds the others too.
    """
    with ExitStack() as locks:
        taken = []
        for folder in folders:
            lock = locks.enter_context(Lock(folder.path / "lock"))
            summary = read_run(folder.path).summary
            if summary.status not in ENDED and lock.take(within=ASKED):
                taken.append(Performance(folder, summary, lock, stopping, blocked))
        if taken:
            _Group(taken).carry_out()


class _Group:
    def __init__(self, runs: Sequence[Performance]) -> None:
        self._runs = runs
        self._left: set[int] = set()

    def carry_out(self) -> None:
        """Run the trainer to its end and record how each run ended."""
        for run in self._runs:
            run.prepare()
        try:
            specs = [run.read_spec() for run in self._runs]
            device = choose_device(specs[0])
            with device_turn(str(device), slot_name()) as turn:
                for run in self._runs:
                    run.uses(turn, str(device))
                self._runs[0].wait_for(turn, str(device))
                dataset = IMAGES.open(specs[0].data)
                for run in self._runs:
                    run.describe(dataset, device)
                    run.begin()
                members = [Member(spec, self._keep(n)) for n, spec in enumerate(specs)]
                events = train_together(members, dataset, device, self._tick, lambda: self._left)
                for number, event in events:
                    if number not in self._left:
                        with self._leaving(number):
                            self._runs[number].record(event)
        except Stopped:
            self._end_all(Performance.stop)
        except (Unwritable, DeviceLost):
            raise
        except Exception as error:
            failure = error
            self._end_all(lambda run: run.fail(failure))

    def _keep(self, number: int) -> Keep:
        def keep(checkpoint: Checkpoint, is_best: bool) -> None:
            if number not in self._left:
                with self._leaving(number):
                    self._runs[number].keep(checkpoint, is_best)

        return keep

    @contextmanager
    def _leaving(self, number: int) -> Iterator[None]:
        """Let a run whose folder was removed leave the others, which train on."""
        try:
            yield
        except Gone:
            self._left.add(number)

    def _end_all(self, end: Callable[[Performance], None]) -> None:
        for run in self._runs:
            if run.summary.status not in ENDED:
                end(run)

    def _tick(
        self, phase: Phase, epoch: int, done: int, images: int, settle: Callable[[], None]
    ) -> float:
        """Beat and obey for each run; raises Stopped once none is left."""
        held = 0.0
        for number, run in enumerate(self._runs):
            if run.summary.status in ENDED:
                continue
            try:
                with self._leaving(number):
                    held += run.tick(phase, epoch, done, images, settle)
            except Stopped:
                run.stop()
                self._left.add(number)
        if all(run.summary.status in ENDED for run in self._runs):
            raise Stopped
        return held
