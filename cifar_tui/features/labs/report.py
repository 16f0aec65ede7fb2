"""An experiment's curves: the mean over seeds at each epoch, and how far the seeds spread."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.features.labs.answer import ArmResult, LabAnswer
from cifar_tui.features.labs.tables import arm_table
from cifar_tui.features.save.core import (
    PICTURE_FORMATS,
    curve,
    draw_figure,
    finish,
    require_matplotlib,
)
from cifar_tui.features.save.tables import markdown_table, markdown_text
from cifar_tui.files import write_atomic
from cifar_tui.query import curves
from cifar_tui.query.curves import Spread
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.listing import Run, read_meta
from cifar_tui.spec.checks import SETTINGS, with_role
from cifar_tui.spec.naming import format_value, model_name
from cifar_tui.spec.settings import RunSpec
from cifar_tui.table import Table
from cifar_tui.text import accuracy, clock, shortened


def curve_runs(row: ArmResult) -> Sequence[Run]:
    """The runs whose curves stand for a setting: its results, until then those on their way."""
    return row.results or row.arriving or row.unfinished


def curves_of(row: ArmResult, metrics: Sequence[str]) -> dict[str, dict[int, Spread]]:
    """A setting's curve of each metric by epoch, read once from its run folders."""
    logs = [read_epochs(run.path) for run in curve_runs(row)]
    return {metric: curves.mean_curve(logs, metric) for metric in metrics}


def training_seconds(run: Run) -> float:
    """Seconds of training and validating in all epochs, without waiting for the device."""
    return curves.training_seconds(read_epochs(run.path))


LOSSES = ("train_loss", "val_loss")


def draw(answer: LabAnswer, folder: Path) -> list[Path]:
    """Write the experiment's figure as PNG and SVG, without a display; returns the paths.

    A single setting has its losses on the right, several the measure of each beside the report's
    and other students' figures.
    """

    def paint(left: Any, right: Any) -> None:
        _curves(left, [(row.arm.label, row, "val_acc") for row in answer.rows], "val_acc")
        if len(answer.rows) == 1:
            _curves(right, [(loss, answer.rows[0], loss) for loss in LOSSES], "loss")
        else:
            _points(right, answer)

    paths = [folder / f"{answer.lab.name}.{kind}" for kind in PICTURE_FORMATS]
    files = list(zip(paths, PICTURE_FORMATS, strict=True))
    draw_figure(answer.lab.name, paint, files, synthetic=answer.images.synthetic)
    return paths


def _curves(axes: Any, lines: Sequence[tuple[str, ArmResult, str]], what: str) -> None:
    """One line per (label, setting, metric) with a band of one standard deviation."""
    for label, row, metric in lines:
        points = curves_of(row, [metric])[metric]
        if points:
            line = curve(axes, label, list(points), [p.mean for p in points.values()])
            _band(axes, points, line.get_color())
    finish(axes, "epoch", what)


def _band(axes: Any, points: Mapping[int, Spread], colour: Any) -> None:
    known = [(e, *edges) for e, p in points.items() if (edges := p.band("sd"))]
    if known:
        axes.fill_between(*zip(*known, strict=True), color=colour, alpha=0.2, linewidth=0)


def _points(axes: Any, answer: LabAnswer) -> None:
    """Ours with the standard deviation over seeds, the report's, and the others' range."""
    rows = list(enumerate(answer.rows))
    others = [(i, row.arm.others) for i, row in rows if row.arm.others is not None]
    for i, found in others:
        label = "other students" if i == others[0][0] else None
        axes.plot([i, i], [found.low, found.high], color="0.75", linewidth=6, label=label)
    report = [(i, row.arm.report) for i, row in rows if row.arm.report is not None]
    if report:
        places, figures = zip(*report, strict=True)
        axes.plot(places, figures, "s", color="0.4", fillstyle="none", label="report")
    ours = [(i, row.mean, row.sd or 0.0) for i, row in rows if row.mean is not None]
    if ours:
        places, means, spreads = zip(*ours, strict=True)
        axes.errorbar(places, means, spreads, fmt="o", color="C0", capsize=3, label="ours")
    axes.set_xticks([i for i, _ in rows], [row.arm.label for _, row in rows], rotation=20)
    axes.margins(x=0.15)
    finish(axes, "setting", answer.lab.measure.name)


TOLD = ("model", "depth", "epochs", "subset")
"""Settings of which a caption speaks in words of its own."""


def write_report(answers: Sequence[LabAnswer], output: Path) -> Path:
    """Write the report of all experiments with a result into the folder; returns its path.

    One experiment makes NAME.md, several results.md; the figures lie in `figures` beside it.
    Raises UserError where there is nothing to report, no matplotlib, or no place to write.
    """
    require_matplotlib()
    told = [answer for answer in answers if any(row.results for row in answer.rows)]
    if not told:
        name = answers[0].lab.name if len(answers) == 1 else "all"
        raise UserError(f"There is no result to report; `cifar-tui lab run {name}` trains first.")
    path = output / (f"{told[0].lab.name}.md" if len(answers) == 1 else "results.md")
    try:
        (output / "figures").mkdir(parents=True, exist_ok=True)
        drawn = {answer.lab.name: draw(answer, output / "figures") for answer in told}
        figures = {name: [p.relative_to(output) for p in paths] for name, paths in drawn.items()}
        write_atomic(path, markdown(answers, figures).encode())
    except OSError as error:
        raise UserError(f"Cannot write the report to {output}: {error.strerror}.") from None
    return path


