"""One run's folder: how it is created and what its worker writes into it."""

import contextlib
import errno
import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import ValidationError

from cifar_tui.data.find import lasting
from cifar_tui.errors import UserError
from cifar_tui.files import (
    append_whole,
    hold,
    read_small,
    sweep_folder,
    write_atomic,
    write_json,
)
from cifar_tui.runs.events import RunEvent, to_line
from cifar_tui.runs.ids import new_stamp
from cifar_tui.runs.record import Notes, Progress, Summary
from cifar_tui.spec.checks import SETTINGS, edited, make_spec
from cifar_tui.spec.naming import parse_toml, read_toml, slug, title, to_toml
from cifar_tui.spec.settings import RunSpec
from cifar_tui.text import plain

MIB = 2**20
LARGEST = {
    "spec.toml": MIB,
    "meta.json": 16 * MIB,
    "summary.json": 16 * MIB,
    "notes.json": 16 * MIB,
    "events.jsonl": 64 * MIB,
    "surface.json": 16 * MIB,
    "evaluation-train.json": 64 * MIB,
    "evaluation-val.json": 64 * MIB,
    "evaluation-test.json": 64 * MIB,
    "best.pt": 256 * MIB,
    "last.pt": 256 * MIB,
}
"""The files of a run that an archive holds, and how many bytes each may have."""
LONGEST_ID = 200


Order = Literal["stop", "pause", "go"]
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
        """Make a queued run's folder; raises UserError where none can be made.

        A relative data folder is kept as an absolute one: the run goes on from anywhere.
        """
        spec = spec.model_copy(update={"data": lasting(spec.data)})
        try:
            return cls(_new_folder(runs, f"{new_stamp()}-{slug(title(spec))}", spec))
        except OSError as error:
            raise UserError(
                f"Cannot write a run into {runs}: {error.strerror}; choose another folder "
                "with --runs, or make room."
            ) from None

    def spec(self) -> RunSpec:
        """The settings of this run, from spec.toml."""
        return make_spec(read_toml(self.path / "spec.toml"))

    def settings(self) -> tuple[RunSpec, dict[str, Any]]:
        """The settings of this run, and what its summary keeps of them; raises UserError."""
        path = self.path / "spec.toml"
        try:
            content = read_small(path)
        except (OSError, ValueError) as error:
            raise UserError(f"Cannot read {path}: {plain(str(error))[:200]}.") from None
        spec = make_spec(parse_toml(content, path))
        return spec, kept_settings(spec, content)

    def append(self, event: RunEvent, *, durable: bool = False) -> None:
        """Append one event as one line in one write, or nothing; `durable` waits for the disk."""
        self.append_lines(to_line(event), durable=durable)

    def append_lines(self, lines: bytes, *, durable: bool = False) -> None:
        """Append whole lines of events in one write, or nothing; `durable` waits for the disk."""
        append_whole(self.path / "events.jsonl", lines, durable=durable)

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
        """Ask whoever trains this run to stop, pause or go on; no other order gets lost by it."""
        append_whole(self.path / "control", f"\n{order}\n".encode())

    def read_order(self) -> Order | None:
        """The order in force, if any: a stop until it is obeyed, else the last one given."""
        try:
            words = read_small(self.path / "control").decode(errors="replace").split()
        except (OSError, ValueError):
            return None
        if "stop" in words:
            return "stop"
        last = [word for word in words if word in ("pause", "go")][-1:]
        return cast(Order, last[0]) if last else None

    def clear_order(self) -> None:
        """Forget all orders, so that a resumed run does not obey them again."""
        (self.path / "control").unlink(missing_ok=True)


def kept_settings(spec: RunSpec, content: bytes) -> dict[str, Any]:
    """What a summary keeps of the settings in a spec.toml of this content."""
    return {
        "name": title(spec),
        "epochs": spec.epochs,
        "spec": spec.model_dump(mode="json"),
        "spec_sha256": hashlib.sha256(content).hexdigest(),
    }


def current_settings(path: Path, summary: Summary) -> tuple[RunSpec, Summary, str]:
    """A run's settings as spec.toml has them, its summary with them, and what `edited` says.

    What the summary keeps serves while it is of the same file, and where there is none. Settings of
    other versions are passed over. Raises OSError, ValueError and UserError.
    """
    kept = _kept_spec(summary)
    try:
        content = read_small(f"{path}/spec.toml")
    except FileNotFoundError:
        if kept is None:
            raise
        return kept, summary, ""
    if kept is not None and hashlib.sha256(content).hexdigest() == summary.spec_sha256:
        return kept, summary, ""
    spec = make_spec(_of_this_version(parse_toml(content, path / "spec.toml")))
    now = kept_settings(spec, content)
    if not summary.epochs_done:
        return spec, summary.model_copy(update=now), ""
    changed = edited(kept, spec) if kept is not None and summary.spec_sha256 else ""
    return spec, summary.model_copy(update={"name": now["name"]}), changed


def _kept_spec(summary: Summary) -> RunSpec | None:
    with contextlib.suppress(ValidationError):
        return RunSpec.model_validate(_of_this_version(summary.spec)) if summary.spec else None
    return None


def _of_this_version(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in SETTINGS}


HIDDEN = re.compile(r"\.new-[0-9a-f]{12}")


@contextlib.contextmanager
def hidden_folder(runs: Path) -> Iterator[Path]:
    """A new folder among the runs that no list shows, and that is gone afterwards.

    It is locked meanwhile, so that one that a killed program has left is known as such, and swept.
    """
    runs.mkdir(parents=True, exist_ok=True)
    sweep_folder(runs, HIDDEN, shutil.rmtree)
    while True:
        hidden = runs / f".new-{os.urandom(6).hex()}"
        hidden.mkdir()
        handle = os.open(hidden, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        hold(handle)
        if hidden.exists():
            break
        os.close(handle)  # swept before it was locked
    try:
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        os.close(handle)


def _new_folder(runs: Path, base: str, spec: RunSpec) -> Path:
    """Make the folder under a hidden name and rename it, so that nobody sees it half made."""
    with hidden_folder(runs) as hidden:
        content = to_toml(spec).encode()
        write_atomic(hidden / "spec.toml", content)
        for number in itertools.count(1):
            path = runs / (base if number == 1 else f"{base}-{number}")
            if path.exists():
                continue
            RunFolder(hidden).write_summary(Summary(id=path.name, **kept_settings(spec, content)))
            try:
                return hidden.rename(path)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
        raise AssertionError("there is always a next number")


def is_run_id(name: str) -> bool:
    """Whether a folder may have this name in an archive: on one line, visible, no path."""
    return (
        name.isprintable()
        and not name.startswith(".")
        and 0 < len(name) <= LONGEST_ID
        and not set(name) & set("/\\")
    )
