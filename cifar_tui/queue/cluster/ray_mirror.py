"""A run's folder, and its working copy on a node that does not see it; parcels keep them the same.

Greetings go between them: the copy's heartbeat there, the last order back, so that neither waits
for a parcel on a slow line. A parcel is read in the reverse of the order in which it is taken in,
which is the worker's own: the events, then best.pt before last.pt, then the summary. So no
checkpoint comes home without its events, and a node lost at any moment leaves there what a crash on
the spot would have left.
"""

import contextlib
import errno
import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from cifar_tui.files import open_regular, parse_json, write_atomic
from cifar_tui.locks import ASKED, Lock
from cifar_tui.runs.events import RunEvent
from cifar_tui.runs.folder import LARGEST, Order, RunFolder
from cifar_tui.runs.record import ENDED

LIMITS = {
    name: LARGEST.get(name, 2**20) for name in ("meta.json", "best.pt", "last.pt", "summary.json")
}
"""What comes home beside the events, in the order in which it is written, and its most bytes."""
LENT = ("spec.toml", "meta.json", "summary.json", "best.pt", "last.pt")
"""What the copy begins with."""
BEGUN = ("meta.json", "best.pt", "last.pt")
"""What of it there is only once the run was begun."""
EVENTS, PROGRESS = "events.jsonl", "progress.json"
LARGEST_GREETING = 2**16
EVERY = 0.5
"""Seconds between two greetings: the heartbeat, and how soon an order is heard."""


@dataclass(frozen=True)
class Lent:
    """What a run's copy begins with, or the error number of why there is none."""

    token: str = ""
    """What tells this lending from any other of the run."""
    events: int = 0
    """Bytes of events.jsonl that stay at home; the copy's own begin there."""
    files: dict[str, bytes] = field(default_factory=dict)
    order: Order | None = None
    refused: int = 0


@dataclass(frozen=True)
class Greeting:
    """That the copy is being trained."""

    token: str
    progress: bytes
    word: str
    """What the copy's lock says: why training waits."""


@dataclass(frozen=True)
class Parcel:
    """What changed in the copy; `number` grows, so that none is taken in after a later one."""

    token: str
    number: int
    at: int
    """Where in events.jsonl the lines belong."""
    lines: bytes
    files: dict[str, bytes]


@dataclass(frozen=True)
class Reply:
    """What the copy's side is told: the last order, why not all was taken in, that it is over.

    It is over when the run is no longer this copy's.
    """

    order: Order | None = None
    refused: int = 0
    over: bool = False


class Home:
    """The run's own folder: lent to one copy at a time, whose parcels it takes in.

    It holds the run's lock meanwhile, so that nobody else trains the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._lock = Lock(folder.path / "lock")
        self._busy = threading.Lock()
        """Held while what is kept is read or written, which a slow disk may draw out."""
        self._state = threading.Lock()
        """Held for moments."""
        self._token = ""
        self._latest = 0
        self._closed = False

    def lend(self) -> Lent:
        """What a copy needs; refused with EAGAIN while another process trains the run."""
        try:
            with self._busy:
                if self._closed or not self._lock.take(within=ASKED):
                    return Lent(refused=errno.EAGAIN)
                self._folder.sweep()
                self._folder.mend_events()
                files = {name: content for name in LENT if (content := self._read(name))}
                with self._state:
                    self._token, self._latest = uuid.uuid4().hex, 0
                return Lent(self._token, self._size(), files, self._folder.read_order())
        except OSError as error:
            return Lent(refused=error.errno or errno.EIO)

    def greet(self, greeting: Greeting) -> Reply:
        """Pass the heartbeat on; one that cannot be written is not missed.

        Raises ValueError for what is no greeting.
        """
        if len(greeting.progress) > LARGEST_GREETING:
            raise ValueError("this is no greeting of a run")
        with self._state:
            if not self._has_lent(greeting.token):
                return Reply(over=True)
            self._lock.say(greeting.word)
            if greeting.progress:
                with contextlib.suppress(OSError):
                    path = self._folder.path / PROGRESS
                    write_atomic(path, greeting.progress, durable=False)
            return Reply(self._folder.read_order())

    def take_in(self, parcel: Parcel) -> Reply:
        """Write what changed, in order; what is refused comes again with the next parcel.

        Raises ValueError for what is no parcel of a run.
        """
        require_sound(parcel)
        with self._busy:
            if not self._has_lent(parcel.token):
                return Reply(over=True)
            try:
                if parcel.number > self._latest:
                    self._write(parcel)
                    self._latest = parcel.number
            except OSError as error:
                return Reply(self._folder.read_order(), error.errno or errno.EIO)
            return Reply(self._folder.read_order())

    def close(self) -> None:
        """Take in nothing more, and let others train the run once nothing is being written."""
        with self._state:
            self._closed = True
        with self._busy, self._state:
            self._lock.release()

    def _has_lent(self, token: str) -> bool:
        return not self._closed and token == self._token

    def _write(self, parcel: Parcel) -> None:
        if new := parcel.lines[max(0, self._size() - parcel.at) :]:
            self._folder.append_lines(new, durable=True)
        for name in LIMITS:
            if (content := parcel.files.get(name)) is None:
                continue
            if name == "summary.json" and has_ended(content):
                self._folder.clear_order()
            write_atomic(self._folder.path / name, content)

    def _size(self) -> int:
        try:
            return (self._folder.path / EVENTS).stat().st_size
        except FileNotFoundError:
            return 0

    def _read(self, name: str) -> bytes | None:
        """One file's content; None for one that there is only once a run was begun."""
        try:
            with open_regular(self._folder.path / name) as file:
                content = file.read(LARGEST[name] + 1)
            if len(content) > LARGEST[name]:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            return content
        except FileNotFoundError:
            if name in BEGUN:
                return None
            raise


