"""One run's folder: how it is created and what its worker writes into it."""

import contextlib
import errno
import itertools
import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from cifar_tui.errors import UserError
from cifar_tui.runs.files import dump_json, finite, read_small, write_atomic, write_json
from cifar_tui.runs.record import Notes, Progress, Summary
from cifar_tui.settings import make_spec
from cifar_tui.spec import RunSpec
from cifar_tui.wording import read_toml, slug, title, to_toml

Order = Literal["stop", "pause", "go"]
RUNS = Path("saved_model")
"""Where runs are kept unless another folder is named."""
TRASH = ".trash"
WORKERS_OWN = ("best.pt", "last.pt", "summary.json", "progress.json", "meta.json")
"""What the worker replaces in one step."""


class RunFolder:
    """Paths and writes of one run; readers use `runs.listing`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.best = path / "best.pt"
        self.last = path / "last.pt"

    @classmethod
    def create(cls, runs: Path, spec: RunSpec) -> "RunFolder":
        """Make a queued run's folder; raises UserError where none can be made."""
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
        try:
            runs.mkdir(parents=True, exist_ok=True)
            return cls(_new_folder(runs, f"{stamp}-{slug(title(spec))}", spec))
        except OSError as error:
            raise UserError(
                f"Cannot write a run into {runs}: {error.strerror}; choose another folder "
                "with --runs, or make room."
            ) from None

    def spec(self) -> RunSpec:
        """The settings of this run, from spec.toml."""
        return make_spec(read_toml(self.path / "spec.toml"))

    def append(self, event: dict[str, Any], *, durable: bool = False) -> None:
        """Append one event as one line in one write, or nothing; `durable` waits for the disk."""
        self.append_lines(dump_json(finite(event)), durable=durable)

    def append_lines(self, lines: bytes, *, durable: bool = False) -> None:
        """Append whole lines of events in one write, or nothing; `durable` waits for the disk."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(self.path / "events.jsonl", flags, 0o644)
        try:
            size = os.fstat(handle).st_size
            if os.write(handle, lines) != len(lines):
                os.ftruncate(handle, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)

    def mend_events(self) -> None:
        """End a line that a crash left half-written, so that the next event gets its own."""
        path = self.path / "events.jsonl"
        if path.is_file() and not path.is_symlink() and path.stat().st_size:
            with path.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")

    def sweep(self) -> None:
        """Remove what a killed worker left half-written; only for who holds the run's lock."""
        for name in WORKERS_OWN:
            for left in self.path.glob(f".{name}.*"):
                with contextlib.suppress(OSError):
                    left.unlink()

    def write_summary(self, summary: Summary) -> None:
        """Replace summary.json."""
        write_json(self.path / "summary.json", summary.model_dump(mode="json"))

    def write_progress(self, progress: Progress) -> None:
        """Replace progress.json, the heartbeat; not worth waiting for the disk."""
        write_json(self.path / "progress.json", progress.model_dump(mode="json"), durable=False)

    def write_meta(self, meta: dict[str, Any]) -> None:
        """Replace meta.json: versions, host, device, argv, git and data set."""
        write_json(self.path / "meta.json", meta)

    def write_notes(self, notes: Notes) -> None:
        """Replace notes.json, what the user says of the run."""
        write_json(self.path / "notes.json", notes.model_dump(mode="json"))

    def write_order(self, order: Order) -> None:
        """Ask whoever trains this run to stop, pause or go on."""
        write_atomic(self.path / "control", order.encode(), durable=False)

    def read_order(self) -> Order | None:
        """The last order given, or None."""
        try:
            word = read_small(self.path / "control").decode(errors="replace").strip()
        except (OSError, ValueError):
            return None
        for order in ("stop", "pause", "go"):
            if word == order:
                return order
        return None

    def clear_order(self) -> None:
        """Forget the last order, so that a resumed run does not obey it again."""
        (self.path / "control").unlink(missing_ok=True)


def _new_folder(runs: Path, base: str, spec: RunSpec) -> Path:
    """Make the folder under a hidden name and rename it, so that nobody sees it half made."""
    hidden = runs / f".new-{os.urandom(6).hex()}"
    hidden.mkdir()
    try:
        write_atomic(hidden / "spec.toml", to_toml(spec).encode())
        for number in itertools.count(1):
            path = runs / (base if number == 1 else f"{base}-{number}")
            if path.exists():
                continue
            summary = Summary(
                id=path.name,
                name=title(spec),
                epochs=spec.epochs,
                spec=spec.model_dump(mode="json"),
            )
            RunFolder(hidden).write_summary(summary)
            try:
                return hidden.rename(path)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
        raise AssertionError("there is always a next number")
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
