"""What a run in training writes into its folder: events, summary, checkpoints and its heartbeat."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cifar_tui.data.dataset import Dataset
from cifar_tui.files import write_atomic
from cifar_tui.runs.events import Ended, EpochDone, Resumed, RunEvent, Started, point_at
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.record import Point, Progress, Summary, this_worker
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.device import describe_environment
from cifar_tui.training.faults import Gone, storage_reason

BEAT = 0.25
"""Seconds between two writes of the progress file."""
READING_BEAT = 1.0
"""Seconds between two writes of the progress file while images are read."""
GRACE = 60.0
"""Seconds for which a folder may be missing until its run is given up."""
TRY_AGAIN = 1.0
"""Seconds between two looks at a folder that is missing, or refuses to be written."""
_missing: dict[Path, float] = {}
"""Since when folders of runs have been missing, for all runs of a queue that were in them."""
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


def wait_for_runs(
    runs: Path, stopping: Callable[[], object], blocked: Callable[[str], None]
) -> None:
    """Give a folder of runs that is missing a while to come back."""
    since = _missing.setdefault(runs, time.monotonic())
    told = False
    while not runs.is_dir() and time.monotonic() - since < GRACE and not stopping():
        if not told:
            told = True
            blocked(f"the runs in {runs} are missing; bring them back within a minute")
        time.sleep(TRY_AGAIN)
    if runs.is_dir():
        del _missing[runs]
    if told:
        blocked("")


class Heartbeat:
    """Writes the progress file of a run; a disk that refuses it refuses what matters soon enough.

    Each write raises Gone once the run's folder has been missing for long.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._progress = Progress(worker=this_worker())
        self._rate = Rate()
        self._next = 0.0
        self._missing_since: float | None = None

    @property
    def is_due(self) -> bool:
        """Whether the last one is some time ago."""
        return time.monotonic() >= self._next

    def beat(self, **changes: Any) -> None:
        """Write where the run is; what is not given stays as it was."""
        changes["counter"] = self._progress.counter + 1
        self._progress = self._progress.model_copy(update=changes)
        try:
            self._folder.write_progress(self._progress)
            self._missing_since = None
        except FileNotFoundError:
            self._look_for_folder()
        except OSError:
            pass
        self._next = time.monotonic() + BEAT

    def report(self, phase: str, epoch: int, done: int, images: int, epochs: int) -> None:
        """Write how far the phase of an epoch is, of `epochs` in all, and the speed so far."""
        self._rate.count(phase == "train", epoch, done, images, time.monotonic())
        self.beat(
            phase=phase,
            epoch=epoch,
            images_done=done,
            images=images,
            images_per_second=self._rate.value,
            seconds_left=self._rate.seconds_left(epochs - epoch),
        )

    def wait(self) -> None:
        """Write that the run waits; where it validates, all training images are done."""
        at = self._progress
        done = at.images if at.phase == "val" else at.images_done
        self.beat(phase="paused", images_done=done)

    def forget_speed(self) -> None:
        """Measure it anew, as after a wait."""
        self._rate.forget()

    def start_again(self) -> None:
        """Write that nothing of the run is in training yet."""
        self._progress = Progress(worker=this_worker(), counter=self._progress.counter)
        self.beat()

    @contextlib.contextmanager
    def keeping_up(self) -> Iterator[None]:
        """Keep beating while something is read that may take minutes on a slow line."""
        done = threading.Event()

        def beat() -> None:
            with contextlib.suppress(Gone):  # the next beat of the run itself says it
                while not done.wait(READING_BEAT):
                    self.beat()

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _look_for_folder(self) -> None:
        path = self._folder.path
        try:
            path.stat()
        except FileNotFoundError:
            self._missing_since = self._missing_since or time.monotonic()
            if time.monotonic() - self._missing_since >= GRACE:
                raise Gone(path) from None
        except OSError:
            pass


class Rate:
    """Training speed over the last seconds, and the length of a whole epoch."""

    def __init__(self) -> None:
        self.value: float | None = None
        """Images per second, smoothed; None before it is known."""
        self._epoch_seconds: float | None = None
        self._epoch = 0
        self._epoch_began = 0.0
        self._images = 0
        self._left = 0
        self._mark: tuple[float, int] | None = None

    def count(self, training: bool, epoch: int, done: int, images: int, now: float) -> None:
        """Take note of one look between two batches, `done` of the phase's `images` into it."""
        if epoch != self._epoch:
            if epoch == self._epoch + 1 and self._epoch_began:
                self._epoch_seconds = now - self._epoch_began
            self._epoch, self._epoch_began, self._mark = epoch, now, None
        if not training:
            self._left = 0
            return
        self._images, self._left = images, images - done
        if self._mark and now > self._mark[0] and done > self._mark[1]:
            fresh = (done - self._mark[1]) / (now - self._mark[0])
            self.value = fresh if self.value is None else 0.7 * self.value + 0.3 * fresh
        self._mark = (now, done)

    def forget(self) -> None:
        """Begin anew after a pause."""
        self._mark = None
        self._epoch_began = 0.0

    def seconds_left(self, epochs: int) -> float | None:
        """Time for the rest of this epoch and `epochs` more; None before the speed is known."""
        if not self.value:
            return None
        per_epoch = self._epoch_seconds or self._images / self.value
        return epochs * per_epoch + self._left / self.value
