"""The ids of runs: folders whose names begin with the time at which each was created."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

RUNS = Path("saved_model")
"""Where runs are kept unless another folder is named."""
TRASH = ".trash"


STAMP = re.compile(r"([0-9]{8}-[0-9]{6})(?![0-9])(?:-[0-9]{6}(Z)-)?")
IN_UTC = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{6}Z-")
"""How an id begins that sorts by its time as it stands."""


def new_stamp() -> str:
    """What the id of a run begins with that is created now: the time in UTC, to a microsecond."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%fZ")


def created_after(run_id: str, stamp: str) -> bool:
    """Whether the run was created after that moment, as `new_stamp` wrote it; False if unknown."""
    found = STAMP.match(run_id)
    return bool(found and found[2]) and run_id > stamp


def started_at(run_id: str) -> datetime | None:
    """When the run was created, in local time, read from its id; None for a foreign id.

    Ids without a Z behind their microseconds have the local time of where they are read.
    """
    found = STAMP.match(run_id)
    if found is None:
        return None
    try:
        then = datetime.strptime(found[1], "%Y%m%d-%H%M%S")
        return (then.replace(tzinfo=UTC) if found[2] else then).astimezone()
    except (ValueError, OverflowError):
        return None


def by_time(run_id: str) -> tuple[float, str]:
    """A key that sorts ids by when their runs were created, whatever clock; foreign ids first."""
    started = started_at(run_id)
    return (started.timestamp() if started else 0.0, run_id)


def ids_in(folder: Path) -> list[str]:
    """The ids of all runs in a folder, oldest first, without a look into any; raises OSError."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name[0] != "." and _is_folder(entry)]
            return sorted(names, key=None if all(map(IN_UTC.match, names)) else by_time)
    except FileNotFoundError:
        return []


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
