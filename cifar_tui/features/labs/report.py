"""An experiment's curves: the mean over seeds at each epoch, and how far the seeds spread."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.features.labs.answer import ArmResult, LabAnswer
from cifar_tui.features.labs.tables import arm_table
from cifar_tui.features.labs.trends import SMALL_WEIGHTS
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
from cifar_tui.spec.naming import flags, format_value, model_name
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


def draw(answer: LabAnswer, folder: Path, *, hand_in: bool = False) -> list[Path]:
    """Write the experiment's figure as PNG and SVG, without a display; returns the paths.

    On the left val_acc, with train_acc in broken lines. On the right a single setting has its
    losses, several the measure of each, unless to `hand_in` beside the report's and other
    students' figures.
    """

    def paint(left: Any, right: Any) -> None:
        _accuracies(left, answer.rows)
        if len(answer.rows) == 1:
            _losses(right, answer.rows[0])
        else:
            _points(right, answer, hand_in)

    paths = [folder / f"{answer.lab.name}.{kind}" for kind in PICTURE_FORMATS]
    files = list(zip(paths, PICTURE_FORMATS, strict=True))
    draw_figure(answer.lab.name, paint, files, synthetic=answer.images.synthetic)
    return paths


def _accuracies(axes: Any, rows: Sequence[ArmResult]) -> None:
    """val_acc of each setting, and train_acc in the same colour."""
    for row in rows:
        known = curves_of(row, ("val_acc", "train_acc"))
        colour, points = _mean(axes, row.arm.label, known["val_acc"]), known["train_acc"]
        axes.plot(list(points), [p.mean for p in points.values()], "--", color=colour, linewidth=1)
    finish(axes, "epoch", "val_acc, train_acc (broken)")


def _losses(axes: Any, row: ArmResult) -> None:
    for metric, points in curves_of(row, LOSSES).items():
        _mean(axes, metric, points)
    finish(axes, "epoch", "loss")


def _mean(axes: Any, label: str, points: Mapping[int, Spread]) -> Any:
    """A line with a band of one standard deviation; returns its colour, None without points."""
    if not points:
        return None
    line = curve(axes, label, list(points), [p.mean for p in points.values()])
    _band(axes, points, line.get_color())
    return line.get_color()


def _band(axes: Any, points: Mapping[int, Spread], colour: Any) -> None:
    known = [(e, *edges) for e, p in points.items() if (edges := p.band("sd"))]
    if known:
        axes.fill_between(*zip(*known, strict=True), color=colour, alpha=0.2, linewidth=0)


def _points(axes: Any, answer: LabAnswer, hand_in: bool) -> None:
    """Means with the standard deviation over seeds, the report's, and other students' range."""
    rows = list(enumerate(answer.rows))
    others = [(i, row.arm.others) for i, row in rows if row.arm.others and not hand_in]
    for i, found in others:
        label = "other students" if i == others[0][0] else None
        axes.plot([i, i], [found.low, found.high], color="0.75", linewidth=6, label=label)
    report = [(i, row.arm.report) for i, row in rows if row.arm.report and not hand_in]
    if report:
        places, figures = zip(*report, strict=True)
        axes.plot(places, figures, "s", color="0.4", fillstyle="none", label="report")
    ours = [(i, row.mean, row.sd or 0.0) for i, row in rows if row.mean is not None]
    if ours:
        places, means, spreads = zip(*ours, strict=True)
        axes.errorbar(
            places, means, spreads, fmt="o", color="C0", capsize=3, label="mean ± std over seeds"
        )
    axes.set_xticks([i for i, _ in rows], [row.arm.label for _, row in rows], rotation=20)
    axes.margins(x=0.15)
    finish(axes, "setting", answer.lab.measure.name)


TOLD = ("model", "depth", "epochs", "subset")
"""Settings of which a caption speaks in words of its own."""


def write_report(answers: Sequence[LabAnswer], output: Path, *, hand_in: bool = False) -> Path:
    """Write the report of all experiments with a result into the folder; returns its path.

    One experiment makes NAME.md, several results.md; the figures lie in `figures` beside it. To
    `hand_in`, it leaves out the report's and other students' figures, and has the code.
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
        drawn = {a.lab.name: draw(a, output / "figures", hand_in=hand_in) for a in told}
        for answer in told:
            if answer.lab.measure is SMALL_WEIGHTS:
                drawn[answer.lab.name] += draw_weights(answer, output / "figures")
        figures = {name: [p.relative_to(output) for p in paths] for name, paths in drawn.items()}
        write_atomic(path, markdown(answers, figures, hand_in=hand_in).encode())
    except OSError as error:
        raise UserError(f"Cannot write the report to {output}: {error.strerror}.") from None
    return path


def draw_weights(answer: LabAnswer, folder: Path) -> list[Path]:
    """Write histograms of the weights of each setting's first run; returns the paths."""
    from cifar_tui.features.weights.compute import read_weights
    from cifar_tui.features.weights.figure import draw_histograms

    rows = [(row.arm.label, row.results[0]) for row in answer.rows if row.results]
    paths = [folder / f"{answer.lab.name}-weights.{kind}" for kind in PICTURE_FORMATS]
    files = list(zip(paths, PICTURE_FORMATS, strict=True))
    found = [read_weights(run.path / "best.pt") for _, run in rows]
    draw_histograms([label for label, _ in rows], found, files, synthetic=answer.images.synthetic)
    return paths


