"""The export dialogs: predictions.csv of a run, or of what validates best of several."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from cifar_tui.errors import Tick
from cifar_tui.features.predict.core import check_output, check_outputs, output_path, record_path
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.text import at_epoch, plain
from cifar_tui.tui.jobs import FileDialog, WorkDialog

if TYPE_CHECKING:
    from cifar_tui.features.predict.compute import Ensemble


CHOICES_SHOWN = 8


class PredictionsDialog(FileDialog):
    """What the dialogs have in common: where to, and that each run has a best epoch."""

    WORKING = "Predicting. Esc leaves, and nothing is written."

    def __init__(self, title: str, runs: Sequence[Run], hint: str) -> None:
        super().__init__(title, output_path(None, runs[0].synthetic), hint)
        self._runs = list(runs)
        self._recorded = False
        """Whether a .json file beside the predictions says how they were made."""

    def refusal(self) -> str:
        for run in self._runs:
            if not RunFolder(run.path).best.exists():
                return f"{plain(run.name)} has no best.pt: no epoch was finished."
        return ""

    def checked(self, text: str) -> Path:
        path = output_path(Path(text) if text else None, self._runs[0].synthetic)
        (check_outputs if self._recorded else check_output)(path, overwrite=True)
        return path

    def existing(self, path: Path) -> Path | None:
        there = [path, record_path(path)] if self._recorded else [path]
        return next((one for one in there if one.exists()), None)


class ExportDialog(PredictionsDialog):
    """predictions.csv from a run's best checkpoint; F7 tries flips as well."""

    BINDINGS: ClassVar[list[BindingType]] = [("f7", "flips", "flips")]
    HINTS: ClassVar[dict[bool, str]] = {
        False: "Enter writes the file, F7 tries flips as well, Esc leaves.",
        True: "Enter writes the file, with flips if val_acc is better (F7: without); Esc leaves.",
    }

    def __init__(self, run: Run) -> None:
        best = at_epoch(run.summary.best)
        title = f"Export {plain(run.name)}, best val_acc {best}"
        super().__init__(title, [run], self.HINTS[False])

    def action_flips(self) -> None:
        """Also try the mean over each image and its mirror image, or do not."""
        if self._path.display and not self._path.disabled:
            self._recorded = not self._recorded
            self.tell(self.HINTS[self._recorded])

    def write(self, path: Path, overwrite: bool, tick: Tick) -> str:
        if self._recorded:
            from cifar_tui.features.predict.compute import export_best

            return export_best(self._runs, path, overwrite=overwrite, tick=tick).sentence()
        from cifar_tui.features.predict.compute import export_predictions

        return export_predictions(self._runs[0], path, overwrite=overwrite, tick=tick).sentence()


class EnsembleDialog(PredictionsDialog):
    """predictions.csv of what validates best: one run or all together, with or without flips."""

    def __init__(self, runs: Sequence[Run]) -> None:
        title = f"Export the best of {len(runs)} runs and their ensemble"
        super().__init__(title, runs, "Computing val_acc. Esc leaves.")
        self._heading = title
        self._recorded = True
        self._ensemble: Ensemble | None = None

    def on_mount(self) -> None:
        self._path.display = False
        if not self.refusal():
            self.do(self._weigh, self._weighed)

    def _weigh(self, tick: Tick) -> "Ensemble":
        from cifar_tui.features.predict.compute import Ensemble

        ensemble = Ensemble(self._runs)
        ensemble.weigh(flips=True, tick=tick)
        return ensemble

    def _weighed(self, ensemble: "Ensemble") -> None:
        self._ensemble = ensemble
        lines = ensemble.lines(CHOICES_SHOWN)
        self._title.update("\n".join([self._heading, "", "by val_acc", *lines]))
        self._path.display = True
        self._path.focus()
        self.tell("Enter writes the one marked >, Esc leaves.")

    def write(self, path: Path, overwrite: bool, tick: Tick) -> str:
        from cifar_tui.features.predict.compute import export_choice

        assert self._ensemble is not None
        return export_choice(self._ensemble, path, overwrite=overwrite, tick=tick).told()


class AgreementDialog(WorkDialog):
    """How far two runs agree on validation, and whether one is better than chance."""

    CSS = WorkDialog.CSS + ".dialog { width: 76; }"

    def __init__(self, a: Run, b: Run) -> None:
        super().__init__(f"{plain(a.name)} and {plain(b.name)}", "Predicting. Esc leaves.")
        self._a, self._b = a, b

    def on_mount(self) -> None:
        self.do(self._compare, self._compared)

    def _compare(self, tick: Tick) -> str:
        from cifar_tui.features.predict.compute import agreement

        return "\n".join(agreement(self._a, self._b, "val", tick=tick).lines())

    def _compared(self, outcome: str) -> None:
        self._title.display = False
        self.end(f"{outcome}\n\nEnter closes.")
