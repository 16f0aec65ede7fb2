"""The command `summary`, and what `train --dry-run` says."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.flags import (
    NO_FLAGS,
    RUNS,
    AnyRuns,
    Json,
    SpecFlags,
)
from cifar_tui.console.help import examples
from cifar_tui.console.printing import put
from cifar_tui.data.find import find, lasting
from cifar_tui.queue.choices import Wish, make_backend
from cifar_tui.queue.queue import Pace
from cifar_tui.runs.listing import Runs
from cifar_tui.spec.checks import changed, make_spec
from cifar_tui.spec.naming import brief, model_name, title
from cifar_tui.spec.settings import RunSpec
from cifar_tui.table import Column, Table, cut_middle, figures
from cifar_tui.text import clock, runs_text

if TYPE_CHECKING:
    from cifar_tui.models.layer_table import Answer, ModelSummary


def print_summary(spec: RunSpec, summary: "ModelSummary", answers: Sequence["Answer"]) -> None:
    """The layer table with totals, and the computation answers if asked for."""
    put(model_name(vars(spec)), summary.table())
    for answer in answers:
        put(f"{answer.question}  {answer.answer}")


def print_plan(specs: Sequence[RunSpec], runs: Path, wish: Wish, json: bool) -> None:
    """Say what would be trained, where, on which images and about how long; make nothing.

    Raises UserError for what would fail at once.
    """
    backend, notes = make_backend(runs, wish)
    for spec in specs:
        backend.check(spec)
    at_a_time = min(backend.slots, len(specs))
    backend.close()
    images, where = find(specs[0].data), _where(specs[0], wish)
    known = [r for r in Runs(runs).all() if r.spec and r.spec.data == lasting(specs[0].data)]
    pace = Pace(known, by_data=False)
    times = [pace.seconds_left(spec) for spec in specs]
    total = pace.seconds_in_all((spec, 0) for spec in specs)
    total = None if total is None else total / at_a_time
    if json:
        each = [
            {"name": title(spec), "spec": spec.model_dump(mode="json"), "seconds": seconds}
            for spec, seconds in zip(specs, times, strict=True)
        ]
        told = {"runs": each, "count": len(specs), "at_a_time": at_a_time, "seconds": total}
        found = {"source": images.source, "path": str(images.path or ""), "note": images.note}
        printing.print_json(told | {"backend": wish.name, "device": where, "images": found})
        return
    rows = [
        (title(spec), str(spec.epochs), clock(seconds))
        for spec, seconds in zip(specs, times, strict=True)
    ]
    how = "" if len(specs) == 1 else f", {at_a_time if at_a_time > 1 else 'one'} at a time"
    time = "not known: no run like these was trained here" if total is None else clock(total)
    put(
        f"{runs_text(len(specs))} on {where}{how}",
        f"model   {_shared(specs)}",
        f"images  {images.note}",
        f"time    {'' if total is None else 'about '}{time}",
        *notes,
        "",
        Table([Column("run", cut=cut_middle), *figures("epochs", "time")], rows),
        "",
        "Nothing was trained; without --dry-run it is.",
    )


def _shared(specs: Sequence[RunSpec]) -> str:
    """The model and what all runs have that differs from the defaults."""
    alike = {
        name: value
        for name, value in changed(specs[0]).items()
        if all(getattr(spec, name) == value for spec in specs)
    }
    models = dict.fromkeys(model_name(vars(spec)) for spec in specs)
    return f"{', '.join(models)} {brief(alike)}".strip()


def _where(spec: RunSpec, wish: Wish) -> str:
    """The device of a run that trains in this program, or what it would be handed to."""
    if wish.name == "thread":
        from cifar_tui.training.device import choose_device

        return str(choose_device(spec))
    return wish.devices or wish.name


@examples(
    "summary --model resnet --depth 20",
    "summary --batch-norm --answers",
)
def summary(
    *,
    settings: Annotated[SpecFlags, Parameter(name="*")] = NO_FLAGS,
    answers: Annotated[
        bool, Parameter(negative=(), help="Also answer the assignment's computation questions.")
    ] = False,
    json: Json = False,
    runs: AnyRuns = RUNS,
) -> None:
    """Show a model layer by layer: shapes, parameters, multiply-adds."""
    from cifar_tui.models.layer_table import computation_answers, summarise_spec

    flags = dataclasses.asdict(settings)
    spec = make_spec({k: v for k, v in flags.items() if v is not None})
    found = summarise_spec(spec)
    asked = computation_answers() if answers else []
    if json:
        printing.print_json(
            found.to_dict() | ({"answers": [dataclasses.asdict(a) for a in asked]} if asked else {})
        )
    else:
        print_summary(spec, found, asked)


COMMANDS = {
    "summary": summary,
}
