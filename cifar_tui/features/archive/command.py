"""The commands that keep and clear: pin, trash, empty, keep only best.pt, archive, unarchive."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.completion import runs_in_trash
from cifar_tui.console.flags import (
    NAMED_ONLY,
    RUNS,
    Chosen,
    Json,
    RunsDir,
    Some,
    chosen_runs,
)
from cifar_tui.console.help import examples
from cifar_tui.errors import UserError
from cifar_tui.runs.control import STAY, without
from cifar_tui.runs.disk import empty_trash, keep_best, size_of, size_text, spare
from cifar_tui.runs.ids import TRASH
from cifar_tui.runs.listing import Runs, find_run
from cifar_tui.runs.notes import annotate
from cifar_tui.runs.record import ENDED
from cifar_tui.text import runs_text

Trashed = Annotated[str, Parameter(name="RUN", help="A run in the trash.", completer=runs_in_trash)]
Yes = Annotated[bool, Parameter(negative=(), help="Do it without asking.")]


def _agreed(question: str, yes: bool, json: bool) -> bool:
    """Whether the user wants it; where nobody can be asked, raises UserError without --yes."""
    if yes:
        return True
    if json or not sys.stdin.isatty():
        raise UserError(f"{question} --yes does it.")
    return input(f"{question} [y/N] ").strip().casefold() in ("y", "yes")


@examples(
    "runs delete last",
    "runs delete lab1-baseline 20261127-0311",
    "runs delete --filter 'status=failed age>1d'",
)
def delete(
    run: Some = (),
    /,
    *,
    choice: Chosen = NAMED_ONLY,
    yes: Yes = False,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Move runs to the trash; of several, none may be pinned.

    With --filter or --all those pinned or in training are left out, and you are asked first.
    """
    known = Runs(runs)
    found = chosen_runs(run, choice, known)
    left = ""
    if choice:
        found, left = without(found, STAY)
        space = size_text(sum(size_of(one.path) for one in found))
        question = f"Move {runs_text(len(found))} ({space}) to the trash?{left}"
        if found and not _agreed(question, yes, json):
            return
    pinned = [one.name for one in found if one.notes.pinned]
    if len(found) > 1 and pinned:
        raise UserError(f"Pinned: {', '.join(pinned)}. Unpin first, or delete it alone.")
    sizes = [size_of(one.path) for one in found]
    moved = [{"id": one.id, "path": str(known.delete(one))} for one in found]
    if not choice and len(moved) == 1:
        printing.say(moved[0] | {"bytes": sizes[0]}, f"{found[0].id} is in the trash.", json)
        return
    are = "is" if len(moved) == 1 else "are"
    sentence = f"{runs_text(len(moved))} ({size_text(sum(sizes))}) {are} in the trash.{left}"
    printing.say({"runs": moved, "bytes": sum(sizes)}, sentence, json)


@examples(
    "runs restore lab1-baseline",
)
def restore(run: Trashed, /, *, json: Json = False, runs: RunsDir = RUNS) -> None:
    """Move a run back from the trash."""
    known = Runs(runs)
    trashed = known.trashed()
    if not trashed:
        raise UserError(f"The trash of {runs} is empty.")
    found = find_run(trashed, run, runs / TRASH)
    path = known.restore(found)
    printing.say({"id": found.id, "path": str(path)}, f"{found.id} is back.", json)


@examples(
    "runs empty-trash",
    "runs empty-trash --yes",
)
def empty(*, yes: Yes = False, json: Json = False, runs: RunsDir = RUNS) -> int:
    """Remove what is in the trash for good; exits with 1 where something stays."""
    trashed = Runs(runs).trashed()
    space = size_text(sum(size_of(run.path) for run in trashed))
    question = f"Remove {runs_text(len(trashed))} ({space}) in the trash for good?"
    if not trashed or _agreed(question, yes, json):
        done = empty_trash(runs)
        printing.say(done.to_dict(), done.sentence(), json)
        return 1 if done.problems else 0
    return 0


