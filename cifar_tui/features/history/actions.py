"""What is done with the runs that are chosen in History: an action for each key."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from cifar_tui.errors import UserError
from cifar_tui.features.history.dialog import (
    AnnotateDialog,
    ArchiveDialog,
    ColumnsDialog,
    GroupsDialog,
    ViewsDialog,
)
from cifar_tui.features.history.run_list import RunList
from cifar_tui.features.history.selection import Refusal
from cifar_tui.query.fields import find_field, varying
from cifar_tui.query.view import COLUMNS, View, named_view, view_words
from cifar_tui.runs.control import STAY, is_in_training, without
from cifar_tui.runs.disk import empty_trash, keep_best, size_of, size_text, spare
from cifar_tui.runs.listing import Run
from cifar_tui.runs.notes import annotate as write_notes
from cifar_tui.text import plain, runs_text
from cifar_tui.tui.dialogs import Ask

USUAL = "(none)"
"""Stands for no view."""

# Look at runs


def open_run(runs: RunList) -> None:
    """Show the run's curves and epochs, or a group's runs."""
    group = runs.selection.group
    if group is not None:
        runs.open_group(group)
    else:
        runs.cifar.watch_run(runs.selection.one().id)


def info(runs: RunList) -> None:
    """Show everything about the run, also of one in the trash."""
    run = runs.selection.run
    if run is not None:
        runs.cifar.open("info", run)


def compare(runs: RunList) -> None:
    """Lay the curves of the marked runs over each other."""
    chosen = runs.selection.two_or_more("to compare them")
    runs.cifar.open("compare", [run.id for run in chosen])


def mattered(runs: RunList) -> None:
    """Show which settings mattered in the marked runs, else in all that are shown."""
    runs.cifar.open("mattered", runs.selection.marked_or_shown(least=2))


def weights(runs: RunList) -> None:
    """Show the weights of the marked runs, else of the cursor's."""
    runs.cifar.open("weights", runs.selection.with_weights())


def surface(runs: RunList) -> None:
    """Show the loss surfaces of the marked runs, else of the cursor's."""
    runs.cifar.open("surface", runs.selection.with_weights())


# Choose what is shown


def columns(runs: RunList) -> None:
    """Choose and order the columns."""

    def take(chosen: tuple[str, ...] | None) -> None:
        if chosen:
            runs.change_view(columns=chosen)

    runs.app.push_screen(ColumnsDialog(runs.view.columns, runs.usual, runs.have_room), take)


def views(runs: RunList) -> None:
    """Choose one of the configuration's views, or what is shown without any."""
    config = runs.cifar.config
    if not config.views:
        raise Refusal(
            "There are no views yet; `cifar-tui config set views.best.filter 'val_acc>70'` makes "
            "one called best, which is there at the next start."
        )
    rows = {USUAL: ("all runs, the newest first", View(columns=runs.usual))}
    rows |= {n: (view_words(v), named_view(config, n)) for n, v in config.views.items()}

    def take(chosen: View | None) -> None:
        if chosen is not None:
            runs.show_view(chosen)

    runs.app.push_screen(ViewsDialog(rows), take)


def group(runs: RunList) -> None:
    """Choose the settings whose runs are one row, with mean and spread."""
    if runs.trash:
        raise Refusal("The trash has no groups; t goes back to the runs.")
    lines = [line for line in runs.selection.lines if line.run.spec is not None]
    differing = varying([line.run for line in lines])
    fields = list(dict.fromkeys([*map(find_field, runs.view.groups), *differing]))
    if not lines:
        raise Refusal("There are no runs to group.")
    if not fields:
        raise Refusal("These runs all have the same settings; there is nothing to group by.")

    def take(chosen: tuple[tuple[str, ...], str] | None) -> None:
        if chosen is not None:
            runs.group_by(*chosen)

    runs.app.push_screen(GroupsDialog(fields, lines, runs.view), take)


# Write files, and bring them in


def save(runs: RunList) -> None:
    """Save the marked runs, else those shown, in their order and with the columns chosen."""
    places = {key: place for place, key in enumerate(runs.table.keys)}
    chosen = runs.selection.marked_or_shown()
    ordered = sorted(chosen, key=lambda run: places.get(run.id, len(places)))
    own = runs.view.columns != COLUMNS
    runs.cifar.open("save", ordered, [field.name for field in runs.view.shown()] if own else [])


def export(runs: RunList) -> None:
    """Write predictions.csv from the best checkpoint."""
    runs.cifar.open("export", runs.selection.one())


def ensemble(runs: RunList) -> None:
    """Write predictions.csv of what validates best: a marked run, or all of them together."""
    runs.cifar.open("ensemble", runs.selection.two_or_more("to export their ensemble"))


def agree(runs: RunList) -> None:
    """Lay the predictions of two marked runs over each other."""
    chosen = runs.selection.two_or_more("to see how far they agree")
    if len(chosen) > 2:
        raise Refusal(f"{len(chosen)} runs are marked; = takes two.")
    runs.cifar.open("agreement", *chosen)


def archive(runs: RunList) -> None:
    """Write the runs into one file."""
    runs.app.push_screen(ArchiveDialog(runs.selection.some()))


def import_(runs: RunList) -> None:
    """Make a run of a checkpoint from elsewhere, or bring in an archive."""
    given = (runs.cifar.runs.folder, runs.cifar.data)
    runs.cifar.open("import", *given, then=lambda _: runs.read_soon())


# Change runs


def annotate(runs: RunList) -> None:
    """Edit the run's name, tags and note."""
    dialog = AnnotateDialog(runs.selection.one())
    runs.app.push_screen(dialog, lambda _: runs.read_soon())


