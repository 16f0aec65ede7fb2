"""Reads run folders: one run, the list of runs, the run that a person means."""

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cifar_tui.errors import UserError
from cifar_tui.files import MAX_RECORD_BYTES, LineReader, read_json
from cifar_tui.locks import Lock, is_held
from cifar_tui.runs.events import EpochDone, Resumed, RunEvent, Started, epochs_of, read_new
from cifar_tui.runs.folder import current_settings
from cifar_tui.runs.ids import TRASH, ids_in
from cifar_tui.runs.liveness import Liveness
from cifar_tui.runs.notes import read_notes
from cifar_tui.runs.record import ENDED, Notes, Progress, Status, Summary
from cifar_tui.spec.checks import changed
from cifar_tui.spec.settings import RunSpec
from cifar_tui.text import loss, plain

LEFT = "in a process that is gone; resume it to train it"
"""Why a run waits whose queue ended before its turn."""


@dataclass(frozen=True)
class Run:
    """One run as its folder shows it; `problem` says why a folder could not be read."""

    path: Path
    summary: Summary
    notes: Notes = field(default_factory=Notes)
    spec: RunSpec | None = None
    progress: Progress | None = None
    problem: str = ""
    left_behind: bool = False
    """Queued in a process that is gone."""
    edited: str = ""
    """Which settings were changed in spec.toml after epochs had been trained with others."""

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def name(self) -> str:
        """The user's name for it, else the one it was started with."""
        return self.notes.name or self.summary.name or plain(self.id)

    @property
    def tags(self) -> tuple[str, ...]:
        """The user's tags, else those it was started with."""
        if self.notes.tags is not None:
            return self.notes.tags
        return self.spec.tags if self.spec else ()

    @property
    def status(self) -> str:
        """One of the status words, or `unreadable`."""
        return "unreadable" if self.problem else self.summary.status

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.status in ENDED or self.status == "unreadable"

    @property
    def synthetic(self) -> bool:
        """Whether its images were the demo set's."""
        return self.summary.source == "demo"

    @property
    def changed(self) -> dict[str, Any]:
        """The settings that are known and differ from their defaults."""
        found = changed(self.spec) if self.spec else {}
        return {name: v for name, v in found.items() if name not in self.summary.unknown}

    @property
    def remarks(self) -> dict[str, str]:
        """What there is to say of it beside figures and settings, by a short label, for people."""
        first = self.summary.initial_loss
        before = "" if first is None else f"{loss(first)} before training (ln 10 = 2.3026)"
        told = {"loss": before, "edited": self.edited, "tags": ", ".join(self.tags)}
        return {label: text for label, text in {**told, "note": self.notes.note}.items() if text}

    @property
    def best_val_acc(self) -> float:
        """Best validation accuracy so far, or -1 before the first epoch."""
        best = self.summary.best
        return -1.0 if best is None or best.val_acc is None else best.val_acc

    def to_dict(self) -> dict[str, Any]:
        """summary.json's fields with the user's notes and the spec, for programs."""
        found = self.summary.model_dump(mode="json")
        found |= {"id": self.id, "name": self.name, "status": self.status}
        found |= {"tags": list(self.tags), "note": self.notes.note, "pinned": self.notes.pinned}
        found["synthetic"] = self.synthetic
        if self.spec is not None:
            found["spec"] = self.spec.model_dump(mode="json")
        if self.edited:
            found["edited"] = self.edited
        found["path"] = str(self.path)
        if self.problem:
            found["problem"] = self.problem
        return found