@examples(
    "runs pin best",
)
def pin(run: Some, /, *, json: Json = False, runs: RunsDir = RUNS) -> None:
    """Pin runs: lists mark them, and they are not deleted together with others."""
    _set_pinned(run, True, json, runs)


@examples(
    "runs unpin best",
)
def unpin(run: Some, /, *, json: Json = False, runs: RunsDir = RUNS) -> None:
    """Take pins away."""
    _set_pinned(run, False, json, runs)


def _set_pinned(wanted: tuple[str, ...], pinned: bool, json: bool, runs: Path) -> None:
    found = Runs(runs).find_each(wanted)
    for one in found:
        annotate(one.path, pinned=pinned)
    ids = [one.id for one in found]
    word = "pinned" if pinned else "no longer pinned"
    printing.say({"runs": ids, "pinned": pinned}, f"{runs_text(len(ids))} {word}.", json)


@examples(
    "runs keep-best lab1-baseline lab1-decay --yes",
)
def keep_only_best(
    run: Some, /, *, yes: Yes = False, json: Json = False, runs: RunsDir = RUNS
) -> None:
    """Remove last.pt of runs that have ended: they can no longer be resumed."""
    found = Runs(runs).find_each(run)
    space = size_text(sum(map(spare, found)))
    question = f"Remove last.pt of {runs_text(len(found))} ({space})? They cannot be resumed then."
    if _agreed(question, yes, json):
        freed = {one.id: keep_best(one) for one in found}
        total = sum(freed.values())
        sentence = f"{size_text(total)} freed; best.pt of {runs_text(len(found))} is kept."
        printing.say({"runs": freed, "bytes": total}, sentence, json)


@examples(
    "runs archive best --output best.zip",
    "runs archive lab1-baseline lab1-decay --output lab1.zip",
    "runs archive --filter tag:lab1 --output lab1.zip",
)
def archive(
    run: Some = (),
    /,
    *,
    choice: Chosen = NAMED_ONLY,
    output: Annotated[
        Path | None, Parameter(help="A .zip; by default named after the run.", metavar="FILE")
    ] = None,
    overwrite: Annotated[bool, Parameter(negative=(), help="Replace the file.")] = False,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Write runs into one file, to be kept or taken to another machine.

    With --filter or --all those that have not ended are left out.
    """
    from cifar_tui.features.archive.core import archive_path, archive_runs, archived_text

    found, left = chosen_runs(run, choice, Runs(runs)), ""
    if choice:
        found, left = without(found, [("not ended", lambda one: one.status not in ENDED)])
    if not found:
        raise UserError(f"There is no run to archive.{left}")
    path = archive_path(output, found)
    with printing.progress("archiving", json) as tick:
        size = archive_runs(found, path, overwrite=overwrite, tick=tick)
    told = {"output": str(path), "bytes": size, "runs": [one.id for one in found]}
    printing.say(told, archived_text(found, path, size) + left, json)


@examples(
    "runs unarchive lab1.zip --runs saved_model",
)
def unarchive_file(
    file: Annotated[Path, Parameter(name="FILE", help="What `runs archive` wrote.")],
    /,
    *,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Bring in the runs of an archive; an id that exists gets a new number."""
    from cifar_tui.features.archive.core import brought_in_text, unarchive

    with printing.progress("unpacking", json) as tick:
        found = unarchive(file, runs, tick)
    printing.say({"runs": [one.to_dict() for one in found]}, brought_in_text(found), json)


COMMANDS = {
    "runs delete": delete,
    "runs restore": restore,
    "runs empty-trash": empty,
    "runs pin": pin,
    "runs unpin": unpin,
    "runs keep-best": keep_only_best,
    "runs archive": archive,
    "runs unarchive": unarchive_file,
}
