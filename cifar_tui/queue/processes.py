"""The backend `processes`: one per slot, fed from one queue, and what such a process does."""

import contextlib
import json
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from cifar_tui.errors import UserError
from cifar_tui.queue.detached import LOG, open_log, why_ended
from cifar_tui.queue.queue import Backend, start_threads
from cifar_tui.queue.slots import parse_slots, require_slot
from cifar_tui.queue.turns import locks_folder
from cifar_tui.runs.control import BY_USER, end, lost, requeue
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.process import Slot, as_started, prepare_process, program, settle, this_slot

if TYPE_CHECKING:
    from cifar_tui.queue.choices import Wish

DEVICE_LOST = 3
"""Exit code of a process whose device failed."""


DEATHS = 2
"""After this many deaths of its processes a run is left as crashed; after those of this many runs
in a row a slot is taken out."""


def why_not(options: Mapping[str, str]) -> str:
    """Processes can be had everywhere."""
    return ""


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
            self._said = log.tell()
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
        return Died(why_ended(self._process, self._runs, self._said))

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
        self._slots = list(slots)
        self._children: dict[str, Child] = {}
        self._devices: dict[str, str] = {}
        """What each run's spec names, as reading it anew for each slot would take long."""
        self._killed: dict[str, list[str]] = {}
        """The slots whose processes died under a run, or whose devices failed."""
        self._threads = [
            threading.Thread(target=self._feed, args=(slot,), name=f"slot {slot.name}")
            for slot in slots
        ]

    def start(self) -> None:
        """Begin working: a process starts when its slot gets its first run; raises UserError."""
        self._runs.mkdir(parents=True, exist_ok=True)
        start_threads(self, self._threads)
        self.ready.set()

    @property
    def slots(self) -> int:
        """How many runs train at the same time."""
        return len(self._slots)

    @property
    def alive(self) -> bool:
        """Whether any slot works or waits for work."""
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        """Wait until all processes have ended."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def close(self, reason: str = BY_USER) -> None:
        """Stop what is in training between two batches, start no other run, and end."""
        super().close(reason)
        with self._changed:
            children = list(self._children.values())
        for child in children:
            child.stop(self._closing)

    def check(self, spec: RunSpec) -> None:
        """Raise UserError when the spec names a device that has no slot, or turns cannot be had."""
        locks_folder()
        require_slot(spec.device, self._slots)

    def add(self, folder: RunFolder, *, place: int | None = None) -> None:
        """Queue a run; raises UserError when it names a device that has no slot."""
        spec = read_run(folder.path).spec
        if spec is not None:
            require_slot(spec.device, self._slots)
        self._devices[folder.id] = spec.device if spec else "auto"
        super().add(folder, place=place)

    def _is_over(self) -> bool:
        """A run in training may come back into the queue; one that fits no slot never leaves it."""
        return not self._current and not any(
            self._fits(slot, folder) for slot in self._slots for folder in self._queue
        )

    def _fits(self, slot: Slot, folder: RunFolder) -> bool:
        """Whether a slot may train a run: not where it failed before, if there is another."""
        failed = self._killed.get(folder.id, ())
        usable = [one for one in self._slots if one.takes(self._devices[folder.id])]
        return slot in usable and (
            slot.name not in failed or all(one.name in failed for one in usable)
        )

    def _feed(self, slot: Slot) -> None:
        child: Child | None = None
        died: set[str] = set()
        why = ""
        while len(died) < DEATHS and (folder := self._next(lambda one: self._fits(slot, one))):
            try:
                child = child or self._open(slot)
                child.train(folder)
                died.clear()
            except Lost as error:
                if self._is_to_blame(folder, slot):
                    self._bury(slot, child)
                    child = None
                    continue
                self._again(folder)
                self._take_out(slot, str(error))
                break
            except OSError as error:
                self._hold_back(folder, error)
            except Died as error:
                died.add(folder.id)
                why = str(error) or f"see {self._runs / LOG}"
                self._bury(slot, child)
                child = None
                self._survive(folder, slot, why)
            finally:
                self._done(folder)
        if len(died) >= DEATHS:
            self._take_out(slot, f"its process ended under {len(died)} runs in a row: {why}")
        self._bury(slot, child)

    def _open(self, slot: Slot) -> Child:
        child = Child(self._runs, slot, self._say)
        with self._changed:
            self._children[slot.name] = child
            if self._closing:
                child.stop(self._closing)
        return child

    def _bury(self, slot: Slot, child: Child | None) -> None:
        with self._changed:
            self._children.pop(slot.name, None)
        if child is not None:
            child.end()

    def _is_to_blame(self, folder: RunFolder, slot: Slot) -> bool:
        """Whether a run has failed on another slot as well, so that no device is to blame."""
        with self._changed:
            failed = self._killed.setdefault(folder.id, [])
            failed.append(slot.name)
            return len(set(failed)) >= DEATHS

    def _survive(self, folder: RunFolder, slot: Slot, why: str) -> None:
        """Queue the run of a process that died again, but not one that kills every process."""
        self._is_to_blame(folder, slot)
        if len(self._killed[folder.id]) < DEATHS:
            self._again(folder)
        elif not self._closing:
            reason = f"its process ended {DEATHS} times before the run did: {why}"
            with contextlib.suppress(OSError):
                end(folder, "crashed", reason)

    def _hold_back(self, folder: RunFolder, error: OSError) -> None:
        """Queue a run again for which no process could be started, and wait to be told to go on."""
        self._again(folder)
        self.hold()
        self._say(f"Cannot start a process to train in: {error.strerror}.")

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
            self._slots.remove(slot)
            self._changed.notify_all()
        self._say(f"{slot.name} is used no more: {reason}")
        if not self._slots:
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
