"""What runs take on the disk, file by file, and how it is given back."""

import contextlib
import os
import shutil
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.files import open_regular
from cifar_tui.locks import Lock
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.ids import TRASH
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.runs.record import ENDED
from cifar_tui.text import runs_text

PURPOSE = {
    "best.pt": "weights of the best epoch",
    "last.pt": "weights to resume with",
    "spec.toml": "the settings",
    "meta.json": "versions, host, git, data",
    "events.jsonl": "what happened, epoch by epoch",
    "summary.json": "what lists show",
    "progress.json": "where it is inside its epoch",
    "notes.json": "your name, tags and note",
    "control": "orders: stop, pause or go",
    "lock": "who trains it",
    "surface.json": "a slice of the loss surface",
    "evaluation-val.json": "the net's answers on val",
    "evaluation-train.json": "the net's answers on train",
    "evaluation-test.json": "the net's answers on test",
}


@dataclass(frozen=True)
class Content:
    """One file of a run's folder: its size in bytes and when it was last written."""

    name: str
    size: int
    written: float

    @property
    def purpose(self) -> str:
        """What it is there for; empty for a stranger's file."""
        return PURPOSE.get(self.name, "")


def contents(run: Path) -> list[Content]:
    """The regular files of a run's folder, the largest first; links are not followed."""
    found = []
    try:
        with os.scandir(run) as entries:
            for entry in entries:
                state = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(state.st_mode):
                    found.append(Content(entry.name, state.st_size, state.st_mtime))
    except OSError:  # the folder, or a file in it, went away meanwhile
        pass
    return sorted(found, key=lambda content: (-content.size, content.name))


def total(files: list[Content]) -> int:
    """Bytes of all of them."""
    return sum(file.size for file in files)


def size_text(size: int) -> str:
    """Bytes in three digits or so: `950 B`, `663 kB`, `1.2 MB`."""
    if size < 1000:
        return f"{size} B"
    if size < 999_500:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e6:,.1f} MB"


def size_of(path: Path) -> int:
    """Bytes of the regular files in a folder; links are not followed, what vanishes counts 0."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(folder, name))
                total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total


def spare(run: Run) -> int:
    """Bytes that keeping only best.pt would free; raises UserError where it cannot be done.

    last.pt may go once the run has ended and best.pt is whole: resuming is all it is for.
    """
    if run.status not in ENDED:
        raise UserError(f"{run.name} is {run.status}; only runs that have ended can spare last.pt.")
    folder = RunFolder(run.path)
    if not os.path.lexists(folder.last):
        return 0
    if not _is_whole(folder.best):
        raise UserError(f"{run.name} has no whole best.pt; its last.pt is kept.")
    return folder.last.lstat().st_size


def keep_best(run: Run) -> int:
    """Remove last.pt, and what a killed worker left half-written; returns the bytes freed.

    The run can still be listed, compared and exported, but no longer resumed. Raises UserError.
    """
    spare(run)
    folder = RunFolder(run.path)
    try:
        with Lock(run.path / "lock") as mine:
            if not mine.take():
                raise UserError(f"{run.name} is in training; its last.pt is kept.")
            before = size_of(run.path)
            folder.sweep()
            folder.last.unlink(missing_ok=True)
            return before - size_of(run.path)
    except OSError as error:
        raise UserError(f"Cannot remove {folder.last}: {error.strerror}.") from None


def _is_whole(path: Path) -> bool:
    """Whether a checkpoint is a file of its own whose checksums are right."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return not path.is_symlink() and archive.testzip() is None
    except Exception:  # whatever a damaged file makes zipfile raise
        return False


@dataclass(frozen=True)
class Emptied:
    """What emptying the trash came to: names removed, bytes freed, and why something is left."""

    removed: tuple[str, ...]
    bytes: int
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        removed, problems = list(self.removed), list(self.problems)
        return {"removed": removed, "bytes": self.bytes, "problems": problems}

    def sentence(self) -> str:
        """The same for people."""
        done = f"{runs_text(len(self.removed))} removed, {size_text(self.bytes)} freed."
        return " ".join([done, *self.problems])


def empty_trash(folder: Path) -> Emptied:
    """Remove what lies in the trash of these runs for good; links in it go, never their targets.

    A run that some process still trains is left. Raises UserError where the trash is a link.
    """
    trash = folder / TRASH
    if not os.path.lexists(trash):
        return Emptied((), 0, ())
    try:
        handle = os.open(trash, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        link = trash.is_symlink()
        reason = "it is a link, which is not followed" if link else error.strerror
        raise UserError(f"Cannot empty {trash}: {reason}.") from None
    try:
        return _emptied(trash, handle)
    finally:
        os.close(handle)


def _emptied(trash: Path, handle: int) -> Emptied:
    """Remove all entries of the open folder that no process trains."""
    busy = {run.id for run in Runs(trash).all() if run.status in ("running", "paused")}
    removed, freed, problems = [], 0, []
    with os.scandir(handle) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in sorted(found):
        if name in busy:
            problems.append(f"{name} is in training and stays.")
            continue
        size = size_of(trash / name) if is_folder else 0
        try:
            if is_folder:
                shutil.rmtree(name, dir_fd=handle)
            else:
                os.unlink(name, dir_fd=handle)
        except OSError as error:
            problems.append(f"Cannot remove {name}: {error.strerror}.")
            continue
        removed.append(name)
        freed += size
    return Emptied(tuple(removed), freed, tuple(problems))
