"""The commands `runs list`, `show` and so on: saved runs found, shown, steered and annotated."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.flags import (
    ANY_BACKEND,
    NAMED_ONLY,
    RUN,
    RUNS,
    Chosen,
    Json,
    OnBackend,
    RunsDir,
    Some,
    Tags,
    Which,
    chosen_runs,
)
from cifar_tui.console.help import examples
from cifar_tui.console.printing import print_json
from cifar_tui.errors import UserError
from cifar_tui.features.history.list_command import runs_fields, runs_list
from cifar_tui.queue.choices import STOPPABLE, stop
from cifar_tui.runs.control import RESUMABLE, order, waits_unseen
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.runs.notes import annotate, clean_notes
from cifar_tui.spec.naming import to_toml
from cifar_tui.text import plain, runs_text


@examples(
    "runs show best",
    "runs show best --spec > again.toml",
)
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
        if found.spec is None:
            raise UserError(f"{found.id} has no readable settings: {found.problem}.")
        print(to_toml(found.spec), end="")
    elif json:
        print_json(printing.run_details(found))
    else:
        printing.print_run(found)


@examples("runs watch", "runs watch last")
def runs_watch(
    run: Annotated[
        str | None, RUN, Parameter(help="Without it, all runs that train, until none does.")
    ] = None,
    /,
    *,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> int:
    """Follow a run until it ends, whoever trains it; Ctrl-C leaves it alone."""
    from cifar_tui.console.progress import train_printer
    from cifar_tui.queue.watch import watch, watch_all

    printer = train_printer(json)
    if run is None:
        return watch_all(runs, printer)
    return watch(Runs(runs).find(run), runs, printer)


@examples(
    "runs stop last",
    "runs stop --all",
    "runs stop --filter 'lr>=0.5'",
)
def runs_stop(
    run: Some = (),
    /,
    *,
    choice: Chosen = NAMED_ONLY,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> int:
    """Stop runs between two batches; they can be resumed from their last whole epochs.

    With --all everything that trains or waits in this folder is stopped, without a question.
    Exits with 1 where a run could not be.
    """
    found = chosen_runs(run, choice, Runs(runs))
    if choice:
        found = [one for one in found if one.status in STOPPABLE]
        found.sort(key=lambda one: one.status != "queued")  # so that none of them begins
    if not choice and len(found) == 1:
        done = stop(found[0])
        sentence = "is stopped" if done else "was asked to stop"
        printing.say({"id": found[0].id, "order": "stop"}, f"{found[0].name} {sentence}.", json)
        return 0
    told, problems = [], []
    for one in found:
        try:
            told.append({"id": one.id, "was": one.status, "order": "stop", "stopped": stop(one)})
        except UserError as error:
            problems.append(str(error))
    lines = [f"{what['id']}  was {what['was']}" for what in told]
    end = f"{runs_text(len(told))} stopped." if told else "No run trains or waits."
    return _say_each(told, problems, [*lines, end], json)


def _say_each(
    told: Sequence[Mapping[str, Any]], problems: Sequence[str], lines: Sequence[str], json: bool
) -> int:
    """What became of several runs, as JSON or in lines, then what went wrong; the exit code."""
    if json:
        print_json({"runs": told, "problems": problems})
    else:
        print("\n".join(map(plain, lines)))
    for problem in problems:
        printing.complain(problem)
    return 1 if problems else 0


@examples(
    "runs pause last",
)
def runs_pause(run: Which, /, *, json: Json = False, runs: RunsDir = RUNS) -> None:
    """Hold a run until it is resumed or stopped."""
    found = Runs(runs).find(run)
    order(found, "pause")
    printing.say({"id": found.id, "order": "pause"}, f"{found.name} was asked to pause.", json)


@examples(
    "runs resume last",
    "runs resume last --devices cuda:1",
    "runs resume --filter status=queued",
)
def runs_resume(
    run: Some = (),
    /,
    *,
    choice: Chosen = NAMED_ONLY,
    on: OnBackend = ANY_BACKEND,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> int:
    """Let paused runs go on, or train unfinished ones further in the background.

    With --all and --filter, those that can go on. Exits with 1 where a run could not.
    """
    from cifar_tui.queue import headless

    found = chosen_runs(run, choice, Runs(runs))
    if not choice and len(found) == 1:
        sentence = headless.resume(found[0], runs, on.wish())
        one = {"id": found[0].id, "from_epoch": found[0].summary.epochs_done}
        printing.say(one, sentence, json)
        return 0
    if choice:
        found = [one for one in found if _can_go_on(one)]
    going, problems = headless.resume_each(found, runs, on.wish())
    told = [{"id": one.id, "from_epoch": one.summary.epochs_done} for one in going]
    lines = [f"{what['id']}  after epoch {what['from_epoch']}" for what in told]
    many = "goes on" if len(going) == 1 else "go on"
    end = f"{runs_text(len(going))} {many} in the background." if going else "No run goes on."
    return _say_each(told, problems, [*lines, end], json)


def _can_go_on(run: Run) -> bool:
    return run.status in ("paused", *RESUMABLE) or run.left_behind or waits_unseen(run)


@examples(
    "runs note last --name baseline --tags lab1,slow",
    'runs note best --note "to be handed in" --pin',
)
def runs_note(
    run: Which,
    /,
    *,
    name: Annotated[str | None, Parameter(help="A new name.", metavar="TEXT")] = None,
    tags: Tags = None,
    note: Annotated[str | None, Parameter(help="A remark.", metavar="TEXT")] = None,
    pin: Annotated[bool | None, Parameter(help="Mark it, and keep it from bulk deletion.")] = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Rename, tag or annotate a run."""
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
    "runs list": runs_list,
    "runs fields": runs_fields,
    "runs show": runs_show,
    "runs watch": runs_watch,
    "runs stop": runs_stop,
    "runs pause": runs_pause,
    "runs resume": runs_resume,
    "runs note": runs_note,
}
