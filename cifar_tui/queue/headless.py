"""Training without the app: plans the runs, hands them to a backend, and follows their folders;
or leaves them to a process that outlives the terminal."""

import contextlib
import errno
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from cifar_tui.data.find import find
from cifar_tui.errors import UserError
from cifar_tui.queue.choices import ANY, Wish, make_backend
from cifar_tui.queue.notify import Notifier
from cifar_tui.queue.processes import LOG, why_ended
from cifar_tui.queue.queue import Backend, longest_first
from cifar_tui.queue.turns import locks_folder
from cifar_tui.runs.control import by_signal, end, order, requeue, waits_unseen
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Follower, Look, Run, Runs
from cifar_tui.runs.record import ENDED
from cifar_tui.spec.checks import SETTINGS, make_spec, unknown_setting
from cifar_tui.spec.grid import alternatives, as_texts, make_grid
from cifar_tui.spec.settings import RunSpec
from cifar_tui.terminal import let_go
from cifar_tui.training.process import as_started, program

LOOK_EVERY = 0.1
BEGUN = b"begun"
"""What a process in the background says on its standard output once it can train."""
BEGIN_WITHIN = 60.0
"""Seconds to wait for that; a process that still lives then is a slow one."""


class TrainPrinter(Protocol):
    """What shows a headless run: a note, and each look at the run."""

    def note(self, sentence: str) -> None:
        """Say something about the data."""

    def begin(self, run: Run, number: int, total: int) -> None:
        """A run begins."""

    def show(self, look: Look) -> None:
        """Show new events and progress."""

    def leave(self) -> None:
        """Nothing more of the run is shown."""

    def side_by_side(self) -> "TrainPrinter":
        """One for runs that train at the same time."""

    def sum_up(self, runs: Sequence[Run]) -> None:
        """These runs have ended."""


def plan(given: Mapping[str, Any], grid: Sequence[str]) -> list[RunSpec]:
    """The specs of one `train` command: its settings, times its `--grid NAME=V1,V2` flags.

    Several values in a setting, like `--lr 0.1,0.01`, make a grid as well.
    """
    several = {
        name: text
        for name, text in given.items()
        if isinstance(text, str) and name != "device" and len(alternatives(name, text)) > 1
    }
    spec = make_spec({name: value for name, value in given.items() if name not in several})
    if not (grid or several):
        return [spec]
    texts = as_texts(spec) | several
    for item in grid:
        name, equals, values = item.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not values.strip():
            raise UserError(f"--grid takes NAME=V1,V2, like lr=0.1,0.01; got '{item}'.")
        if name not in SETTINGS:
            raise UserError(unknown_setting(name))
        texts[name] = values
    return make_grid(texts)


def train_all(
    specs: Sequence[RunSpec],
    runs: Path,
    printer: TrainPrinter,
    wish: Wish = ANY,
) -> int:
    """Train the specs; returns 1 if a run failed, else 0.

    Checks the images before a run folder is made. SIGINT and SIGTERM stop the current run
    between two batches and drop the rest; the exit code is then 130 or 143. A terminal that is
    gone stops nothing.
    """
    backend, notes, folders = _make(specs, runs, wish)
    code = _train(backend, notes, folders, runs, printer)
    printer.sum_up([Runs(runs).get(folder.id) for folder in folders])
    return code


def _make(
    specs: Sequence[RunSpec], runs: Path, wish: Wish
) -> tuple[Backend, list[str], list[RunFolder]]:
    """A backend, what to tell of it and of the images, and a folder for each run.

    Raises UserError before any is made.
    """
    notes = [note for where in {spec.data: None for spec in specs} if (note := find(where).note)]
    backend, more = make_backend(runs, wish)
    for spec in specs:
        backend.check(spec)
    return backend, [*notes, *more], [RunFolder.create(runs, spec) for spec in specs]


def train_folders(
    folders: Sequence[RunFolder],
    runs: Path,
    printer: TrainPrinter,
    wish: Wish = ANY,
    announce: Callable[[], None] = lambda: None,
) -> int:
    """Train queued runs as is wished, and announce when that can begin; returns as `train`."""
    return _train(*make_backend(runs, wish), folders, runs, printer, announce)


