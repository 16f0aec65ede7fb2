"""What `runs stats` prints for people: the answer, the settings by effect, each one's values."""

from collections.abc import Sequence

from cifar_tui.commands.printing import add_row, put, table_of
from cifar_tui.drawing.charts import strip, strip_scale
from cifar_tui.effects.study import Effect, Study
from cifar_tui.effects.words import about, correlation_words, figure, headline, limits

STRIP = 40
"""Cells of a strip of runs."""
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
    table = table_of(*COLUMNS, right=COLUMNS[1:3])
    for effect in study.effects:
        found = effect.found
        add_row(
            table,
            effect.setting.name,
            figure(metric, found.spread),
            figure(metric, found.margin),
            effect.best or "-",
            "-" if found.rho is None else f"{found.rho:+.2f}",
            found.verdict,
        )
    put("", table)


def _print_values(study: Study, effect: Effect) -> None:
    metric = study.metric
    low, high = min(study.figures, default=0.0), max(study.figures, default=0.0)
    scale = strip_scale(figure(metric, low), figure(metric, high), STRIP)
    table = table_of(effect.setting.name, *VALUES, scale, right=VALUES)
    for level in effect.levels:
        add_row(
            table,
            level.text,
            str(len(level.figures)),
            str(level.diverged),
            figure(metric, level.mean),
            figure(metric, level.margin),
            figure(metric, level.sd),
            figure(metric, level.adjusted),
            strip(level.figures, level.mean, level.margin, low, high, STRIP),
        )
    why = "; ".join(filter(None, [effect.found.why, correlation_words(study, effect)]))
    put("", f"{effect.setting.name}: {why}" if why else effect.setting.name, table)
