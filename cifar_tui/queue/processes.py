"""The backend `processes`: one per slot, fed from one queue, and what such a process does."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from cifar_tui.errors import UserError
from cifar_tui.queue.queue import Backend
from cifar_tui.queue.slots import parse_slots, require_slot
from cifar_tui.queue.turns import locks_folder
from cifar_tui.runs.control import BY_USER, end, lost, requeue
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.spec.settings import RunSpec
from cifar_tui.text import plain
from cifar_tui.training.process import Slot, as_started, prepare_process, program, settle, this_slot

if TYPE_CHECKING:
    from cifar_tui.queue.choices import Wish

DEVICE_LOST = 3
"""Exit code of a process whose device failed."""
DEATHS = 2
"""After this many deaths of its processes a run is left as crashed; after those of this many runs
in a row a slot is taken out."""
LOG = ".background.log"
"""Beside the runs: what processes could not write into a run's folder."""
LOOK_AT = 2**16
"""Bytes of the log's end in which the last words of a process are looked for."""


def make(runs: Path, wish: "Wish") -> tuple[Backend, Sequence[str]]:
    """A process per device; raises UserError for a device that is not here."""
    slots, notes = parse_slots(wish.devices or "all")
    return Pool(runs, slots), notes


class Died(Exception):
    """The process ended before its run did."""


class Lost(Exception):
    """The device can be used no more."""


class Child:
    """The process of one slot; trains one run folder at a time as it is told."""

    def __init__(self, runs: Path, slot: Slot, say: Callable[[str], None]) -> None:
        self._say = say
        self._runs = runs
        with open_log(runs) as log:
            self._log_began = log.tell()
            self._process = subprocess.Popen(
                program("worker", "--serve", "--runs", str(runs)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**as_started(os.environ), **slot.environment()},
            )

    def train(self, folder: RunFolder) -> None:
        """Have the run trained to its end; raises Lost, Died."""
        self._tell({"train": folder.id})
        while True:
            answer = self._hear()
            if answer.get("done") == folder.id:
                return
            if "lost" in answer:
                raise Lost(str(answer["lost"]))
            if "problem" in answer:
                self._say(str(answer["problem"]))

    def stop(self, reason: str) -> None:
        """Stop its run between two batches and end; a process that is gone needs no telling."""
        with contextlib.suppress(Died):
            self._tell({"close": reason})

    def end(self) -> None:
        """Let it end, and wait until it has."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                self._pipe(pipe).close()
        self._process.wait()

    def _tell(self, order: dict[str, object]) -> None:
        try:
            pipe = self._pipe(self._process.stdin)
            pipe.write(json.dumps(order).encode() + b"\n")
            pipe.flush()
        except (OSError, ValueError):
            raise self._died() from None

    def _hear(self) -> dict[str, object]:
        """The next answer; what else is printed by a library is passed over."""
        for line in self._pipe(self._process.stdout):
            with contextlib.suppress(ValueError):
                answer = json.loads(line)
                if isinstance(answer, dict):
                    return answer
        raise self._died()

    def _died(self) -> Died:
        return Died(why_ended(self._process, self._runs, self._log_began))

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


class Pool(Backend):
    """Trains queued runs at the same time, one in each slot's process; free slots take the next.

    A device that fails is taken out, and its run goes back to the queue to resume elsewhere. Should
    this process die, each slot's process still ends the run it has.
    """

    def __init__(self, runs: Path, slots: Sequence[Slot]) -> None:
        super().__init__()
        self._runs = runs
        self._usable = list(slots)
        self.slots = len(slots)
        self._children: dict[str, Child] = {}
        self._devices: dict[str, str] = {}
        """What each run's spec names, as reading it anew for each slot would take long."""
        self._failed: dict[str, list[str]] = {}
        """The slots whose processes died under a run, or whose devices failed."""
        self._threads = [
            threading.Thread(target=self._feed, args=(slot,), name=f"slot {slot.name}")
            for slot in slots
        ]

    def start(self) -> None:
        """Begin working: a process starts when its slot gets its first run; raises UserError."""
        self._runs.mkdir(parents=True, exist_ok=True)
        super().start()
        self.ready.set()

    def close(self, reason: str = BY_USER) -> None:
        super().close(reason)
        with self._changed:
            children = list(self._children.values())
        for child in children:
            child.stop(self._closing)

    def check(self, spec: RunSpec) -> None:
        """Raise UserError when the spec names a device that has no slot, or turns cannot be had."""
        locks_folder()
        require_slot(spec.device, self._usable)

    def add(self, folder: RunFolder, *, place: int | None = None) -> None:
        """Queue a run; raises UserError when it names a device that has no slot."""
        spec = read_run(folder.path).spec
        if spec is not None:
            require_slot(spec.device, self._usable)
        self._devices[folder.id] = spec.device if spec else "auto"
        super().add(folder, place=place)

    def _is_over(self) -> bool:
        """A run in training may come back into the queue; one that fits no slot never leaves it."""
        return not self._current and not any(
            self._fits(slot, folder) for slot in self._usable for folder in self._queue
        )

    def _fits(self, slot: Slot, folder: RunFolder) -> bool:
        """Whether a slot may train a run: not where it failed before, if there is another."""
        failed = self._failed.get(folder.id, ())
        usable = [one for one in self._usable if one.takes(self._devices[folder.id])]
        return slot in usable and (
            slot.name not in failed or all(one.name in failed for one in usable)
        )

    def _feed(self, slot: Slot) -> None:
        child: Child | None = None
        died: set[str] = set()
        why = ""
        while len(died) < DEATHS and (folder := self._next(lambda one: self._fits(slot, one))):
            failed = self._failed.setdefault(folder.id, [])
            try:
                child = child or self._open(slot)
                child.train(folder)
                died.clear()
            except Lost as error:
                failed.append(slot.name)
                if len(set(failed)) < DEATHS:
                    self._again(folder)
                    self._take_out(slot, str(error))
                    break
                self._end(slot, child)  # the run is to blame, not the device
                child = None
            except OSError as error:
                self._again(folder)
                self.hold()
                self._say(f"Cannot start a process to train in: {error.strerror}.")
            except Died as error:
                failed.append(slot.name)
                died.add(folder.id)
                why = str(error) or f"see {self._runs / LOG}"
                self._end(slot, child)
                child = None
                if len(failed) < DEATHS:
                    self._again(folder)
                elif not self._closing:
                    reason = f"its process ended {DEATHS} times before the run did: {why}"
                    with contextlib.suppress(OSError):
                        end(folder, "crashed", reason)
            finally:
                self._done(folder)
        if len(died) >= DEATHS:
            self._take_out(slot, f"its process ended under {len(died)} runs in a row: {why}")
        self._end(slot, child)

    def _open(self, slot: Slot) -> Child:
        child = Child(self._runs, slot, self._say)
        with self._changed:
            self._children[slot.name] = child
            if self._closing:
                child.stop(self._closing)
        return child

    def _end(self, slot: Slot, child: Child | None) -> None:
        with self._changed:
            self._children.pop(slot.name, None)
        if child is not None:
            child.end()

    def _again(self, folder: RunFolder) -> None:
        """Put a run back to the front of the queue, to go on from its last whole epoch."""
        run = read_run(folder.path)
        if self._closing or run.status in ("finished", "diverged", "stopped"):
            return
        with contextlib.suppress(UserError):
            self._enqueue(requeue(lost(run), keep_order=True), 0)

    def _take_out(self, slot: Slot, reason: str) -> None:
        """Use a slot no more, and hold the queue when none is left."""
        with self._changed:
            self._usable.remove(slot)
            self.slots = len(self._usable)
            self._changed.notify_all()
        self._say(f"{slot.name} is used no more: {reason}")
        if not self._usable:
            self.hold()


