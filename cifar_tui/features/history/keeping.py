"""Keep and clear: what History does with the marked runs, else with the cursor's."""

from collections.abc import Callable, Sequence

from textual import work

from cifar_tui.errors import UserError
from cifar_tui.features.history.finding import FindingScreen
from cifar_tui.runs.control import requeue
from cifar_tui.runs.disk import empty_trash, keep_best, size_of, size_text, spare
from cifar_tui.runs.listing import Run
from cifar_tui.runs.notes import annotate
from cifar_tui.text import plain, runs_text
from cifar_tui.tui.dialogs import Ask

BUSY = ("running", "paused")


class KeepScreen(FindingScreen):
    """The list of runs with what keeps and clears them."""

    def _marked(self) -> list[Run]:
        """The marked runs; none while the trash is shown."""
        ids = self._marks if self._bin is None else []
        return [self._found[run_id].run for run_id in ids if run_id in self._found]

    def _picked(self) -> list[Run]:
        """The marked runs, else the cursor's or its group's; none, and a word, in the trash."""
        group = self._group()
        if self._marked() or group:
            return self._marked() or list(group.runs if group else ())
        run = self._chosen()
        return [] if run is None else [run]

    def _ask(self, question: str, yes: str, then: Callable[[], object]) -> None:
        def answered(sure: bool | None) -> None:
            if sure:
                then()

        self.app.push_screen(Ask(question, yes=yes), answered)

    @work(thread=True)
    def _do_each(self, runs: Sequence[Run], do: Callable[[Run], object], done: str) -> None:
        """Do something with each run in a thread; say with how many, and what went wrong first."""
        problems = []
        for run in runs:
            try:
                do(run)
            except UserError as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"Cannot change {run.name}: {error.strerror}.")
        self.app.call_from_thread(self._told, len(runs) - len(problems), problems, done)

    def _told(self, count: int, problems: list[str], done: str) -> None:
        if problems:
            more = f" ({len(problems) - 1} more such)" if len(problems) > 1 else ""
            self.cifar.complain(UserError(f"{problems[0]}{more}"))
        if count:
            self._tell(f"{runs_text(count)} {done}.")
        self._read_soon()

    # Pin, resume

    def action_pin(self) -> None:
        """Pin the runs, or take their pins away when all have one."""
        runs = self._picked()
        if runs:
            pinned = not all(run.notes.pinned for run in runs)
            done = "pinned" if pinned else "no longer pinned"
            self._do_each(runs, lambda run: annotate(run.path, pinned=pinned), done)

    def action_resume(self) -> None:
        """Queue the runs again, to go on from their last whole epochs."""
        runs = self._picked()
        if len(runs) == 1:
            with self._complaining():
                self._resume(runs[0])
                done, epochs = runs[0].summary.epochs_done, runs[0].summary.epochs
                name = plain(runs[0].name)
                self._tell(f"{name} is queued and goes on after epoch {done} of {epochs}.")
        elif runs:
            self._do_each(runs, self._resume, "queued to go on")

    def _resume(self, run: Run) -> None:
        worker = self.cifar.worker
        if run.id in worker.own:
            raise UserError(f"{run.name} is in the queue already.")
        worker.add(requeue(self.cifar.runs.get(run.id)))

    # The trash

    def action_trash(self) -> None:
        """Move the runs to the trash, after asking; a run in training is refused at once."""
        runs = self._picked()
        if len(runs) == 1:
            self._trash_one(runs[0])
        elif runs:
            self._measure(runs, self._trash_marked)

    def _trash_one(self, run: Run) -> None:
        if run.status in BUSY:
            with self._complaining():
                self._delete(run)
            return
        pinned = "It is pinned. " if run.notes.pinned else ""
        space = size_text(size_of(run.path))
        question = f"Move {plain(run.name)} ({space}) to the trash? {pinned}t, z restores it."

        def delete() -> None:
            with self._complaining():
                self._delete(run)

        self._ask(question, "move to the trash", delete)

    @work(thread=True)
    def _measure(self, runs: list[Run], then: Callable[[list[Run], dict[str, int]], None]) -> None:
        """Measure the runs in a thread: there may be many, and their folders far away."""
        sizes = {run.id: size_of(run.path) for run in runs}
        self.app.call_from_thread(then, runs, sizes)

    def _trash_marked(self, runs: list[Run], sizes: dict[str, int]) -> None:
        """Ask once for all marked runs; the pinned ones and those in training stay."""
        busy = [run for run in runs if run.status in BUSY]
        pinned = [run for run in runs if run.notes.pinned and run not in busy]
        wanted = [run for run in runs if run not in busy and run not in pinned]
        counts = ((len(busy), "in training"), (len(pinned), "pinned"))
        parts = ", ".join(f"{count} {why}" for count, why in counts if count)
        left = f" Left out: {parts}." if parts else ""
        if not wanted:
            self._tell(f"Nothing to move.{left}")
            return
        space = size_text(sum(sizes[run.id] for run in wanted))
        question = f"Move {runs_text(len(wanted))} ({space}) to the trash?{left}"
        self._ask(
            f"{question} t, z restores them.",
            "move to the trash",
            lambda: self._do_each(wanted, self._delete, "moved to the trash"),
        )

    def _delete(self, run: Run) -> None:
        self.cifar.worker.drop(run.id)
        if run.id in self.cifar.worker.training:
            raise UserError(f"{run.name} is in training; stop it before deleting it.")
        self.cifar.runs.delete(self.cifar.runs.get(run.id))

    def action_restore(self) -> None:
        """Move the run back from the trash."""
        if self._bin is None:
            self._tell("z restores a run while the trash is shown; t shows it.")
            return
        run = self._cursor_run()
        if run is not None:
            with self._complaining():
                self.cifar.runs.restore(run)

    def action_empty_trash(self) -> None:
        """Remove what is in the trash for good, after asking."""
        if self._bin is None:
            self._tell("X empties the trash while it is shown; t shows it.")
        elif self._found:
            what = f"{runs_text(len(self._found))} ({size_text(sum(self._sizes.values()))})"
            question = f"Remove {what} in the trash for good? Nothing brings them back."
            self._ask(question, "remove for good", self._empty)

    @work(thread=True)
    def _empty(self) -> None:
        try:
            sentence = empty_trash(self.cifar.runs.folder).sentence()
        except UserError as error:
            self.app.call_from_thread(self.cifar.complain, error)
            return
        self.app.call_from_thread(self._tell, plain(sentence))
        self.app.call_from_thread(self._read_soon)

    # Checkpoints and archives

    def action_keep_best(self) -> None:
        """Remove last.pt of runs that have ended, after asking."""
        runs = self._picked()
        if runs:
            self._look_for_spare(runs)

    @work(thread=True)
    def _look_for_spare(self, runs: list[Run]) -> None:
        """Find out in a thread what could go: each best.pt is read to see that it is whole."""
        sizes: dict[str, int] = {}
        problems = []
        for run in runs:
            try:
                sizes[run.id] = spare(run)
            except UserError as error:
                problems.append(str(error))
        wanted = [run for run in runs if sizes.get(run.id)]
        self.app.call_from_thread(self._ask_keep_best, wanted, sum(sizes.values()), problems)

    def _ask_keep_best(self, runs: list[Run], space: int, problems: list[str]) -> None:
        if problems:
            self._told(0, problems, "")
        if runs:
            what = plain(runs[0].name) if len(runs) == 1 else runs_text(len(runs))
            question = (
                f"Keep only best.pt of {what}? That frees {size_text(space)}. "
                "Listing, comparing and exporting go on; resuming does not."
            )
            done = "kept with best.pt only"
            self._ask(question, "remove last.pt", lambda: self._do_each(runs, keep_best, done))
        elif not problems:
            self._tell("There is no last.pt to remove.")

    def action_archive(self) -> None:
        """Write the runs into one file."""
        from cifar_tui.features.storage.dialog import ArchiveDialog

        runs = self._picked()
        if runs:
            self.app.push_screen(ArchiveDialog(runs))
