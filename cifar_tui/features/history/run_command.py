"""The commands `runs list`, `show` and so on: saved runs found, steered and cleared."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.flags import ANY_BACKEND, RUNS, Json, OnBackend, RunsDir, Which
from cifar_tui.errors import UserError
from cifar_tui.queue.choices import withdraw
from cifar_tui.runs.control import order
from cifar_tui.runs.folder import Order
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.spec.naming import to_toml
from cifar_tui.spec.spec import RunSpec


def runs_show(
    run: Which,
    /,
    *,
    spec: Annotated[bool, Parameter(negative=(), help="Print its settings as TOML.")] = False,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show one run: settings, figures and epochs."""
    found = Runs(runs).find(run)
    if spec:
        print(to_toml(_spec_of(found)), end="")
    elif json:
        printing.print_json(printing.run_details(found))
    else:
        printing.print_run(found)


def _spec_of(run: Run) -> RunSpec:
    if run.spec is None:
        raise UserError(f"{run.id} has no readable settings: {run.problem}.")
    return run.spec


def runs_watch(run: Which, /, *, json: Json = False, runs: RunsDir = RUNS) -> int:
    """Follow a run until it ends, whoever trains it; Ctrl-C leaves it alone."""
    from cifar_tui.console.progress import train_printer
    from cifar_tui.queue import headless

    return headless.watch(Runs(runs).find(run), runs, train_printer(json))


def runs_stop(run: Which, /, *, json: Json = False, runs: RunsDir = RUNS) -> None:
    """Stop a run between two batches; it can be resumed from its last whole epoch."""
    _order(run, "stop", json, runs)


def runs_pause(run: Which, /, *, json: Json = False, runs: RunsDir = RUNS) -> None:
    """Hold a run until it is resumed or stopped."""
    _order(run, "pause", json, runs)


def _order(wanted: str, what: Order, json: bool, runs: Path) -> None:
    found = Runs(runs).find(wanted)
    order(found, what)
    done = what == "stop" and withdraw(found)
    sentence = f"{found.name} is stopped." if done else f"{found.name} was asked to {what}."
    printing.say({"id": found.id, "order": what}, sentence, json)


def runs_resume(
    run: Which,
    /,
    *,
    on: OnBackend = ANY_BACKEND,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Let a paused run go on, or train an unfinished one further in the background."""
    from cifar_tui.queue import headless

    found = Runs(runs).find(run)
    sentence = headless.resume(found, runs, on.wish())
    printing.say({"id": found.id, "from_epoch": found.summary.epochs_done}, sentence, json)


def runs_note(
    run: Which,
    /,
    *,
    name: Annotated[str | None, Parameter(help="A new name.")] = None,
    tags: Annotated[str | None, Parameter(help="Words separated by commas.")] = None,
    note: Annotated[str | None, Parameter(help="A remark.")] = None,
    pin: Annotated[bool | None, Parameter(help="Mark it, and keep it from bulk deletion.")] = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Rename, tag or annotate a run."""
    from cifar_tui.runs.notes import annotate, clean_notes

    known = Runs(runs)
    found = known.find(run)
    changes = clean_notes(name=name, tags=tags, note=note)
    changes |= {} if pin is None else {"pinned": pin}
    annotate(found.path, **changes)
    changed = known.get(found.id)
    told = {
        "name": f"is called {changed.name}",
        "tags": f"has the tags {', '.join(changed.tags)}" if changed.tags else "has no tags",
        "note": f"has the note '{changed.notes.note}'" if changed.notes.note else "has no note",
        "pinned": "is pinned" if changed.notes.pinned else "is not pinned",
    }
    words = [words for name, words in told.items() if name in changes] or ["is as it was"]
    printing.say(changed.to_dict(), f"{changed.id} {', '.join(words)}.", json)


COMMANDS = {
    "runs show": runs_show,
    "runs watch": runs_watch,
    "runs stop": runs_stop,
    "runs pause": runs_pause,
    "runs resume": runs_resume,
    "runs note": runs_note,
}
