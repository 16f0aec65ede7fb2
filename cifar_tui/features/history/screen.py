"""The history: all runs in one table, and what can be done with them."""

from textual import on

from cifar_tui.features.compare.screen import CompareScreen
from cifar_tui.features.effects.screen import MatteredScreen
from cifar_tui.features.history.dialog import AnnotateDialog
from cifar_tui.features.history.keeping import KeepScreen
from cifar_tui.features.import_.dialog import ImportDialog
from cifar_tui.features.surface.screen import SurfaceScreen
from cifar_tui.features.weights.screen import WeightsScreen
from cifar_tui.query.view import COLUMNS
from cifar_tui.runs.control import left_behind
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain, runs_text
from cifar_tui.tui.row_table import RowTable

SIDE_BY_SIDE = 4
"""How many runs' weights or loss surfaces are shown at a time."""


class HistoryScreen(KeepScreen):
    """The list of runs with its actions: look, compare, name, queue, and what KeepScreen has."""

    def action_compare(self) -> None:
        """Compare the marked runs; a single one with the cursor's, none a whole group's."""
        runs = self._two_or_more("to compare them")
        if runs:
            self.app.push_screen(CompareScreen([run.id for run in runs]))

    def _two_or_more(self, purpose: str) -> list[Run]:
        """The marked runs; a single one with the cursor's, none a group's; a word if too few."""
        runs = self._marked()
        if len(runs) < 2:
            group = self._group()
            run = None if group else self._chosen()
            if group is not None:
                runs = list(group.runs)
            elif run is None:
                return []
            elif run not in runs:
                runs.append(run)
        if len(runs) < 2:
            self._tell(f"Mark another run with Space {purpose}.")
            return []
        return runs

    def action_save(self) -> None:
        """Save the marked runs, else those shown, in their order and with the columns chosen."""
        from cifar_tui.features.save.dialog import SaveDialog

        places = {key: place for place, key in enumerate(self.query_one(RowTable).keys)}
        runs = sorted(self._marked_or_shown(), key=lambda run: places.get(run.id, len(places)))
        own = self._view.columns != COLUMNS
        chosen = [field.name for field in self._view.shown()] if own else []
        if runs:
            self.app.push_screen(SaveDialog(runs, chosen))

    def action_mattered(self) -> None:
        """Show which settings mattered in the marked runs, else in all that are shown."""
        runs = self._marked_or_shown(least=2)
        if runs:
            self.app.push_screen(MatteredScreen(runs))

    def action_weights(self) -> None:
        """Show the weights of the marked runs, else of the cursor's."""
        runs = self._chosen_few()
        if runs:
            self.app.push_screen(WeightsScreen(runs))

    def action_surface(self) -> None:
        """Show the loss surfaces of the marked runs, else of the cursor's."""
        runs = self._chosen_few()
        if runs:
            self.app.push_screen(SurfaceScreen(runs))

    def _chosen_few(self) -> list[Run]:
        """The marked runs, else the cursor's; none, and a word about it, where they do not fit."""
        if self._marks and self._bin is None:
            runs = [self._found[run_id].run for run_id in self._marks]
        else:
            run = self._chosen()
            runs = [run] if run is not None else []
        if len(runs) > SIDE_BY_SIDE:
            self._tell(f"{len(runs)} runs are marked; up to {SIDE_BY_SIDE} fit side by side.")
            return []
        for one in runs:
            if not RunFolder(one.path).best.exists():
                self._tell(f"{plain(one.name)} has no best.pt: no epoch was finished.")
                return []
        return runs

    # What is done with one run

    @on(RowTable.RowSelected)
    def action_open(self) -> None:
        """Show the run's curves and epochs, or a group's runs."""
        if self._open_group():
            return
        run = self._chosen()
        if run is not None:
            self.cifar.watch_run(run.id)

    def action_info(self) -> None:
        """Show everything about the run, also of one in the trash."""
        from cifar_tui.features.inspect.screen import RunScreen

        run = self._cursor_run()
        if run is not None:
            self.app.push_screen(RunScreen(run))

    def action_export(self) -> None:
        """Write predictions.csv from the best checkpoint."""
        from cifar_tui.features.predict.dialog import ExportDialog

        run = self._chosen()
        if run is not None:
            self.app.push_screen(ExportDialog(run))

    def action_ensemble(self) -> None:
        """Write predictions.csv of what validates best: a marked run, or all of them together."""
        from cifar_tui.features.predict.dialog import EnsembleDialog

        runs = self._two_or_more("to export their ensemble")
        if runs:
            self.app.push_screen(EnsembleDialog(runs))

    def action_agree(self) -> None:
        """Lay the predictions of two marked runs over each other."""
        from cifar_tui.features.predict.dialog import AgreementDialog

        runs = self._two_or_more("to see how far they agree")
        if len(runs) > 2:
            self._tell(f"{len(runs)} runs are marked; = takes two.")
        elif runs:
            self.app.push_screen(AgreementDialog(*runs))

    def action_new_from(self) -> None:
        """Fill the form with the run's settings."""
        run = self._cursor_run()
        if run is not None:
            self.cifar.new_from(run)

    def action_annotate(self) -> None:
        """Edit the run's name, tags and note."""
        run = self._chosen()
        if run is not None:
            self.app.push_screen(AnnotateDialog(run), lambda _: self._read_soon())

    def action_import(self) -> None:
        """Make a run of a checkpoint from elsewhere."""
        dialog = ImportDialog(self.cifar.runs.folder, self.cifar.data)
        self.app.push_screen(dialog, lambda _: self._read_soon())

    def action_resume_left(self) -> None:
        """Queue all runs that a program which ended has left queued."""
        own = self.cifar.worker.own
        left = [run for run in left_behind(self.cifar.runs.all()) if run.id not in own]
        self.cifar.resume(left)
        self._tell(f"{runs_text(len(left))} resumed." if left else "No run was left behind.")

    def action_sooner(self) -> None:
        """Move a queued run forwards in the queue."""
        self._move(-1)

    def action_later(self) -> None:
        """Move a queued run backwards in the queue."""
        self._move(1)

    def _move(self, step: int) -> None:
        run = self._chosen()
        if run is None:
            return
        worker = self.cifar.worker
        if run.id not in worker.queued:
            self._tell(f"{plain(run.name)} does not wait in this program's queue.")
            return
        worker.move(run.id, step)
        place = worker.queued.index(run.id) + 1 if run.id in worker.queued else 0
        self._tell(f"{plain(run.name)} is number {place} of {len(worker.queued)} in the queue.")
