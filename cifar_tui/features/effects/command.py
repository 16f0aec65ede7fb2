"""The command `runs stats`: which settings mattered in a set of runs."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.completion import one_of
from cifar_tui.console.flags import RUN, RUNS, Json, RunsDir
from cifar_tui.console.help import examples
from cifar_tui.console.printing import put
from cifar_tui.console.table import Column, Table, output_width
from cifar_tui.drawing import strip, strip_scale
from cifar_tui.errors import UserError
from cifar_tui.features.effects.study import Effect, Study
from cifar_tui.features.effects.tables import about, correlation_words, figure, headline, limits
from cifar_tui.features.history.command import Filter
from cifar_tui.query.fields import METRICS, Line
from cifar_tui.query.filter import parse
from cifar_tui.runs.listing import Run, Runs, find_run


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

    query = parse(filter or "")
    lines = query.found(map(Line, _selected(Runs(runs), run)))
    found = studies([line.run for line in lines], metric)
    if json:
        printing.print_json({"studies": [study.to_dict() for study in found]})
    else:
        print_studies(found)


def _selected(known: Runs, wanted: tuple[str, ...]) -> list[Run]:
    """The runs of these ids or names, each once; all without any; raises UserError for none."""
    every = known.all()
    if not every:
        raise UserError(f"There are no runs in {known.folder}; `cifar-tui train` makes one.")
    found = [find_run(every, one, known.folder) for one in wanted] if wanted else every
    return list({run.id: run for run in found}.values())


STRIP = 40
LEAST_STRIP = 20
"""Cells of a strip of runs."""
VALUES_CELLS = 60
"""Cells of the columns before it."""
COLUMNS = ("setting", "effect", "±", "best", "rank corr.", "says")
VALUES = ("n", "diverged", "mean", "±", "std", "adjusted")


def print_studies(studies: Sequence[Study]) -> None:
    """One study after the other: figures on different images do not mix."""
    for number, study in enumerate(studies):
        put(*([""] if number else []), headline(study), about(study), *limits(study))
        if study.effects:
            _print_effects(study)
            for effect in study.effects:
                _print_values(study, effect)


def _print_effects(study: Study) -> None:
    metric = study.metric
    table = Table(*COLUMNS, right=COLUMNS[1:3])
    for effect in study.effects:
        found = effect.found
        table.add(
            effect.setting.name,
            figure(metric, found.spread),
            figure(metric, found.margin),
            effect.best or "-",
            "-" if found.rho is None else f"{found.rho:+.2f}",
            found.verdict,
        )
    put("", table)


def _print_values(study: Study, effect: Effect) -> None:
    metric, width = study.metric, output_width()
    low, high = min(study.figures, default=0.0), max(study.figures, default=0.0)
    cells = STRIP if width is None else max(LEAST_STRIP, min(STRIP, width - VALUES_CELLS))
    scale = strip_scale(figure(metric, low), figure(metric, high), cells)
    drop = ["diverged", "std", "adjusted"]
    table = Table(effect.setting.name, *VALUES, Column(scale, cells), right=VALUES, drop=drop)
    for level in effect.levels:
        table.add(
            level.text,
            str(len(level.figures)),
            str(level.diverged),
            figure(metric, level.mean),
            figure(metric, level.margin),
            figure(metric, level.sd),
            figure(metric, level.adjusted),
            strip(level.figures, level.mean, level.margin, low, high, cells),
        )
    why = "; ".join(filter(None, [effect.found.why, correlation_words(study, effect)]))
    put("", f"{effect.setting.name}: {why}" if why else effect.setting.name, table)


COMMANDS = {
    "runs stats": runs_stats,
}