def markdown(
    answers: Sequence[LabAnswer], figures: Mapping[str, Sequence[Path]], *, hand_in: bool = False
) -> str:
    """The report's text; `figures` names each experiment's PNG and SVG, relative to it."""
    told = [answer for answer in answers if answer.lab.name in figures]
    untold = [answer.lab.name for answer in answers if answer.lab.name not in figures]
    parts = ["# Results", *_introduction(told, hand_in)]
    if len(told) > 1:
        parts.append(_overview(told, hand_in))
    for answer in told:
        parts += _section(answer, figures[answer.lab.name], hand_in)
    if hand_in:
        parts += _code(told)
    if untold:
        parts += ["## Without a result", "Not trained so far: " + ", ".join(untold) + "."]
    return "\n\n".join(parts) + "\n"


def _introduction(answers: Sequence[LabAnswer], hand_in: bool) -> list[str]:
    images = answers[0].images
    runs = {run.id: run for answer in answers for run in _results(answer)}
    return [
        f"{len(runs)} runs on {markdown_text(images.words)}, "
        f"trained on {_devices(list(runs.values()))} in "
        f"{_time(list(runs.values()))} (h:mm:ss) together. {images.note}".strip(),
        "Figures are means over seeds, ± their standard deviation, of the best val_acc of each run "
        "unless a table's head says otherwise; train_acc is that of the same epoch, measured while "
        "training, and the gap is what it lies above val_acc. A difference is clear when it lies "
        "outside its 95 % confidence interval (Student's t, variance pooled over the settings "
        "compared); with one seed each, runs are taken to vary by the standard deviation that the "
        "verdict names. "
        + "The report's and other students' figures come from runs without a fixed seed; how many "
        "students there are stands in brackets." * (not hand_in),
    ]


def _overview(answers: Sequence[LabAnswer], hand_in: bool) -> str:
    rows = [
        (a.lab.name, a.lab.question, a.lab.measure.show(a.ours), a.lab.measure.show(a.reported))
        + (accuracy(a.lab.bar), a.word, a.state)
        for a in answers
    ]
    head = ("lab", "question", "best setting", "report", "asked for", "answer", "runs")
    return _table(Table(head, rows), hand_in)


def _table(table: Table, hand_in: bool) -> str:
    """The table without the runs' states, and without what is not the student's own."""
    foreign = ("report", "other students") * hand_in
    return markdown_table(table.only(*(name for name in table.names if name not in foreign)))


def _section(answer: LabAnswer, figures: Sequence[Path], hand_in: bool) -> list[str]:
    lab = answer.lab
    labels = [row.arm.label for row in answer.rows]
    table = arm_table(answer, labels, lambda row: "")
    table = table.only(*(name for name in table.names if name != "runs"))
    first, *more = [path for path in figures if path.suffix == ".png"]
    parts = [
        f"## {lab.name}",
        f"{lab.question} **{answer.verdict}**",
        _picture(first, figures),
        f"*{_caption(answer)}*",
        *(_picture(path, figures) for path in more),
        *["*Histograms of all weights of one run of each setting (log axis).*"] * bool(more),
        _table(table, hand_in),
        f"To look at: {lab.look_at}. Loss 0 is that before training; ln 10 = 2.3026.",
    ]
    if answer.bar_reached is not None:
        reached = "reached" if answer.bar_reached else "not reached"
        parts.append(f"Asked for is a val_acc of {lab.bar:g}: {reached}.")
    if lab.note and not hand_in:
        parts.append(lab.note)
    return parts


def _picture(path: Path, figures: Sequence[Path]) -> str:
    """The picture, with links to its other formats."""
    others = [p for p in figures if p.stem == path.stem and p != path]
    links = ", ".join(f"[{p.suffix[1:].upper()}]({p})" for p in others)
    return f"![{path.stem}]({path})\n{links}"


def _code(answers: Sequence[LabAnswer]) -> list[str]:
    """How each run was made, and the code of the nets and of the step that trained them."""
    import inspect

    from cifar_tui.models import resnet, simplenn
    from cifar_tui.training import step

    commands = dict.fromkeys(
        f"cifar-tui train {flags(run.spec)}" for a in answers for run in _results(a) if run.spec
    )
    models = {run.spec.model for a in answers for run in _results(a) if run.spec}
    modules = [m for m, name in ((simplenn, "simplenn"), (resnet, "resnet")) if name in models]
    sources = [inspect.getsource(module) for module in (*modules, step)]
    return [
        "## Code",
        "The runs were made by these commands:",
        _fenced("sh", "\n".join(commands)),
        "The nets, and the step that trains them:",
        *(_fenced("python", source) for source in sources),
    ]


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.strip()}\n```"


def _caption(answer: LabAnswer) -> str:
    """What the figure shows, and the setting, seeds, epochs, device and images behind it."""
    runs = _results(answer)
    specs = [run.spec for run in runs if run.spec]
    seeds = sorted({spec.seed for spec in specs})
    band = "; bands and bars are one standard deviation over seeds" if len(seeds) > 1 else ""
    single = len(answer.rows) == 1
    right = "the losses" if single else f"{answer.lab.measure.name} of each setting"
    return (
        f"{answer.lab.name}: val_acc and train_acc over epochs (left) and {right} (right){band}. "
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
