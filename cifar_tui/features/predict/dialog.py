"""The export dialogs: predictions.csv of a run, or of what validates best of several."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input, Static

from cifar_tui.errors import Tick
from cifar_tui.features.predict.core import output_path
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.text import at_epoch, plain
from cifar_tui.tui.dialogs import FormDialog
from cifar_tui.tui.jobs import WorkDialog

if TYPE_CHECKING:
    from cifar_tui.features.predict.compute import Ensemble

CHOICES_SHOWN = 8


class PredictionsDialog(FormDialog[str]):
    """Asks for a file; each run must have a best epoch."""

    HINTS: ClassVar = {"file": "predictions.csv"}
    KEYS = "Enter applies   Esc cancels"
    WORKING = "Predicting ..."

    def __init__(self, title: str, runs: Sequence[Run]) -> None:
        self._runs = list(runs)
        super().__init__(title, {"file": str(output_path(None, runs[0].synthetic))})

    def on_mount(self) -> None:
        for run in self._runs:
            if not RunFolder(run.path).best.exists():
                self.end(f"{plain(run.name)} has no best.pt: no epoch was finished.")
                return
        self.begin()

    def begin(self) -> None:
        """What is done before the file is asked for."""

    def accept(self, result: str) -> None:
        self.end(result, result)


class ExportDialog(PredictionsDialog):
    """predictions.csv from a run's best checkpoint; F7 tries flips as well."""

    BINDINGS: ClassVar[list[BindingType]] = [("f7", "flips", "flips")]
    FLIPS: ClassVar = {
        False: "F7 tries flips as well.",
        True: "Written with flips if val_acc is better (F7: without).",
    }

    def __init__(self, run: Run) -> None:
        best = at_epoch(run.summary.best)
        super().__init__(f"Export {plain(run.name)}, best val_acc {best}", [run])
        self._flips = False
        self._flips_text = Static(self.FLIPS[False], classes="hint", markup=False)

    def below(self) -> Iterable[Widget]:
        yield self._flips_text

    def action_flips(self) -> None:
        """Also try the mean over each image and its mirror image, or do not."""
        if self.ready:
            self._flips = not self._flips
            self._flips_text.update(self.FLIPS[self._flips])

    def submit(self, texts: Mapping[str, str], tick: Tick) -> str:
        from cifar_tui.features.predict.compute import export_best, export_predictions

        path, run = _path(texts), self._runs[0]
        if self._flips:
            return export_best([run], path, overwrite=self.overwrite, tick=tick).sentence()
        return export_predictions(run, path, overwrite=self.overwrite, tick=tick).sentence()


class EnsembleDialog(PredictionsDialog):
    """predictions.csv of what validates best: one run or all together, with or without flips."""

    def __init__(self, runs: Sequence[Run]) -> None:
        super().__init__(f"Export the best of {len(runs)} runs and their ensemble", runs)
        self._ensemble: Ensemble | None = None
        self._choices = Static("by val_acc", markup=False)

    def above(self) -> Iterable[Widget]:
        yield self._choices

    def begin(self) -> None:
        self.query_one(".field").display = False
        self.do(self._weigh, self._weighed)

    def _weigh(self, tick: Tick) -> "Ensemble":
        from cifar_tui.features.predict.compute import Ensemble

        ensemble = Ensemble(self._runs)
        ensemble.weigh(flips=True, tick=tick)
        return ensemble

    def _weighed(self, ensemble: "Ensemble") -> None:
        self._ensemble = ensemble
        lines = ensemble.lines(CHOICES_SHOWN)
        self._choices.update("\n".join(["by val_acc; > is what is written", *lines, ""]))
        self.query_one(".field").display = True
        self.query_one(Input).focus()
        self.tell("")

    def refuse(self, sentence: str) -> None:
        if self._ensemble is None:
            self.end(sentence)
        else:
            super().refuse(sentence)

    def submit(self, texts: Mapping[str, str], tick: Tick) -> str:
        from cifar_tui.features.predict.compute import export_choice

        assert self._ensemble is not None
        path = output_path(_path(texts), self._runs[0].synthetic)
        return export_choice(self._ensemble, path, overwrite=self.overwrite, tick=tick).told()


def _path(texts: Mapping[str, str]) -> Path | None:
    return Path(texts["file"]) if texts["file"] else None


class AgreementDialog(WorkDialog):
    """How far two runs agree on validation, and whether one is better than chance."""

    def __init__(self, a: Run, b: Run) -> None:
        super().__init__(f"{plain(a.name)} and {plain(b.name)}", "Predicting. Esc cancels.")
        self._a, self._b = a, b

    def on_mount(self) -> None:
        self.do(self._compare, self._compared)

    def _compare(self, tick: Tick) -> str:
        from cifar_tui.features.predict.compute import agreement

        return "\n".join(agreement(self._a, self._b, "val", tick=tick).lines())

    def _compared(self, outcome: str) -> None:
        self._title.display = False
        self.end(f"{outcome}\n\nEnter closes.")