class Runs:
    """The runs under one folder; rereads only what changed since the last look."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reading = threading.Lock()
        """Two threads that look at all runs at once would each do the other's work."""
        self._known: dict[str, tuple[tuple[int, ...], Run]] = {}
        self._liveness = Liveness(folder)

    def all(self) -> list[Run]:
        """Every run, oldest first; unreadable ones too, none of them hiding another."""
        with self._reading:
            names = self._ids()
            found = [self._read(self.folder / name) for name in names]
            kept = set(names)
            self._known = {n: known for n, known in list(self._known.items()) if n in kept}
        return [self._with_liveness(run) for run in found]

    def newest(self, count: int) -> list[Run]:
        """Up to `count` of the latest runs, oldest first, without a look at all of them."""
        return [self.get(name) for name in self._ids()[-count:]]

    def _ids(self) -> list[str]:
        try:
            return ids_in(self.folder)
        except OSError as error:
            raise UserError(f"Cannot read the runs in {self.folder}: {error.strerror}.") from None

    def get(self, run_id: str) -> Run:
        """One run by its exact id."""
        return self._with_liveness(self._read(self.folder / run_id))

    def find(self, wanted: str) -> Run:
        """The run meant by an id, unique prefix, name, `last` or `best`; else UserError."""
        return find_run(self.all(), wanted, self.folder)

    def find_each(self, wanted: Iterable[str]) -> list[Run]:
        """The runs meant by these words, each once; raises UserError as `find` does."""
        known = self.all()
        found = (find_run(known, word, self.folder) for word in wanted)
        return list({run.id: run for run in found}.values())

    def trashed(self) -> list[Run]:
        """The runs in the trash, oldest first."""
        return Runs(self.folder / TRASH).all()

    def delete(self, run: Run) -> Path:
        """Move an ended run to the trash."""
        if not run.ended and run.status not in ("queued", "stale"):
            raise UserError(f"{run.name} is {run.status}; stop it before deleting it.")
        trash = self.folder / TRASH
        try:
            trash.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"Cannot make the trash {trash}: {error.strerror}.") from None
        return _move(run.path, trash / run.id)

    def restore(self, run: Run) -> Path:
        """Move a run from the trash back."""
        return _move(run.path, self.folder / run.id)

    def _read(self, path: Path) -> Run:
        stamp = _stamp(path)
        known = self._known.get(path.name)
        if known and known[0] == stamp:
            return known[1]
        run = read_run(path)
        self._known[path.name] = (stamp, run)
        return run

    def _with_liveness(self, run: Run) -> Run:
        if run.problem or run.summary.status in ENDED:
            return run
        progress = read_progress(run.path)
        if run.summary.status == "queued":
            waits = progress is not None and not self._liveness.is_left(run.id, progress)
            run = replace(run, progress=progress, left_behind=not waits)
            return run if waits else _as(run, "queued", LEFT)
        if progress is None:  # damaged; a stopped process writes it no more, and holds its lock
            return run if is_held(run.path / "lock") else _as(run, "crashed")
        run = replace(run, progress=progress)
        lost = self._liveness.lost(run.id, progress)
        if lost:
            again = read_run(run.path)  # it may just have ended
            return again if again.summary.status in ENDED else _as(run, lost)
        refused = plain(Lock(run.path / "lock").word())
        return _as(run, "paused", refused) if refused else run


def _as(run: Run, status: Status, reason: str = "") -> Run:
    changes = {"status": status} | ({"reason": reason} if reason else {})
    return replace(run, summary=run.summary.model_copy(update=changes))


def _stamp(path: Path) -> tuple[int, ...]:
    stamp: list[int] = []
    for name in ("summary.json", "notes.json", "spec.toml"):
        try:
            stat = os.stat(f"{path}/{name}")
            stamp += [stat.st_mtime_ns, stat.st_size, stat.st_ino]
        except OSError:
            stamp += [0, 0, 0]
    return tuple(stamp)


def _move(source: Path, target: Path) -> Path:
    if target.exists():
        raise UserError(f"{target} is in the way; move it first.")
    try:
        source.rename(target)
    except OSError as error:
        raise UserError(f"Cannot move {source.name} to {target}: {error.strerror}.") from None
    return target


