"""What lies in a run's folder: files, their sizes, and what clearing them would free."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

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