def _train(
    worker: Backend,
    notes: Sequence[str],
    folders: Sequence[RunFolder],
    runs: Path,
    printer: TrainPrinter,
    announce: Callable[[], None] = lambda: None,
) -> int:
    for note in notes:
        printer.note(note)
    if worker.slots > 1:
        printer = printer.side_by_side()
        folders = longest_first(folders, Runs(runs).all())
    for folder in folders:
        worker.add(folder)
    worker.finish()
    unsaid = ""
    with _stopping(worker) as signals:
        try:
            worker.start()
        except BaseException:
            worker.close()
            raise
        while worker.alive and not worker.ready.wait(LOOK_EVERY):
            pass
        if worker.ready.is_set():
            announce()
        try:
            statuses = _follow(runs, folders, worker, printer)
        except OSError as error:  # what is said cannot be written: no reason to stop training
            gone = isinstance(error, BrokenPipeError) or error.errno == errno.EIO
            unsaid = "" if gone else str(error.strerror)
            let_go((1, 2) if gone else (1,))
            worker.join()
            statuses = [Runs(runs).get(folder.id).status for folder in folders]
        worker.join()
    left = statuses.count("queued")
    if left and worker.ready.is_set() and not worker.outlives:
        are, them = ("run is", "it") if left == 1 else ("runs are", "them")
        command = "`cifar-tui runs resume --filter status=queued`"
        printer.note(f"{left} {are} left: {command} trains {them}.")
    if worker.problem and not ENDED.issuperset(statuses):
        raise UserError(worker.problem)
    if worker.outlives and not ENDED.issuperset(statuses):
        printer.note("The runs go on without this program; `cifar-tui runs stop RUN` stops one.")
    if unsaid:
        raise UserError(f"Cannot write the output: {unsaid}; `cifar-tui runs show RUN` shows it.")
    if signals:
        return 128 + signals[0]
    return exit_code(statuses)


def exit_code(statuses: Iterable[str]) -> int:
    """What a command that trained or watched runs returns: 1 where one failed."""
    return 1 if {"failed", "crashed"} & set(statuses) else 0


def detach(specs: Sequence[RunSpec], runs: Path, wish: Wish = ANY) -> list[str]:
    """Make the runs and train them in a process of their own; returns their ids."""
    backend, _, folders = _make(specs, runs, wish)
    return _detach(backend, folders, runs, wish)


def detach_folders(folders: Sequence[RunFolder], runs: Path, wish: Wish = ANY) -> list[str]:
    """Train queued runs in a process of their own; returns their ids."""
    return _detach(make_backend(runs, wish)[0], folders, runs, wish) if folders else []


def _detach(backend: Backend, folders: Sequence[RunFolder], runs: Path, wish: Wish) -> list[str]:
    """Leave runs to a cluster, or to a process of their own; returns their ids."""
    ids = [folder.id for folder in folders]
    if not backend.outlives:
        _start(runs, ids, wish)
        return ids
    for folder in longest_first(folders, Runs(runs).all()):
        backend.add(folder)
    backend.close()
    backend.start()
    backend.join()
    if backend.problem:
        raise UserError(backend.problem)
    return ids


def _start(runs: Path, run_ids: Sequence[str], wish: Wish) -> None:
    """Train the queued runs in a process of a new session; returns once it can train.

    It reads and writes the run folders only; what it could not write there is in LOG. Raises
    UserError when it dies before, as without memory, and its runs have failed with that reason.
    """
    told = Notifier(runs, wish.on_end, wish.webhook)
    command = program("worker", *run_ids, "--announce", "--runs", str(runs), *wish.arguments())
    try:
        with (runs / LOG).open("ab") as log:
            said = log.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**as_started(os.environ), **told.environment()},
            )
    except OSError as error:
        raise UserError(f"Cannot start training in the background: {error.strerror}.") from None
    assert process.stdout is not None
    with process.stdout as out:
        if _begins(out):
            return
    why = why_ended(process, runs, said)
    for run_id in run_ids:
        with contextlib.suppress(OSError):
            end(RunFolder(runs / run_id), "failed", f"its process ended before it began: {why}")
    raise UserError(f"Training in the background ended before it began: {why}")


