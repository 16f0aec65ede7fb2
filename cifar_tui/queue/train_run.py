"""Carries one run out: from its folder's spec to its last event, obeying its control file."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.loading import IMAGES
from cifar_tui.locks import ASKED, Lock
from cifar_tui.queue.turns import Turn, device_turn
from cifar_tui.runs.control import BY_USER
from cifar_tui.runs.events import Ended, EpochDone, Remark, Resumed, RunEvent, Started, point_at
from cifar_tui.runs.folder import Order, RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.origin import origin_of
from cifar_tui.runs.record import ENDED, Point, Progress, Summary, this_worker
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.checkpoint import Checkpoint, save
from cifar_tui.training.device import choose_device, describe_environment
from cifar_tui.training.faults import (
    TRY_AGAIN,
    DeviceLost,
    Gone,
    Mismatch,
    MissingFolder,
    Preempted,
    Stopped,
    Unwritable,
    explain,
    gone,
    is_device_lost,
    storage_reason,
    wait_for_runs,
)
from cifar_tui.training.resume import ended_as, own_images, resume_point
from cifar_tui.training.slot import slot_name
from cifar_tui.training.trainer import Phase, Rate, train

BEAT = 0.25
"""Seconds between two looks at the control file and two writes of the progress file."""
READING_BEAT = 1.0
"""Seconds between two writes of the progress file while images are read."""
HOLD = 60.0
"""Seconds for which a run that cannot be written keeps its device from others."""


def perform(
    folder: RunFolder,
    stopping: Callable[[], str] = lambda: "",
    blocked: Callable[[str], None] = lambda reason: None,
) -> Summary:
    """Train the run of `folder` from its start, or from its last checkpoint where there is one.

    All it does is written into the folder; returns the last summary. A run that another process
    trains, or that has ended, is left alone. Once `stopping` gives a reason, the run is stopped for
    it. While the folder cannot be written, training waits
    and `blocked` is told why (and told "" when it goes on). Whatever else goes wrong ends the run
    as failed with its reason; where `stopping` raises Preempted, it waits as queued. Raises
    Unwritable when asked to stop while the folder cannot be written, Gone when it was removed,
    OSError when it cannot even be locked, and DeviceLost when no further run can use the device in
    this process.
    """
    wait_for_runs(folder.path.parent, stopping, blocked)
    with Lock(folder.path / "lock") as mine:
        summary = read_run(folder.path).summary
        try:
            if summary.status in ENDED or not mine.take(within=ASKED):
                return summary
        except FileNotFoundError:
            raise gone(folder.path) from None
        return Performance(folder, summary, mine, stopping, blocked).carry_out()


class Performance:
    """One run being carried out: what the trainer tells goes into the run's folder."""

    def __init__(
        self,
        folder: RunFolder,
        summary: Summary,
        lock: Lock,
        stopping: Callable[[], str],
        blocked: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self.summary = summary
        self._lock = lock
        self._stopping = stopping
        self._stopped_by = BY_USER
        self._blocked = blocked
        self._progress = Progress(worker=this_worker())
        self._next_beat = 0.0
        self._missing = MissingFolder(folder.path)
        self._turn: Turn | None = None
        self._device = ""
        self._rate = Rate()
        self._spec: RunSpec | None = None
        self._kept: dict[str, Any] = {}
        self._belongs = ("", "")
        """The id and the fingerprint that its checkpoints carry."""
        self._seconds = summary.seconds
        """In training up to `_since`: without waiting for the device, pauses, and a full disk."""
        self._since: float | None = None

    def carry_out(self) -> Summary:
        """Run the trainer to its end and record how it ended."""
        self.prepare()
        try:
            spec = self.read_spec()
            device = choose_device(spec)
            with device_turn(str(device), slot_name()) as turn:
                self.wait_for(turn, str(device))
                for event in self._events(spec, device):
                    self.record(event)
        except Stopped:
            self.stop()
        except Preempted as error:
            self.give_back(str(error))
        except Unwritable:
            raise
        except Mismatch as error:
            self.refuse(str(error))
        except Exception as error:
            self.fail(error)
        return self.summary

    def read_spec(self) -> RunSpec:
        """The run's settings, remembered for what may have to be explained."""
        self._spec, self._kept = self._folder.settings()
        return self._spec

    def prepare(self) -> None:
        """Say that someone works on this run, and mend what a crash left in its folder."""
        self._beat()
        self._folder.sweep()
        self._store(self._folder.mend_events)

    def refuse(self, reason: str) -> None:
        """Leave a run that cannot go on with the status it had, and say why."""
        self.record(Ended(ended_as(self._folder.path), reason))

    def fail(self, error: Exception) -> None:
        """Record what ended the run; raises DeviceLost when the device is of no more use."""
        reason, trace = explain(error, self._spec)
        self.record(Ended("failed", reason, trace))
        if is_device_lost(error):
            raise DeviceLost(reason) from error

    def stop(self) -> None:
        """Record that the run was stopped, and by whom."""
        self.record(Ended("stopped", self._stopped_by))

    def give_back(self, reason: str) -> None:
        """Say that the run waits again, to go on from its last whole epoch."""
        self._count_time(False)
        self._update(status="queued", reason=reason)
        self._progress = Progress(worker=self._progress.worker, counter=self._progress.counter)
        self._beat()

    def wait_for(self, turn: Turn, device: str) -> None:
        """Wait until no other run of this user trains on the device."""
        self.uses(turn, device)
        self._take(turn, device)
        self.begin()

    def uses(self, turn: Turn, device: str) -> None:
        """Remember whose turn it is to be given back while the folder cannot be written."""
        self._turn, self._device = turn, device

    def _take(self, turn: Turn, device: str) -> None:
        told = ""
        while reason := turn.lacks(device, self._folder.path, self.summary.name):
            if reason != told:
                told = reason
                self._update(status="queued", reason=reason)
            self._beat()
            if self._order() == "stop":
                raise Stopped
            time.sleep(BEAT)

    def begin(self) -> None:
        """Say that the run is in training, and count its time from here on."""
        self._count_time(True)
        self._update(status="running", reason="")

    def _events(self, spec: RunSpec, device: torch.device) -> Iterator[RunEvent]:
        run = read_run(self._folder.path)
        origin = origin_of(run)
        checkpoint, remark = resume_point(run, spec, origin)
        with self._beating():
            where = origin.where(spec.data, checkpoint.spec.data) if checkpoint else spec.data
            dataset = own_images(run, origin, checkpoint, where, IMAGES.open)
        self.describe(dataset, device, origin.run if checkpoint else "")
        if remark:
            self.record(Remark(remark))
        return train(spec, dataset, device, self.tick, self.keep, checkpoint)

    def describe(self, dataset: Dataset, device: torch.device, begun_as: str = "") -> None:
        """Write down where and with what the run is made, and the id it was begun with."""
        begun_as = begun_as or self._folder.id
        self._belongs = (begun_as, dataset.fingerprint)
        meta = {"run": begun_as, **describe_environment(dataset, device)}
        self._store(lambda: self._folder.write_meta(meta))
        self._update(device=str(device), source=dataset.source, **self._kept)

    def keep(self, checkpoint: Checkpoint, is_best: bool) -> None:
        """Write best.pt before last.pt: a crash in between repeats this epoch and writes both."""
        run, fingerprint = self._belongs
        content = replace(checkpoint, run=run, fingerprint=fingerprint).to_bytes()
        if is_best:
            self._store(lambda: save(self._folder.best, content))
        self._store(lambda: save(self._folder.last, content))

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
        self.summary = self._changed(changes)
        if isinstance(event, Ended):
            event = replace(event, summary=self.summary.model_dump(mode="json"))
            with contextlib.suppress(OSError):
                self._folder.clear_order()
        durable = isinstance(event, EpochDone | Ended)
        self._store(lambda: self._folder.append(event, durable=durable))
        self._store(lambda: self._folder.write_summary(self.summary))

    def _point_at(self, epoch: int, best: Point | None) -> Point | None:
        """The metrics of the epoch that a run resumes from, where they are still known."""
        known = (self.summary.last, best, point_at(self._folder.path, epoch))
        return next((point for point in known if point and point.epoch == epoch), None)

    def _changed(self, changes: dict[str, Any]) -> Summary:
        self._count_time(self._since is not None)
        return self.summary.model_copy(update={**changes, "seconds": self._seconds})

    def _count_time(self, going: bool) -> bool:
        """Let the time from here on count or not; returns whether it did until here."""
        now, since = time.monotonic(), self._since
        self._seconds += 0.0 if since is None else now - since
        self._since = now if going else None
        return since is not None

    def _update(self, **changes: Any) -> None:
        self.summary = self._changed(changes)
        self._store(lambda: self._folder.write_summary(self.summary))

    def _store(self, write: Callable[[], object]) -> None:
        """Do one write; where the folder refuses it, wait until it does not, and say why.

        The device is given back where that takes long, and taken again before training goes on.
        """
        told, counted, began = "", False, time.monotonic()
        while True:
            try:
                write()
                break
            except OSError as error:
                reason = storage_reason(error)
                if self._order() == "stop":
                    raise Unwritable(reason) from None
            if reason != told:
                counted = self._count_time(False) if not told else counted
                told = reason
                self._blocked(reason)
                self._lock.say(reason)
                waiting = self.summary.model_copy(update={"status": "paused", "reason": reason})
                with contextlib.suppress(OSError):
                    self._folder.write_summary(waiting)
            if self._turn is not None and time.monotonic() - began >= HOLD:
                self._turn.release()
            self._beat_paused()
            time.sleep(TRY_AGAIN)
        if told:
            self._blocked("")
            self._lock.say("")
            if self._turn is not None and self.summary.status not in ENDED:
                before = self.summary
                self._take(self._turn, self._device)
                self.summary = self._changed({"status": before.status, "reason": before.reason})
            self._count_time(counted)
            self._rate.forget()
            self._store(lambda: self._folder.write_summary(self.summary))

    def _order(self) -> Order | None:
        reason = self._stopping()
        if reason:
            self._stopped_by = reason
            return "stop"
        return self._folder.read_order()

    def tick(
        self, phase: Phase, epoch: int, done: int, images: int, settle: Callable[[], None]
    ) -> float:
        """Between two batches: beat a few times a second and obey; returns seconds held."""
        now = time.monotonic()
        if now < self._next_beat:
            return 0.0
        self._rate.count(phase == "train", epoch, done, images, now)
        self._beat(
            phase=phase,
            epoch=epoch,
            images_done=done,
            images=images,
            images_per_second=self._rate.value,
            seconds_left=self._rate.seconds_left(self.summary.epochs - epoch),
        )
        order = self._order()
        if order == "stop":
            raise Stopped
        if order != "pause":
            return 0.0
        settle()
        return self._pause(phase)

    def _pause(self, phase: Phase) -> float:
        began = time.monotonic()
        self._count_time(False)
        self._update(status="paused")
        while (order := self._order()) == "pause":
            self._beat_paused()
            time.sleep(BEAT)
        if order == "stop":
            raise Stopped
        self._count_time(True)
        self._update(status="running")
        self._beat(phase=phase)
        self._rate.forget()
        return time.monotonic() - began

    @contextlib.contextmanager
    def _beating(self) -> Iterator[None]:
        """Keep the heartbeat up while something is read that may take minutes on a slow line."""
        done = threading.Event()

        def beat() -> None:
            with contextlib.suppress(Gone):  # the next beat of the run itself says it
                while not done.wait(READING_BEAT):
                    self._beat()

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat_paused(self) -> None:
        """Beat as a run that waits; in a pause of the validation all training images are done."""
        validated = self._progress.phase == "val"
        done = self._progress.images if validated else self._progress.images_done
        self._beat(phase="paused", images_done=done)

    def _notice_absence(self) -> None:
        try:
            self._missing.note()
        except Gone as error:
            self.summary = self._changed({"status": "crashed", "reason": str(error)})
            self._blocked(str(error))
            raise

    def _beat(self, **changes: Any) -> None:
        """Write the heartbeat; a disk that refuses it refuses what matters soon enough."""
        changes["counter"] = self._progress.counter + 1
        self._progress = self._progress.model_copy(update=changes)
        try:
            self._folder.write_progress(self._progress)
            self._missing.over()
        except FileNotFoundError:
            self._notice_absence()
        except OSError:
            pass
        self._next_beat = time.monotonic() + BEAT