def markdown(answers: Sequence[LabAnswer], figures: Mapping[str, Sequence[Path]]) -> str:
    """The report's text; `figures` names each experiment's PNG and SVG, relative to it."""
    told = [answer for answer in answers if answer.lab.name in figures]
    untold = [answer.lab.name for answer in answers if answer.lab.name not in figures]
    parts = ["# Results", *_introduction(told)]
    if len(told) > 1:
        parts.append(_overview(told))
    for answer in told:
        parts += _section(answer, figures[answer.lab.name])
    if untold:
        parts += ["## Without a result", "Not trained so far: " + ", ".join(untold) + "."]
    return "\n\n".join(parts) + "\n"


def _introduction(answers: Sequence[LabAnswer]) -> list[str]:
    images = answers[0].images
    runs = {run.id: run for answer in answers for run in _results(answer)}
    return [
        f"{len(runs)} runs on {markdown_text(images.words)}, "
        f"trained on {_devices(list(runs.values()))} in "
        f"{_time(list(runs.values()))} (h:mm:ss) together. {images.note}".strip(),
        "Figures are means over seeds, ± their standard deviation, of the best val_acc of each run "
        "unless a table's head says otherwise. A verdict is settled when the difference lies "
        "outside its 95 % confidence interval (Student's t, variance pooled over the settings "
        "compared); with one seed each, runs are taken to vary by the standard deviation that the "
        "verdict names. "
        "The report's and other students' figures come from runs without a fixed seed; how many "
        "others there are stands in brackets.",
    ]


def _overview(answers: Sequence[LabAnswer]) -> str:
    rows = [
        (a.lab.name, a.lab.question, a.lab.measure.show(a.ours), a.lab.measure.show(a.reported))
        + (accuracy(a.lab.bar), a.word, a.state)
        for a in answers
    ]
    head = ("lab", "question", "ours, best", "report, best", "bar", "answer", "runs")
    return markdown_table(Table(head, rows))


def _section(answer: LabAnswer, figures: Sequence[Path]) -> list[str]:
    lab = answer.lab
    labels = [row.arm.label for row in answer.rows]
    rows = [row[:-1] for row in arm_table(answer, labels, lambda row: "").rows]
    head = ("setting", f"ours: {lab.measure.name}", "n", "report", "others", "loss before training")
    picture = next(path for path in figures if path.suffix == ".png")
    others = ", ".join(f"[{p.suffix[1:].upper()}]({p})" for p in figures if p != picture)
    parts = [
        f"## {lab.name}",
        f"{lab.question} **{answer.verdict}**",
        f"![{lab.name}]({picture})",
        f"*{_caption(answer)}* {others}",
        markdown_table(Table(head, rows)),
        f"To look at: {lab.look_at}. The loss before training lies beside ln 10 = 2.3026.",
    ]
    if answer.bar_reached is not None:
        reached = "reached" if answer.bar_reached else "not reached"
        parts.append(f"The assignment's bar, val_acc {lab.bar:g}: {reached}.")
    if lab.note:
        parts.append(lab.note)
    return parts


def _caption(answer: LabAnswer) -> str:
    """What the figure shows, and the setting, seeds, epochs, device and images behind it."""
    runs = _results(answer)
    specs = [run.spec for run in runs if run.spec]
    seeds = sorted({spec.seed for spec in specs})
    band = "; bands and bars are one standard deviation over seeds" if len(seeds) > 1 else ""
    single = len(answer.rows) == 1
    right = "the losses" if single else f"{answer.lab.measure.name} of each setting"
    return (
        f"{answer.lab.name}: val_acc over epochs (left) and {right} (right){band}. "
        f"{_shared(specs)}; {_epochs(answer, specs)}; "
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}; "
        f"{_devices(runs)}, {_time(runs)} of training; {markdown_text(answer.images.words)}."
    )


def _epochs(answer: LabAnswer, specs: Sequence[RunSpec]) -> str:
    epochs = ", ".join(str(n) for n in sorted({spec.epochs for spec in specs}))
    return f"{epochs} epochs" + (f" (scaled: {answer.scaled})" if answer.scaled else "")


def _shared(specs: Sequence[RunSpec]) -> str:
    """The settings in force in all runs on which these agree, in words."""
    values = [vars(spec) for spec in specs]
    models = sorted({model_name(v) for v in values})
    words = [" and ".join(models)]
    for name in with_role("result"):
        seen = {format_value(v[name]) for v in values}
        in_all = all(SETTINGS[name].applies(v) for v in values)
        if name not in TOLD and in_all and len(seen) == 1 and seen != {"0"}:
            words.append(f"{name} {seen.pop()}")
    return ", ".join(words)


def _results(answer: LabAnswer) -> list[Run]:
    return [run for row in answer.rows for run in row.results]


def _devices(runs: Sequence[Run]) -> str:
    """What the runs were trained on, by the names of the devices where they are known."""
    names = {str(read_meta(run.path).get("device") or run.summary.device) for run in runs}
    return ", ".join(sorted(markdown_text(shortened(name, 80)) for name in names))


def _time(runs: Sequence[Run]) -> str:
    return clock(sum(map(training_seconds, runs)))
