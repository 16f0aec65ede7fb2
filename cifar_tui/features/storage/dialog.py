"""The dialog that writes runs into one file."""

from collections.abc import Sequence
from pathlib import Path

from cifar_tui.errors import Tick, UserError
from cifar_tui.features.storage.core import (
    archive_path,
    archive_runs,
    archived_text,
    check_archive,
    require_ended,
)
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain, runs_text
from cifar_tui.tui.jobs import FileDialog


class ArchiveDialog(FileDialog):
    """One .zip of some runs."""

    WORKING = "Archiving. Esc leaves, and nothing is written."

    def __init__(self, runs: Sequence[Run]) -> None:
        what = plain(runs[0].name) if len(runs) == 1 else runs_text(len(runs))
        super().__init__(f"Archive {what} as .zip", archive_path(None, runs))
        self._runs = list(runs)

    def refusal(self) -> str:
        try:
            for run in self._runs:
                require_ended(run)
        except UserError as error:
            return plain(str(error))
        return ""

    def checked(self, text: str) -> Path:
        path = archive_path(Path(text) if text else None, self._runs)
        check_archive(path, overwrite=True)
        return path

    def write(self, path: Path, overwrite: bool, tick: Tick) -> str:
        size = archive_runs(self._runs, path, overwrite=overwrite, tick=tick)
        told = archived_text(self._runs, path, size)
        return f"{told}\nI in History, or `cifar-tui runs unarchive FILE`, brings it in."