def read_run(path: Path) -> Run:
    """Read one folder as it is; what cannot be read is said in `problem`."""
    try:
        summary = Summary.model_validate(
            {**read_json(f"{path}/summary.json", MAX_RECORD_BYTES), "id": plain(path.name)}
        )
        spec, summary, edited = current_settings(path, summary)
        return Run(path, summary, read_notes(path), spec, edited=edited)
    except FileNotFoundError as error:
        problem = f"{Path(error.filename or '').name} is missing"
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        problem = f"summary.json has a wrong value for {where or 'the settings'}"
    except (OSError, ValueError, UserError) as error:
        problem = " ".join(str(error).split())[:200]
    except (MemoryError, RecursionError):
        problem = "reading it takes more memory than there is"
    return Run(path, Summary(id=plain(path.name)), problem=plain(problem))


def read_progress(path: Path) -> Progress | None:
    """Where the run is inside its epoch, or None."""
    try:
        return Progress.model_validate(read_json(path / "progress.json", MAX_RECORD_BYTES))
    except (OSError, ValueError):
        return None


def read_meta(path: Path) -> dict[str, Any]:
    """Versions, host, device, argv, git and data set; empty when unreadable."""
    try:
        return read_json(path / "meta.json", MAX_RECORD_BYTES)
    except (OSError, ValueError):
        return {}


def best_run(runs: list[Run]) -> Run | None:
    """The run with the highest best val_acc; demo runs count only where there are no others."""
    trained = [r for r in runs if r.best_val_acc >= 0]
    real = [r for r in trained if not r.synthetic]
    return max(real or trained, key=lambda r: r.best_val_acc, default=None)


def find_run(runs: list[Run], wanted: str, folder: Path) -> Run:
    """The run meant by `wanted`; raises UserError when none or several are.

    `last` and `best` are always these words: a folder of that name is meant by `./last`.
    """
    if not wanted.strip():
        raise UserError("A run is named by its id, a part it begins with, its name, last or best.")
    if not runs:
        raise UserError(f"There are no runs in {folder}; `cifar-tui train` makes one.")
    if wanted == "last":
        return runs[-1]
    if wanted == "best":
        best = best_run(runs)
        if best is None:
            raise UserError(f"No run in {folder} has finished an epoch yet.")
        return best
    for run in runs:
        if run.id == wanted.removeprefix("./"):
            return run
    matches = [r for r in runs if r.name == wanted] or [r for r in runs if r.id.startswith(wanted)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        some = ", ".join(r.id for r in matches[-3:])
        raise UserError(f"'{wanted}' means {len(matches)} runs; use one of their ids: {some}.")
    raise UserError(
        f"There is no run '{wanted}' in {folder}; `cifar-tui runs list` shows them, "
        "and `last` or `best` always name one."
    )


def labelled(runs: Sequence[Run]) -> list[str]:
    """A title for each of several runs shown side by side, with a letter to refer to it by."""
    letters = [f"{chr(ord('A') + i)} " for i in range(len(runs))] if len(runs) > 1 else [""]
    return [
        f"{letter}{plain(run.name)}{' (synthetic)' if run.synthetic else ''}"
        for letter, run in zip(letters, runs, strict=True)
    ]


@dataclass(frozen=True)
class Look:
    """What one look at a run shows: its state, the new events, and all epochs so far."""

    run: Run
    events: list[RunEvent]
    epochs: list[EpochDone]
    progress: Progress | None


class Follower:
    """Looks at one run again and again, reading only what was added."""

    def __init__(self, runs: Runs, run_id: str) -> None:
        self.run_id = run_id
        self._runs = runs
        self._lines = LineReader(runs.folder / run_id / "events.jsonl")
        self._epochs: list[EpochDone] = []

    def look(self) -> Look:
        """Read the run's state first and its events after, so that an ended run is complete."""
        run = self._runs.get(self.run_id)
        events = list(read_new(self._lines))
        if any(isinstance(event, EpochDone | Started | Resumed) for event in events):
            self._epochs = epochs_of(events, self._epochs)
        return Look(run, events, self._epochs, run.progress or read_progress(run.path))
