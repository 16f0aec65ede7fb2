"""Carries one run out: from its folder's spec to its last event, obeying its control file."""

import math
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from cifar_tui.data import Dataset, open_dataset
from cifar_tui.errors import UserError
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.record import Point, Progress, Summary, this_worker
from cifar_tui.spec import RunSpec
from cifar_tui.training.checkpoint import Checkpoint, load, save
from cifar_tui.training.device import choose_device, set_precision
from cifar_tui.training.environment import describe_environment
from cifar_tui.training.trainer import Event, Phase, train

BEAT = 0.25
"""Seconds between two looks at the control file and two writes of the progress file."""


class Stopped(Exception):
    """The run was asked to stop."""


class _Images:
    """The data set read last, kept so that the runs of a queue read it once."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._dataset: Dataset | None = None

    def open(self, where: str) -> Dataset:
        key = (where, *_stamps(Path(where)))
        if self._dataset is None or key != self._key:
            self._dataset, self._key = open_dataset(where), key
        return self._dataset


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    if not folder.is_dir():
        return []
    files = sorted(p for p in folder.iterdir() if p.is_file())
    return [(p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in files]


IMAGES = _Images()


def check_run(spec: RunSpec) -> Dataset:
    """Find out what would fail at once: raises UserError for device, precision or images."""
    set_precision(spec, choose_device(spec))
    return IMAGES.open(spec.data)


def perform(folder: RunFolder, emit: Callable[[Event], None] = lambda event: None) -> Summary:
    """Train the run of `folder` from its start, or from last.pt where there is one.

    All it does is written into the folder and handed to `emit`; returns the last summary.
    Whatever goes wrong ends the run as failed with its reason; nothing but a failure to write
    the folder itself is raised.
    """
    return _Performance(folder, emit).carry_out()


class _Performance:
    def __init__(self, folder: RunFolder, emit: Callable[[Event], None]) -> None:
        self._folder = folder
        self._emit = emit
        self._summary = read_run(folder.path).summary
        self._progress = Progress(worker=this_worker())
        self._next_beat = 0.0
        self._rate = _Rate()
        self._spec: RunSpec | None = None
        self._began = time.monotonic()
        self._seconds_before = self._summary.seconds

    def carry_out(self) -> Summary:
        """Run the trainer to its end and record how it ended."""
        self._beat()
        self._update(status="running", reason="")
        try:
            for event in self._events():
                self._record(event)
        except Stopped:
            self._record({"event": "end", "status": "stopped", "reason": "stopped by the user"})
        except Exception as error:
            reason, trace = _explain(error, self._spec)
            self._record({"event": "end", "status": "failed", "reason": reason, **trace})
        return self._summary

    def _events(self) -> Iterator[Event]:
        spec = self._spec = self._folder.spec()
        device = choose_device(spec)
        dataset = IMAGES.open(spec.data)
        self._folder.write_meta(describe_environment(dataset, device))
        self._update(device=str(device), source=dataset.source)
        checkpoint = load(self._folder.last) if self._folder.last.exists() else None
        return train(spec, dataset, device, self._tick, self._keep, checkpoint)

    def _keep(self, checkpoint: Checkpoint, is_best: bool) -> None:
        content = checkpoint.to_bytes()
        save(self._folder.last, content)
        if is_best:
            save(self._folder.best, content)

    def _record(self, event: Event) -> None:
        kind = event["event"]
        event = {**event, "time": round(time.time(), 3)}
        if kind == "start":
            event["id"] = self._folder.id
            self._update(
                initial_loss=event["initial_loss"],
                parameters=event["parameters"],
                epochs=event["epochs"],
            )
        elif kind == "epoch":
            point = Point(**{k: _finite(event.get(k)) for k in Point.model_fields})
            best = self._summary.best
            if _better(point, best):
                best = point
            self._update(epochs_done=event["epoch"], last=point, best=best)
        elif kind == "end":
            self._update(status=event["status"], reason=event["reason"])
            event["summary"] = self._summary.model_dump(mode="json")
            self._folder.clear_order()
        self._folder.append(event, durable=kind in ("epoch", "end"))
        self._emit(event)

    def _update(self, **changes: Any) -> None:
        changes["seconds"] = self._seconds_before + time.monotonic() - self._began
        self._summary = self._summary.model_copy(update=changes)
        self._folder.write_summary(self._summary)

    def _tick(self, phase: Phase, epoch: int, done: int, images: int) -> float:
        """Between two batches: beat a few times a second and obey; returns seconds held."""
        now = time.monotonic()
        if now < self._next_beat:
            return 0.0
        self._rate.count(phase, epoch, done, now)
        self._beat(
            phase=phase,
            epoch=epoch,
            images_done=done,
            images=images,
            images_per_second=self._rate.value,
            seconds_left=self._seconds_left(epoch, phase, done, images),
        )
        order = self._folder.read_order()
        if order == "stop":
            raise Stopped
        return self._pause(phase) if order == "pause" else 0.0

    def _pause(self, phase: Phase) -> float:
        began = time.monotonic()
        self._update(status="paused")
        while (order := self._folder.read_order()) == "pause":
            self._beat(phase="paused")
            time.sleep(BEAT)
        if order == "stop":
            raise Stopped
        self._update(status="running")
        self._beat(phase=phase)
        self._rate.forget()
        return time.monotonic() - began

    def _beat(self, **changes: Any) -> None:
        changes["counter"] = self._progress.counter + 1
        self._progress = self._progress.model_copy(update=changes)
        self._folder.write_progress(self._progress)
        self._next_beat = time.monotonic() + BEAT

    def _seconds_left(self, epoch: int, phase: Phase, done: int, images: int) -> float | None:
        if not self._rate.value:
            return None
        left = self._summary.epochs - epoch
        in_epoch = (images - done) if phase == "train" else 0
        per_epoch = self._rate.epoch_seconds or self._rate.images / self._rate.value
        return left * per_epoch + in_epoch / self._rate.value


class _Rate:
    """Training speed over the last seconds, and the length of a whole epoch."""

    def __init__(self) -> None:
        self.value: float | None = None
        self.epoch_seconds: float | None = None
        self.images = 0
        self._epoch = 0
        self._epoch_began = 0.0
        self._mark: tuple[float, int] | None = None

    def count(self, phase: Phase, epoch: int, done: int, now: float) -> None:
        """Take note of one look between two batches."""
        if epoch != self._epoch:
            if epoch == self._epoch + 1 and self._epoch_began:
                self.epoch_seconds = now - self._epoch_began
            self._epoch, self._epoch_began, self._mark = epoch, now, None
        if phase != "train":
            return
        self.images = max(self.images, done)
        if self._mark and now > self._mark[0] and done > self._mark[1]:
            fresh = (done - self._mark[1]) / (now - self._mark[0])
            self.value = fresh if self.value is None else 0.7 * self.value + 0.3 * fresh
        self._mark = (now, done)

    def forget(self) -> None:
        """Begin anew after a pause."""
        self._mark = None
        self._epoch_began = 0.0


def _better(point: Point, best: Point | None) -> bool:
    if point.val_acc is None or point.val_loss is None or point.train_loss is None:
        return False
    return best is None or best.val_acc is None or point.val_acc > best.val_acc


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _explain(error: Exception, spec: RunSpec | None) -> tuple[str, dict[str, str]]:
    if isinstance(error, UserError):
        return str(error), {}
    if isinstance(error, torch.OutOfMemoryError) and spec is not None:
        return (
            f"out of memory with batch_size {spec.batch_size}; try a smaller batch_size "
            "or precision bf16",
            {},
        )
    text = " ".join(str(error).split())[:300]
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return reason, {"traceback": traceback.format_exc()}
