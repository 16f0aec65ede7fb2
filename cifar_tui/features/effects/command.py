"""The command `runs stats`: which settings mattered in a set of runs."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.completion import one_of
from cifar_tui.console.flags import RUN, RUNS, Filter, Json, RunsDir
from cifar_tui.console.help import examples
from cifar_tui.console.printing import output_width, put
from cifar_tui.errors import UserError
from cifar_tui.features.effects.study import Effect, Study
from cifar_tui.features.effects.tables import (
    about,
    effect_table,
    headline,
    level_table,
    limits,
    reasons,
)
from cifar_tui.query.fields import METRICS, Line
from cifar_tui.query.filter import parse
from cifar_tui.runs.listing import Runs


@examples(
    "runs stats",
    'runs stats --metric last_val_acc --filter "bn lr>=0.05"',
)
def runs_stats(
    run: Annotated[
        tuple[str, ...], RUN, Parameter(help="The runs asked about; without any, all.")
    ] = (),
    /,
    *,
    metric: Annotated[
        str,
        Parameter(
            help="The figure asked about, like last_val_acc or val_loss.",
            metavar="METRIC",
            completer=one_of([*METRICS, *(f"last_{name}" for name in METRICS)]),
        ),
    ] = "val_acc",
    filter: Filter = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Tell which settings mattered: the effect of each that varies, and how sure it is."""
    from cifar_tui.features.effects.study import studies

    known, query = Runs(runs), parse(filter or "")
    selected = known.find_each(run) if run else known.all()
    if not selected:
        raise UserError(f"There are no runs in {runs}; `cifar-tui train` makes one.")
    found = studies([line.run for line in query.found(map(Line, selected))], metric)
    if json:
        printing.print_json({"studies": [study.to_dict() for study in found]})
    else:
        print_studies(found)


STRIP = 40
LEAST_STRIP = 20
"""Cells of a strip of runs."""
VALUES_CELLS = 60
"""Cells of the columns before it."""


def print_studies(studies: Sequence[Study]) -> None:
    """One study after the other: figures on different images do not mix."""
    for number, study in enumerate(studies):
        put(*([""] if number else []), headline(study), about(study), *limits(study))
        if study.effects:
            put("", effect_table(study))
            for effect in study.effects:
                _print_levels(study, effect)


def _print_levels(study: Study, effect: Effect) -> None:
    width = output_width()
    cells = STRIP if width is None else max(LEAST_STRIP, min(STRIP, width - VALUES_CELLS))
    why = reasons(study, effect)
    name = effect.setting.name
    put("", f"{name}: {why}" if why else name, level_table(study, effect, cells))


COMMANDS = {
    "runs stats": runs_stats,
}