def serve(runs: Path, orders: BinaryIO, say: Callable[[dict[str, Any]], None]) -> int:
    """Train what `orders` name, one JSON object a line, until they end; returns the exit code.

    `{"train": ID}` is answered with `{"done": ID}`; `{"close": REASON}` stops the run in training.
    When the orders end unasked, as their sender has died, the run in training is still ended.
    """
    settle()
    prepare_process()
    waiting: queue.Queue[str | None] = queue.Queue()
    closing: list[str] = []
    """The reason to stop, once there is one."""

    def listen() -> None:
        for line in orders:
            order = json.loads(line)
            if order.get("close"):
                closing.append(str(order["close"]))
                break
            waiting.put(str(order["train"]))
        waiting.put(None)

    threading.Thread(target=listen, daemon=True).start()
    from cifar_tui.queue.train_run import perform
    from cifar_tui.training.faults import DeviceLost, Unwritable, storage_reason

    try:
        _use_slot()
    except (RuntimeError, AssertionError, AttributeError) as error:  # the last two: torch for CPUs
        say({"lost": f"it cannot be used ({str(error).splitlines()[0]})"})
        return DEVICE_LOST
    while (run_id := waiting.get()) is not None and not closing:
        try:
            perform(
                RunFolder(runs / run_id), lambda: "".join(closing), lambda p: say({"problem": p})
            )
        except DeviceLost as error:
            say({"lost": str(error)})
            return DEVICE_LOST
        except Unwritable as error:
            say({"problem": str(error)})
        except OSError as error:
            say({"problem": storage_reason(error)})
        say({"done": run_id})
    return 0


def serve_stdin(runs: Path) -> int:
    """Serve whoever started this process and holds its standard input and output."""

    def say(answer: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(answer), flush=True)

    # Not sys.stdin, at which an interpreter that ends aborts while another thread reads it.
    return serve(runs, os.fdopen(os.dup(0), "rb"), say)


def _use_slot() -> None:
    """Make the slot's GPU this process's own."""
    import torch

    slot = this_slot()
    if slot is not None and slot.device.startswith("cuda"):
        torch.cuda.set_device(torch.device(slot.device))


def open_log(runs: Path) -> IO[bytes]:
    """Where processes write what belongs into no run's folder; nowhere if that cannot be had."""
    try:
        return (runs / LOG).open("ab")
    except OSError:
        return open(os.devnull, "ab")


def why_ended(process: subprocess.Popen[bytes], runs: Path, log_began: int) -> str:
    """Why a process ended whose standard output has: its signal, and its last line in LOG.

    `log_began` is how long the log was when it began.
    """
    code = 0
    with contextlib.suppress(subprocess.TimeoutExpired):
        code = process.wait(timeout=5)
    words = _last_line(runs / LOG, log_began).removeprefix("cifar-tui: ")
    if code >= 0:
        return words or f"exit code {code}"
    killed = f"killed by {signal.Signals(-code).name}"
    if -code == signal.SIGKILL:
        killed += ", as the system does where memory runs out"
    return f"{killed} ({words})" if words else killed


def _last_line(log: Path, begin: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(begin, file.seek(0, os.SEEK_END) - LOOK_AT))
            lines = file.read(LOOK_AT).decode(errors="replace").split("\n")
    except OSError:
        return ""
    return plain(next((line.strip() for line in reversed(lines) if line.strip()), ""))[:300]