def _begins(out: IO[bytes]) -> bool:
    """Whether a process says that it can train, or is still about to; not when it has ended."""
    said, until = b"", time.monotonic() + BEGIN_WITHIN
    while BEGUN not in said:
        if not select.select([out], [], [], max(0.0, until - time.monotonic()))[0]:
            return True
        more = os.read(out.fileno(), 1024)
        if not more:
            return False
        said += more
    return True


def say_begun() -> None:
    """Let the one who started this process know that it can train, who may listen no more."""
    with contextlib.suppress(OSError):
        os.write(1, BEGUN)
    let_go((1,))


def resume(run: Run, runs: Path, wish: Wish = ANY) -> str:
    """Let a paused run go on, or train an unfinished one in the background; says which."""
    _, problems = resume_each([run], runs, wish)
    if problems:
        raise UserError(problems[0])
    if run.status == "paused":
        return f"{run.name} goes on."
    images = ", on the demo set (synthetic)" if run.synthetic else ""
    return f"{run.name} goes on in the background from epoch {run.summary.epochs_done}{images}."


def resume_each(wanted: Sequence[Run], runs: Path, wish: Wish = ANY) -> tuple[list[Run], list[str]]:
    """Let paused runs go on, and train the others in one process in the background.

    Returns the runs that go on, and why the others do not. Raises UserError where none can.
    """
    going, problems, folders = [], [], []
    backend = None
    if any(run.status != "paused" for run in wanted):
        backend, _ = make_backend(runs, wish)
        if wish == ANY:
            locks_folder()
    for run in wanted:
        try:
            if run.status == "paused" or backend is None:
                order(run, "go")
            else:
                if run.status == "queued" and not (run.left_behind or waits_unseen(run)):
                    raise UserError(f"{run.name} is queued already; it starts when its turn comes.")
                if run.spec is not None and wish != ANY:
                    backend.check(run.spec)
                folders.append(requeue(run))
            going.append(run)
        except UserError as error:
            problems.append(str(error))
    if backend is not None and folders:
        _detach(backend, folders, runs, wish)
    return going, problems


def _follow(
    runs: Path, folders: Sequence[RunFolder], worker: Backend, printer: TrainPrinter
) -> list[str]:
    """Show each run from its turn to its end, however many have theirs; returns their statuses.

    Where one trains after another, what is said of each stands together and in their order.
    """
    known = Runs(runs)
    waiting = {folder.id: number for number, folder in enumerate(folders, 1)}
    shown: dict[str, Follower] = {}
    statuses: dict[str, str] = {}
    told = ""
    while waiting or shown:
        # Asked in this order, so that what is in training began after what is no longer owned.
        training, own, alive = set(worker.training), set(worker.own), worker.alive
        begun = [i for i in waiting if i in training or i not in own or not alive]
        problem = worker.problem
        for run_id in [*shown, *begun]:
            run = known.get(run_id)
            if run_id in begun:
                number = waiting.pop(run_id)
                if run.status == "queued" and not alive:
                    statuses[run_id] = run.status
                    continue
                printer.begin(run, number, len(folders))
                shown[run_id] = Follower(known, run_id)
            look = shown[run_id].look()
            printer.show(look)
            problem = problem or look.run.summary.reason * (not look.run.ended)
            if run_id not in own or not alive:
                statuses[run_id] = look.run.status
                printer.leave()
                del shown[run_id]
        if problem and problem != told:
            printer.note(problem)
        told = problem
        time.sleep(LOOK_EVERY)
    return list(statuses.values())


@contextlib.contextmanager
def _stopping(worker: Backend) -> Iterator[list[int]]:
    """Let SIGINT and SIGTERM close the worker while the block runs; the list notes which came.

    When the terminal is closed, its end is no reason to stop, and what is printed goes nowhere.
    """
    stopped_by: list[int] = []
    terminal = [descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)]

    def stop(number: int, _: object) -> None:
        stopped_by.append(number)
        worker.close(by_signal(number))

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: let_go(terminal))
    try:
        yield stopped_by
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
