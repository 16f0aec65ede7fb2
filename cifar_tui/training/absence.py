"""Folders that are missing: one that was renamed may come back soon, one that was removed not."""

import time
from collections.abc import Callable
from pathlib import Path

from cifar_tui.training.faults import Gone

GRACE = 60.0
"""Seconds for which a folder may be missing until its run is given up."""
TRY_AGAIN = 1.0
"""Seconds between two looks at a folder that is missing, or refuses to be written."""
_missing: dict[Path, float] = {}
"""Since when folders of runs have been missing, for all runs of a queue that were in them."""


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


class Absence:
    """Since when the folder of a run has been missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._since: float | None = None

    def over(self) -> None:
        """The folder is there."""
        self._since = None

    def note(self) -> None:
        """A file could not be made in it; raises Gone once it has itself been missing for long."""
        try:
            self._folder.stat()
        except FileNotFoundError:
            now = time.monotonic()
            self._since = self._since or now
            if now - self._since >= GRACE:
                raise gone(self._folder) from None
        except OSError:
            pass


def gone(folder: Path) -> Gone:
    """What ends a run whose folder was removed."""
    return Gone(f"{folder} was removed, and its run has ended with it")
