"""The dialog that makes a run of a notebook's checkpoint, or brings in an archive of runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from cifar_tui.errors import Tick, UserError
from cifar_tui.features.archive.core import brought_in_text, is_archive, unarchive
from cifar_tui.tui.dialogs import FormDialog


class ImportDialog(FormDialog[str]):
    """Asks for the file and what weights do not show; an archive needs no more than the file."""

    HINTS: ClassVar = {
        "file": "a .pth or .pt file, or an archive of runs",
        "name": "the file's name",
        "data": "folder with the images, or demo",
        "activation": "relu; weights do not show whether it was swish",
        "shortcut": "A; weights do not show whether a ResNet had none",
    }
    WORKING = "Importing ..."
    FAILED = "The import failed"

    def __init__(self, runs: Path, data: str) -> None:
        super().__init__("Import a checkpoint as a run, or an archive of runs", {"data": data})
        self._runs = runs

    def submit(self, texts: Mapping[str, str], tick: Tick) -> str:
        given = {name: text for name, text in texts.items() if text}
        if "file" not in given:
            raise UserError("file must be the path of a checkpoint or of an archive.")
        file = Path(given.pop("file"))
        if is_archive(file):
            self.unit = "bytes"
            return brought_in_text(unarchive(file, self._runs, tick))
        from cifar_tui.features.import_.compute import import_checkpoint

        self.unit = "images"
        return import_checkpoint(file, self._runs, given, tick).sentence()

    def accept(self, result: str) -> None:
        self.end(result, result)