class Copy(RunFolder):
    """The working copy: trained as any run's folder, and asked for what has changed since."""

    def __init__(self, path: Path, lent: Lent) -> None:
        super().__init__(path)
        self.refused: OSError | None = None
        """Why the last parcel was not taken in."""
        self._token, self._begin, self._sent, self._number = lent.token, lent.events, 0, 0
        path.mkdir()
        for name in LENT:
            if name in lent.files:
                write_atomic(path / name, lent.files[name], durable=False)
        sent = [name for name in LIMITS if name in lent.files]
        self._stamps = {name: _stamp((path / name).stat()) for name in sent}
        self._packed = self._stamps
        self.hear(lent.order)

    def append(self, event: RunEvent, *, durable: bool = False) -> None:
        """Append an event; an epoch's waits until what came before it has been taken in."""
        if durable and self.refused is not None:
            raise self.refused
        super().append(event, durable=durable)

    def hear(self, order: Order | None) -> None:
        """Pass an order on to whoever trains the copy."""
        if order is not None and order != self.read_order():
            self.write_order(order)

    def greeting(self) -> Greeting:
        """The copy's heartbeat, as far as there is one."""
        progress = b""
        with contextlib.suppress(OSError), open_regular(self.path / PROGRESS) as file:
            progress = file.read(LARGEST_GREETING)
        return Greeting(self._token, progress, Lock(self.path / "lock").word())

    def pack(self) -> Parcel | None:
        """What has changed since the last parcel that was delivered, if anything has."""
        files: dict[str, bytes] = {}
        self._packed = dict(self._stamps)
        for name in reversed(LIMITS):
            with contextlib.suppress(FileNotFoundError), open_regular(self.path / name) as file:
                stamp = _stamp(os.fstat(file.fileno()))
                if stamp != self._stamps.get(name):
                    content, self._packed[name] = file.read(), stamp
                    # of two that are the same, pickle sends one
                    files[name] = next((c for c in files.values() if c == content), content)
        lines = self._lines()
        if not (lines or files):
            return None
        self._number += 1
        return Parcel(self._token, self._number, self._begin + self._sent, lines, files)

    def delivered(self, parcel: Parcel) -> None:
        """Remember that the last parcel has been taken in."""
        self._sent = parcel.at + len(parcel.lines) - self._begin
        self._stamps = self._packed

    def _lines(self) -> bytes:
        try:
            with open_regular(self.path / EVENTS) as file:
                file.seek(self._sent)
                content = file.read()
        except FileNotFoundError:
            return b""
        return content[: content.rfind(b"\n") + 1]


class Road(Protocol):
    """The way to a run's home."""

    def greet(self, greeting: Greeting) -> Reply:
        """Deliver a greeting; raises whatever it likes when there is no answer."""

    def send(self, parcel: Parcel, meanwhile: Callable[[], bool]) -> Reply:
        """Deliver a parcel, however long that takes, as long as `meanwhile` says to go on."""


class Courier:
    """Carries parcels home and orders back while a copy is trained, and what is left at its end."""

    def __init__(self, copy: Copy, road: Road) -> None:
        self.over = False
        """Whether the run is no longer this copy's."""
        self._copy = copy
        self._road = road
        self._order: Order | None = None
        self._answered = True
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Deliver the rest; where it is refused, wait until it is not, or until told to stop."""
        self._ended.set()
        self._thread.join()
        while not self.over and not self.carry():
            if self._order == "stop" and self._answered:
                break
            time.sleep(EVERY)

    def carry(self) -> bool:
        """Greet, and deliver what has changed; tells whether it was taken in.

        Raises OSError where the copy itself cannot be read.
        """
        parcel = self._copy.pack()
        try:
            if not self._greet():
                return False
            reply = self._road.send(parcel, self._greet) if parcel else Reply(self._order)
            self._answered = True
        except Exception:  # whatever Ray raises: the head may answer again
            self._answered = False
            self._copy.refused = OSError(errno.EHOSTUNREACH, "the cluster's head does not answer")
            return False
        self._hear(reply)
        failed = reply.refused
        self._copy.refused = OSError(failed, os.strerror(failed)) if failed else None
        if parcel and not failed:
            self._copy.delivered(parcel)
        return not failed

    def _greet(self) -> bool:
        """Say that the copy is being trained, and hear the last order; tells whether to go on."""
        self._hear(self._road.greet(self._copy.greeting()))
        return not self.over

    def _hear(self, reply: Reply) -> None:
        self.over = self.over or reply.over
        if reply.order != self._order:
            self._order = reply.order
            self._copy.hear(reply.order)

    def _work(self) -> None:
        while not self.over and not self._ended.wait(EVERY):
            try:
                self.carry()
            except OSError as error:
                self._copy.refused = error


def require_sound(parcel: Parcel) -> None:
    """Raise ValueError unless all names and sizes are those of a run's files."""
    sound = (
        0 <= parcel.at < 2**62
        and parcel.lines[-1:] in (b"", b"\n")
        and len(parcel.lines) <= LARGEST[EVENTS]
        and parcel.files.keys() <= LIMITS.keys()
        and all(len(content) <= LIMITS[name] for name, content in parcel.files.items())
    )
    if not sound:
        raise ValueError("this is no parcel of a run")


def has_ended(summary: bytes) -> bool:
    """Whether a summary.json is that of an ended run."""
    try:
        return parse_json(summary).get("status") in ENDED
    except (ValueError, RecursionError, AttributeError):
        return False


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    """What tells a replaced file from its forerunner."""
    return found.st_mtime_ns, found.st_size, found.st_ino
