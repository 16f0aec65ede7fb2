"""Trains one run: from its folder's spec to its last event, obeying its control file."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from cifar_tui.data.loading import IMAGES
from cifar_tui.locks import ASKED, Lock
from cifar_tui.queue.run_writer import (
    BEAT,
    TRY_AGAIN,
    Heartbeat,
    RunWriter,
    Write,
    refusal_of,
    wait_for_runs,
)
from cifar_tui.queue.turns import Turn, device_turn
from cifar_tui.runs.control import BY_USER
from cifar_tui.runs.events import Ended, Remark, RunEvent
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.origin import origin_of
from cifar_tui.runs.record import ENDED, Summary
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.device import choose_device
from cifar_tui.training.faults import (
    DeviceLost,
    Gone,
    Mismatch,
    Preempted,
    Stopped,
    Unwritable,
    explain,
    is_device_lost,
)
from cifar_tui.training.process import this_slot
from cifar_tui.training.resume import ended_as, own_images, resume_point
from cifar_tui.training.trainer import Phase, train

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
    it. While the folder cannot be written, training waits and `blocked` is told why (and told ""
    when it goes on). Whatever else goes wrong ends the run as failed with its reason; where
    `stopping` raises Preempted, it waits as queued. Raises Unwritable when asked to stop while the
    folder cannot be written, Gone when it was removed, OSError when it cannot even be locked, and
    DeviceLost when no further run can use the device in this process.
    """
    wait_for_runs(folder.path.parent, stopping, blocked)
    with Lock(folder.path / "lock") as mine:
        summary = read_run(folder.path).summary
        try:
            if summary.status in ENDED or not mine.take(within=ASKED):
                return summary
        except FileNotFoundError:
            raise Gone(folder.path) from None
        return Session(folder, summary, mine, stopping, blocked).run()


class Session:
    """One run in training, from the moment that this process has its lock."""

    def __init__(
        self,
        folder: RunFolder,
        summary: Summary,
        lock: Lock,
        stopping: Callable[[], str],
        blocked: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._lock = lock
        self._stopping = stopping
        self._blocked = blocked
        self._heart = Heartbeat(folder)
        self._writer = RunWriter(folder, summary, self._wait_to_write)
        self._turn, self._device = Turn(), ""

    def run(self) -> Summary:
        """Run the trainer to its end and record how it ended."""
        self._heart.beat()
        self._folder.sweep()
        self._writer.store(self._folder.mend_events)
        spec: RunSpec | None = None
        try:
            spec, kept = self._folder.settings()
            device, slot = choose_device(spec), this_slot()
            self._device = str(device)
            with device_turn(self._device, slot.name if slot else "") as self._turn:
                self._wait_for_device()
                self._writer.begin()
                for event in self._events(spec, device, kept):
                    self._writer.record(event)
        except Stopped as error:
            self._writer.record(Ended("stopped", str(error)))
        except Preempted as error:
            self._writer.update(status="queued", reason=str(error))
            self._heart.start_again()
        except Unwritable:
            raise
        except Mismatch as error:
            self._writer.record(Ended(ended_as(self._folder.path), str(error)))
        except Exception as error:
            reason, trace = explain(error, spec)
            self._writer.record(Ended("failed", reason, trace))
            if is_device_lost(error):
                raise DeviceLost(reason) from error
        return self._writer.summary

    def _events(
        self, spec: RunSpec, device: torch.device, kept: dict[str, Any]
    ) -> Iterator[RunEvent]:
        run = read_run(self._folder.path)
        origin = origin_of(run)
        checkpoint, remark = resume_point(run, spec, origin)
        with self._heart.keeping_up():
            where = origin.where(spec.data, checkpoint.spec.data) if checkpoint else spec.data
            dataset = own_images(run, origin, checkpoint, where, IMAGES.open)
        begun_as = origin.run if checkpoint else ""
        self._writer.describe(dataset, device, begun_as or self._folder.id, **kept)
        if remark:
            self._writer.record(Remark(remark))
        return train(spec, dataset, device, self.tick, self._writer.keep, checkpoint)

    def _wait_for_device(self) -> None:
        """Wait until no other run of this user trains on the device."""
        told, name = "", self._writer.summary.name
        while reason := self._turn.lacks(self._device, self._folder.path, name):
            if reason != told:
                told = reason
                self._writer.update(status="queued", reason=reason)
            self._heart.beat()
            self._obey()
            time.sleep(BEAT)

    def tick(
        self, phase: Phase, epoch: int, done: int, images: int, settle: Callable[[], None]
    ) -> float:
        """Between two batches: beat a few times a second and obey; returns seconds held."""
        if not self._heart.is_due:
            return 0.0
        self._heart.report(phase, epoch, done, images, self._writer.summary.epochs)
        if not self._obey():
            return 0.0
        settle()
        began = time.monotonic()
        with self._writer.untimed():
            self._writer.update(status="paused")
            while self._obey():
                self._heart.wait()
                time.sleep(BEAT)
        self._writer.update(status="running")
        self._heart.beat(phase=phase)
        self._heart.forget_speed()
        return time.monotonic() - began

    def _obey(self) -> bool:
        """Raise Stopped when asked to stop; tells whether the run is to pause."""
        reason, order = self._stopping(), self._folder.read_order()
        if reason or order == "stop":
            raise Stopped(reason or BY_USER)
        return order == "pause"

    def _wait_to_write(self, write: Write, refusal: str) -> None:
        """Wait until the folder takes a write, and say why.

        The device is given back where that takes long, and taken again before training goes on.
        """
        had_device, told, began = self._turn.held, "", time.monotonic()
        while refusal:
            try:
                self._obey()
            except Stopped:
                raise Unwritable(refusal) from None
            if refusal != told:
                told = refusal
                self._blocked(refusal)
                self._lock.say(refusal)
                waiting = {"status": "paused", "reason": refusal}
                with contextlib.suppress(OSError):
                    self._folder.write_summary(self._writer.summary.model_copy(update=waiting))
            if time.monotonic() - began >= HOLD:
                self._turn.release()
            self._heart.wait()
            time.sleep(TRY_AGAIN)
            refusal = refusal_of(write)
        self._blocked("")
        self._lock.say("")
        summary = self._writer.summary
        if had_device and not self._turn.held and summary.status not in ENDED:
            self._wait_for_device()
            self._writer.update(status=summary.status, reason=summary.reason)
        self._heart.forget_speed()