def pin(runs: RunList) -> None:
    """Pin the runs, or take their pins away when all have one."""
    chosen = runs.selection.some()
    pinned = not all(run.notes.pinned for run in chosen)
    done = "pinned" if pinned else "no longer pinned"
    do_each(runs, chosen, lambda run: write_notes(run.path, pinned=pinned), done)


def keep_only_best(runs: RunList) -> None:
    """Remove last.pt of runs that have ended, after asking."""
    chosen = runs.selection.some()

    def look() -> None:
        """Find out what could go: each best.pt is read to see that it is whole."""
        sizes: dict[str, int] = {}
        problems = []
        for run in chosen:
            try:
                sizes[run.id] = spare(run)
            except UserError as error:
                problems.append(str(error))
        runs.app.call_from_thread(offer, sizes, problems)

    def offer(sizes: dict[str, int], problems: list[str]) -> None:
        wanted = [run for run in chosen if sizes.get(run.id)]
        if problems:
            _tell_outcome(runs, 0, problems, "")
        if wanted:
            what = plain(wanted[0].name) if len(wanted) == 1 else runs_text(len(wanted))
            question = (
                f"Keep only best.pt of {what}? That frees {size_text(sum(sizes.values()))}. "
                "Listing, comparing and exporting go on; resuming does not."
            )
            done = "kept with best.pt only"
            ask(runs, question, "remove last.pt", partial(do_each, runs, wanted, keep_best, done))
        elif not problems:
            runs.tell("There is no last.pt to remove.")

    runs.run_worker(look, thread=True)


def ask(runs: RunList, question: str, yes: str, then: Callable[[], object]) -> None:
    def answered(sure: bool | None) -> None:
        if sure:
            then()

    runs.app.push_screen(Ask(question, yes=yes), answered)


def do_each(runs: RunList, chosen: Sequence[Run], do: Callable[[Run], object], done: str) -> None:
    """Do something with each run in a thread; say with how many, and what went wrong first."""

    def work() -> None:
        problems = []
        for run in chosen:
            try:
                do(run)
            except UserError as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"Cannot change {run.name}: {error.strerror}.")
        runs.app.call_from_thread(_tell_outcome, runs, len(chosen) - len(problems), problems, done)

    runs.run_worker(work, thread=True)


def _tell_outcome(runs: RunList, count: int, problems: list[str], done: str) -> None:
    runs.cifar.complain_of(problems)
    if count:
        runs.tell(f"{runs_text(count)} {done}.")
    runs.read_soon()


@contextmanager
def complaining(runs: RunList) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        runs.cifar.complain(error)
    except OSError as error:
        reason = f"Cannot change {error.filename or 'the run'}: {error.strerror}."
        runs.cifar.complain(UserError(reason))
    runs.read_soon()


# The trash


def trash(runs: RunList) -> None:
    """Move the runs to the trash, after asking; a run in training is refused at once."""
    chosen = runs.selection.some()
    if len(chosen) == 1:
        _trash_one(runs, chosen[0])
        return

    def measure() -> None:
        """There may be many, and their folders far away."""
        sizes = {run.id: size_of(run.path) for run in chosen}
        runs.app.call_from_thread(_trash_many, runs, chosen, sizes)

    runs.run_worker(measure, thread=True)


def _trash_one(runs: RunList, run: Run) -> None:
    def delete() -> None:
        with complaining(runs):
            _delete(runs, run)

    if is_in_training(run):
        delete()
        return
    pinned = "It is pinned. " if run.notes.pinned else ""
    space = size_text(size_of(run.path))
    question = f"Move {plain(run.name)} ({space}) to the trash? {pinned}t, z restores it."
    ask(runs, question, "move to the trash", delete)


def _trash_many(runs: RunList, chosen: Sequence[Run], sizes: dict[str, int]) -> None:
    """Ask once for all; the pinned ones and those in training stay."""
    wanted, left = without(chosen, STAY)
    if not wanted:
        runs.tell(f"Nothing to move.{left}")
        return
    space = size_text(sum(sizes[run.id] for run in wanted))
    question = f"Move {runs_text(len(wanted))} ({space}) to the trash?{left} t, z restores them."
    move = partial(do_each, runs, wanted, partial(_delete, runs), "moved to the trash")
    ask(runs, question, "move to the trash", move)


def _delete(runs: RunList, run: Run) -> None:
    cifar = runs.cifar
    cifar.worker.drop(run.id)
    if run.id in cifar.worker.training:
        raise UserError(f"{run.name} is in training; stop it before deleting it.")
    cifar.runs.delete(cifar.runs.get(run.id))


def restore(runs: RunList) -> None:
    """Move the run back from the trash."""
    if not runs.trash:
        raise Refusal("z restores a run while the trash is shown; t shows it.")
    run = runs.selection.run
    if run is not None:
        with complaining(runs):
            runs.cifar.runs.restore(run)


def empty(runs: RunList) -> None:
    """Remove what is in the trash for good, after asking."""
    if not runs.trash:
        raise Refusal("X empties the trash while it is shown; t shows it.")

    def remove() -> None:
        try:
            sentence = empty_trash(runs.cifar.runs.folder).sentence()
        except UserError as error:
            runs.app.call_from_thread(runs.cifar.complain, error)
            return
        runs.app.call_from_thread(runs.tell, plain(sentence))
        runs.app.call_from_thread(runs.read_soon)

    if runs.found:
        what = f"{runs_text(len(runs.found))} ({runs.trash_size})"
        question = f"Remove {what} in the trash for good? Nothing brings them back."
        ask(runs, question, "remove for good", lambda: runs.run_worker(remove, thread=True))
