"""What `runs stats` prints for people: the answer, the settings by effect, each one's values."""

from collections.abc import Sequence

from cifar_tui.commands.printing import put
from cifar_tui.commands.table import Column, Table, output_width
from cifar_tui.drawing.charts import strip, strip_scale
from cifar_tui.effects.study import Effect, Study
from cifar_tui.effects.words import about, correlation_words, figure, headline, limits

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
