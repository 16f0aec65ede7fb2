"""The export dialog: predictions.csv from a run's best checkpoint."""

from pathlib import Path

from cifar_tui.formats import at_epoch, plain
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.runs.predictions import check_output, output_path
from cifar_tui.ui.filedialog import FileDialog, Tick


class ExportDialog(FileDialog):
    """predictions.csv from a run's best checkpoint; Esc closes at any time."""

    WORKING = "Predicting. Esc leaves, and nothing is written."

    def __init__(self, run: Run) -> None:
        best = at_epoch(run.summary.best)
        title = f"Export {plain(run.name)}, best val_acc {best}"
        super().__init__(title, output_path(None, run.synthetic))
        self._run = run

    def refusal(self) -> str:
        """A run without a finished epoch has nothing to predict with."""
        if RunFolder(self._run.path).best.exists():
            return ""
        return f"{plain(self._run.name)} has no best.pt: no epoch was finished."

    def checked(self, text: str) -> Path:
        """The path, by default that for these images."""
        path = output_path(Path(text) if text else None, self._run.synthetic)
        check_output(path, overwrite=True)
        return path

    def write(self, path: Path, overwrite: bool, tick: Tick) -> str:
        """Predict the test split."""
        from cifar_tui.training.export import export_predictions

        return export_predictions(self._run, path, overwrite=overwrite, tick=tick).sentence()
