"""What mattered, in sentences and tables: the answer first, then what stands behind it."""

from cifar_tui.drawing import strip, strip_scale
from cifar_tui.features.effects.study import Effect, Study
from cifar_tui.features.effects.verdicts import FEWEST
from cifar_tui.query.fields import METRICS, Field
from cifar_tui.table import Column, Table, figures
from cifar_tui.text import plain

SETTING_WIDTH = 16
EFFECTS = (
    Column("setting", 15),
    *figures("effect", "±", width=9),
    Column("best", 16),
    Column("rank corr.", 12, right=True),
    Column("says", 16),
)
LEVELS = (
    *figures("n", width=5),
    *figures("diverged", "mean", "±", "std", "adjusted", width=9),
)


def figure(metric: Field, value: float | None) -> str:
    """A figure, a mean or a difference with as many digits as the metric has everywhere."""
    if value is None:
        return "-"
    if metric.name.removeprefix("last_") in METRICS:
        return metric.show(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def effect_size(metric: Field, effect: Effect) -> str:
    """`0.0210 ± 0.0040`."""
    found = effect.found
    margin = "" if found.margin is None else f" ± {figure(metric, found.margin)}"
    return f"{figure(metric, found.spread)}{margin}"


def headline(study: Study) -> str:
    """The answer on one line."""
    metric, runs = study.metric, len(study.runs)
    if not runs:
        return f"No run has ended with a {metric.name} yet."
    if runs < FEWEST:
        return f"Too few runs to say what mattered: {runs}, at least {FEWEST} are needed."
    if not study.effects:
        return f"The {runs} runs differ in no setting but the seed."
    clear = [effect for effect in study.effects if effect.found.verdict == "clear"]
    if not clear:
        mixed = [e.setting.name for e in study.effects if e.found.verdict == "confounded"]
        but = f"; confounded: {', '.join(mixed)}" if mixed else ""
        return f"No setting has a clear effect on {metric.name} in these {runs} runs{but}."
    first, *others = clear
    size = effect_size(metric, first)
    then = next((_names(o) for o in others if o.setting.name not in first.found.together), "")
    then = f"; {then} next" if then else ""
    return f"{_names(first)} matters most: {size} {metric.name} over {first.range}{then}"


def _names(effect: Effect) -> str:
    return " or ".join([effect.setting.name, *effect.found.together])


def about(study: Study) -> str:
    """Which runs the answer rests on, on one line."""
    images = {"demo": "demo images (synthetic)", "": "unknown images"}
    runs = len(study.runs)
    parts = [
        f"{runs} run{'' if runs == 1 else 's'} on "
        f"{images.get(study.images, f'{plain(study.images)} images')}"
    ]
    if study.diverged:
        parts.append(f"{study.diverged} diverged")
    if study.left_out:
        reasons = ", ".join(f"{count} {plain(why)}" for why, count in study.left_out.items())
        parts.append(f"left out: {reasons}")
    return "; ".join(parts)


def limits(study: Study) -> list[str]:
    """What else a reader must know: luck, divergence, settings that change together, interplay."""
    metric, noise, found = study.metric, study.noise, []
    if noise.repeated is not None:
        found.append(f"Runs of the same settings vary by {figure(metric, noise.repeated)} (std).")
    diverging = [
        f"{effect.setting.name} {level.text}"
        for effect in study.effects
        for level in effect.levels
        if level.diverged and not level.figures
    ]
    if diverging:
        found.append(f"All runs with {' or '.join(diverging)} diverged, before any figure.")
    for effect in study.effects:
        names = [effect.setting.name, *effect.found.together]
        if effect.found.together and names[0] == min(names):
            listed = " and ".join(names)
            found.append(f"{listed} change together here: their effects cannot be told apart.")
    if any(e.found.p is not None and not e.found.means for e in study.effects):
        found.append(
            "There are too few runs to adjust each setting for the others: means are as they are."
        )
    if noise.interplay:
        found.append(
            f"The sum of the effects misses by {figure(metric, noise.missed)} (std), more than "
            "chance: some settings act differently together. Filter by one to see the others."
        )
    return found


def reasons(study: Study, effect: Effect) -> str:
    """What an effect's verdict rests on, and how the figure goes along with a numeric setting."""
    return "; ".join(filter(None, [effect.found.why, _correlation(study, effect)]))


def _correlation(study: Study, effect: Effect) -> str:
    """`val_acc falls with lr (rank correlation -0.43, p 0.012)`; empty where there are no ranks."""
    rho, p = effect.found.rho, effect.found.rho_p
    if rho is None or p is None:
        return ""
    chance = "below 0.001" if p < 0.001 else f"{p:.3f}"
    words = f"rank correlation {rho:+.2f}, p {chance}"
    if p >= 0.05:
        return words
    way = "rises" if rho > 0 else "falls"
    return f"{study.metric.name} {way} with {effect.setting.name} ({words})"


def effect_table(study: Study) -> Table:
    """A row for each setting: its effect and how sure that is."""
    metric = study.metric
    rows = [
        (
            effect.setting.name,
            figure(metric, effect.found.spread),
            figure(metric, effect.found.margin),
            effect.best or "-",
            "-" if effect.found.rho is None else f"{effect.found.rho:+.2f}",
            effect.found.verdict,
        )
        for effect in study.effects
    ]
    return Table(EFFECTS, rows)


def level_table(study: Study, effect: Effect, cells: int) -> Table:
    """A row for each value of a setting: its figures, and its runs on a strip of `cells` cells."""
    metric = study.metric
    low, high = min(study.figures, default=0.0), max(study.figures, default=0.0)
    scale = strip_scale(figure(metric, low), figure(metric, high), cells)
    rows = [
        (
            level.text,
            str(len(level.figures)),
            str(level.diverged),
            figure(metric, level.mean),
            figure(metric, level.margin),
            figure(metric, level.sd),
            figure(metric, level.adjusted),
            strip(level.figures, level.mean, level.margin, low, high, cells),
        )
        for level in effect.levels
    ]
    columns = [Column(effect.setting.name, SETTING_WIDTH), *LEVELS, Column(scale, least=cells)]
    return Table(columns, rows, drop=("diverged", "std", "adjusted"))
