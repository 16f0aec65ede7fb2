"""What a run in training writes into its folder: events, summary, checkpoints, meta.json."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from cifar_tui.data.dataset import Dataset
from cifar_tui.files import write_atomic
from cifar_tui.runs.events import Ended, EpochDone, Resumed, RunEvent, Started, point_at
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.record import Point, Summary
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.device import describe_environment
from cifar_tui.training.faults import storage_reason

Write = Callable[[], object]


class RunWriter:
    """Writes into one run's folder, and counts the seconds that the run is in training.

    Where the folder refuses a write, `wait(write, why)` is to get it done, or to raise.
    """

    def __init__(
        self, folder: RunFolder, summary: Summary, wait: Callable[[Write, str], None]
    ) -> None:
        self.summary = summary
        self._folder = folder
        self._wait = wait
        self._run = self._fingerprint = ""
        """What the checkpoints carry: the id the run was begun with, and that of its images."""
        self._seconds = summary.seconds
        """In training up to `_since`."""
        self._since: float | None = None

    def begin(self) -> None:
        """Say that the run is in training, and count its time from here on."""
        self._since = time.monotonic()
        self.update(status="running", reason="")

    @contextlib.contextmanager
    def untimed(self) -> Iterator[None]:
        """Count nothing as time in training until the block has ended well."""
        counts, self._seconds, self._since = self._since is not None, self._time(), None
        yield
        self._since = time.monotonic() if counts else None

    def store(self, write: Write) -> None:
        """Do one write, however long it takes."""
        if refusal := refusal_of(write):
            with self.untimed():
                self._wait(write, refusal)
            self.store(self._write_summary)

    def update(self, **changes: Any) -> None:
        """Write the summary with these changes."""
        self._change(changes)
        self.store(self._write_summary)

    def describe(self, dataset: Dataset, device: torch.device, begun_as: str, **kept: Any) -> None:
        """Write where and with what the run is made, its first id and `kept` of its settings."""
        self._run, self._fingerprint = begun_as, dataset.fingerprint
        meta = {"run": begun_as, **describe_environment(dataset, device)}
        self.store(lambda: self._folder.write_meta(meta))
        self.update(device=str(device), source=dataset.source, **kept)

    def keep(self, checkpoint: Checkpoint, is_best: bool) -> None:
        """Write best.pt before last.pt: a crash in between repeats this epoch and writes both."""
        known = replace(checkpoint, run=self._run, fingerprint=self._fingerprint)
        content = known.to_bytes()
        if is_best:
            self.store(lambda: write_atomic(self._folder.best, content))
        self.store(lambda: write_atomic(self._folder.last, content))

    def record(self, event: RunEvent) -> None:
        """Append the event first, then the summary: an ended run's events are complete."""
        event = replace(event, time=round(time.time(), 3))
        changes: dict[str, Any] = {}
        match event:
            case Started():
                event = replace(event, id=self._folder.id)
                changes = {n: getattr(event, n) for n in ("initial_loss", "parameters", "epochs")}
                changes |= {"best": None, "last": None, "epochs_done": 0}
            case Resumed(epoch=int(epoch), best=best):
                last = self._point_at(epoch, best)
                changes = {"epochs_done": epoch, "best": best, "last": last}
            case EpochDone(epoch=epoch, point=point):
                best = point if point.beats(self.summary.best) else self.summary.best
                changes = {"epochs_done": epoch, "best": best, "last": point}
            case Ended(status=status, reason=reason):
                changes = {"status": status, "reason": reason}
        self._change(changes)
        if isinstance(event, Ended):
            event = replace(event, summary=self.summary.model_dump(mode="json"))
            with contextlib.suppress(OSError):
                self._folder.clear_order()
        durable = isinstance(event, EpochDone | Ended)
        self.store(lambda: self._folder.append(event, durable=durable))
        self.store(self._write_summary)

    def _point_at(self, epoch: int, best: Point | None) -> Point | None:
        """The metrics of the epoch that a run resumes from, where they are still known."""
        known = (self.summary.last, best, point_at(self._folder.path, epoch))
        return next((point for point in known if point and point.epoch == epoch), None)

    def _time(self) -> float:
        return self._seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    def _change(self, changes: dict[str, Any]) -> None:
        self.summary = self.summary.model_copy(update={**changes, "seconds": self._time()})

    def _write_summary(self) -> None:
        self._folder.write_summary(self.summary)


def refusal_of(write: Write) -> str:
    """Do one write; returns why the folder refuses it, or nothing."""
    try:
        write()
    except OSError as error:
        return storage_reason(error)
    return ""
