"""An evaluation in lines of text, at most 80 cells wide, and what a run's folder tells."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cifar_tui.drawing import filled
from cifar_tui.features.inspect.core import Bin, Evaluation, Mistake
from cifar_tui.runs.disk import Content, size_text, total
from cifar_tui.runs.events import (
    WORDS,
    CheckpointSaved,
    Ended,
    EpochDone,
    Remark,
    Resumed,
    RunEvent,
    Started,
    epochs_of,
    read_events,
)
from cifar_tui.runs.listing import Run, read_meta
from cifar_tui.spec.checks import SETTINGS, format_value
from cifar_tui.table import Column, Table, figures
from cifar_tui.text import accuracy, at_epoch, clock, loss, plain

LONGEST = 200
"""Most characters of a text from an event."""
WIDTH = 79
NAME = 11
"""Cells of a class's name, the gap included."""
CORNER = "true\\pred."
CELL = 6
"""Cells of a count of the confusion matrix."""
RECALL = 7
CLASS_WIDTH, RELIABILITY_WIDTH = 41, 38
CLASS_BAR, RELIABILITY_BAR = 8, 10
MOST_CONFUSED = 3
SUREST = 4
"""How many of a cell's images are named by their places in the split."""
LEGEND = "█ accuracy of a bin, | its mean confidence; ECE is their mean distance over all images"


def names_of(evaluation: Evaluation) -> list[str]:
    """What the classes are called, on one line and short."""
    return [plain(name)[: NAME - 1] for name in evaluation.names]


def headline(evaluation: Evaluation) -> str:
    """How good, on which images, at which epoch."""
    return (
        f"accuracy {accuracy(evaluation.accuracy)}, loss {loss(evaluation.loss)} on "
        f"{evaluation.images_text()}, epoch {evaluation.epoch}"
    )


def confusion_answer(evaluation: Evaluation, width: int) -> str:
    """The most common mistake, and how good the net is; all that is said of it where it fits."""
    first = ""
    if evaluation.confused:
        pair, names = evaluation.confused[0], names_of(evaluation)
        first = f"{names[pair.true]} -> {names[pair.predicted]} most often ({pair.images:,}); "
    long = first + headline(evaluation)
    brief = f"{first}accuracy {accuracy(evaluation.accuracy)} on {evaluation.images_text()}"
    return long if len(long) <= width else brief


def confused_line(evaluation: Evaluation) -> str:
    """Which classes are taken for which others most often, as many as fit."""
    names, line = names_of(evaluation), "most common mistakes:"
    if not evaluation.confused:
        return "nothing is taken for anything else"
    for pair in evaluation.confused[:MOST_CONFUSED]:
        more = f" {names[pair.true]} -> {names[pair.predicted]} ({pair.images:,}),"
        line += more if len(line + more) < WIDTH else ""
    return line.removesuffix(",")


def calibration_line(evaluation: Evaluation) -> str:
    """Whether the net is as sure as it is right."""
    return (
        f"{evaluation.verdict()}: mean confidence {accuracy(evaluation.mean_confidence)}, "
        f"accuracy {accuracy(evaluation.accuracy)}, ECE {accuracy(evaluation.calibration_error)}"
    )


def cell_width(evaluation: Evaluation, width: int) -> int:
    """Cells of a count where the matrix may be `width` cells wide: up to what whole names need."""
    most = max(CELL, *(len(name) + 1 for name in names_of(evaluation)))
    return max(CELL, min(most, (width - NAME - RECALL) // len(evaluation.names)))


def matrix_header(evaluation: Evaluation, cell: int = CELL) -> str:
    """The predicted classes over the columns of the confusion matrix, as long as they fit."""
    cells = "".join(f"{name[: cell - 1]:>{cell - 1}} " for name in names_of(evaluation))
    return f"{CORNER:<{NAME}}{cells}{'recall':>{RECALL}}"


def matrix_row(
    evaluation: Evaluation, row: int, *, shares: bool, cell: int = CELL
) -> tuple[str, list[str], str]:
    """The name of a true class, its counts or percent of its images, and its recall."""
    counts = evaluation.confusion[row]
    texts = [f"{100 * n / sum(counts):.1f}" if shares and n else f"{n:,}" for n in counts]
    cells = [f"{text if text != '0' else '.':>{cell - 1}} " for text in texts]
    recall = f"{accuracy(evaluation.per_class[row].recall):>{RECALL}}"
    return f"{names_of(evaluation)[row]:<{NAME}}", cells, recall


def matrix_lines(evaluation: Evaluation) -> list[str]:
    """The confusion matrix in counts."""
    rows = [matrix_row(evaluation, row, shares=False) for row in range(len(evaluation.names))]
    return [
        matrix_header(evaluation),
        *(f"{name}{''.join(cells)}{recall}" for name, cells, recall in rows),
    ]


def cell_words(evaluation: Evaluation, row: int, column: int) -> list[str]:
    """What one cell of the confusion matrix, its row and its column say."""
    names, count = names_of(evaluation), evaluation.confusion[row][column]
    true, said = evaluation.per_class[row], evaluation.per_class[column]
    missed = true.images - evaluation.confusion[row][row]
    here = [one for one in evaluation.worst if (one.true, one.predicted) == (row, column)]
    surest = ", ".join(f"#{one.image} at {one.probability:.2f}" for one in here[:SUREST])
    return [
        f"true {names[row]}, predicted {names[column]}: {count:,} of {true.images:,} images",
        f"{names[row]}: recall {accuracy(true.recall)}, {missed:,} missed; "
        f"{names[column]}: precision {accuracy(said.precision)} of {said.predicted:,}",
        *([f"surest {surest}"] if surest else []),
    ]


def class_lines(evaluation: Evaluation, bar: int = CLASS_BAR) -> list[str]:
    """Recall as a bar, precision and images of each class."""
    header = f"{'class':<{NAME}}recall {'':<{bar}}{'prec.':>7}{'images':>7}"
    names = names_of(evaluation)
    return [
        header,
        *(
            f"{names[one.label]:<{NAME}}{accuracy(one.recall):<6} {filled(one.recall or 0.0, bar)}"
            f"{accuracy(one.precision):>7}{one.images:>7,}"
            for one in evaluation.per_class
        ),
    ]


def reliability_lines(evaluation: Evaluation, bar: int = RELIABILITY_BAR) -> list[str]:
    """The reliability diagram: confidence and accuracy of each bin."""
    header = f"{'sure':<7}{'images':>7}{'conf.':>7}{'acc.':>7}"
    return [header, *(_bin_line(one, bar) for one in evaluation.reliability)]


def _bin_line(one: Bin, bar: int) -> str:
    drawn = filled(one.accuracy or 0.0, bar)
    if one.confidence is not None:
        place = min(bar - 1, int(one.confidence * bar))
        drawn = f"{drawn[:place]}|{drawn[place + 1 :]}"
    figures = f"{accuracy(one.confidence):>7}{accuracy(one.accuracy):>7}"
    return f"{one.low:.1f}-{one.high:.1f}{one.images:>7,}{figures} {drawn}"


def captions(mistakes: Sequence[Mistake], names: list[str], room: int) -> list[str]:
    """What wrong images are and what they were taken for: in one form, of which all have room."""
    forms = (
        "#{image} true {true}, predicted {said} at {sure:.2f}",
        "true {true}, predicted {said} at {sure:.2f}",
        "{true} taken for {said} {sure:.2f}",
        "{sure:.2f} {true}>{said}",
    )
    texts: list[str] = []
    for form in forms:
        texts = [
            form.format(
                image=one.image,
                true=names[one.true],
                said=names[one.predicted],
                sure=one.probability,
            )
            for one in mistakes
        ]
        if all(len(text) <= room for text in texts):
            break
    return [text[:room] for text in texts]


def worst_table(evaluation: Evaluation, count: int) -> Table:
    """A row for each of the `count` worst images, with the probabilities of both classes."""
    names = names_of(evaluation)
    rows = [
        (str(one.image), names[one.true], names[one.predicted])
        + (accuracy(one.probability), accuracy(one.probability_of_true))
        for one in evaluation.worst[:count]
    ]
    return Table([*figures("image"), "true", "predicted", *figures("prob.", "of true")], rows)


def settings_answer(run: Run) -> str:
    """What became of the run, and how many settings are its own."""
    summary = run.summary
    reason = f": {summary.reason}" if summary.reason else ""
    where = f" on {summary.device}" if summary.device else ""
    differ = len(run.changed)
    many = f"{differ} setting{'' if differ == 1 else 's'} changed"
    return plain(f"{run.status}{reason}, {clock(summary.seconds)}{where}; {many}")


def settings_lines(run: Run) -> list[str]:
    """Name, figures, settings (those that differ from the defaults first), environment, git."""
    summary, meta = run.summary, read_meta(run.path)
    lines = [f"id       {run.id}", f"best     val_acc {at_epoch(summary.best)}"]
    if run.problem:
        lines.append(f"problem  {run.problem}")
    if summary.parameters:
        lines.append(f"weights  {summary.parameters:,} parameters")
    lines += [f"{label:<9}{text}" for label, text in run.remarks.items()]
    values = run.spec.model_dump() if run.spec else {}
    texts = {name: format_value(values[name]) for name in values} | dict.fromkeys(
        summary.unknown, "-"
    )
    applying = [n for n, setting in SETTINGS.items() if n in values and setting.applies(values)]
    own = [name for name in applying if name in run.changed]
    others = [name for name in applying if name not in own]
    for title, names in (("settings changed", own), ("other settings", others)):
        if names:
            lines += ["", title, *(f"  {name:<15}{texts[name]}" for name in names)]
    if meta:
        lines += ["", "made with", *_meta_lines(meta)]
    return [plain(line) for line in lines]


def _meta_lines(meta: dict[str, Any]) -> list[str]:
    lines = []
    for name, value in meta.items():
        if isinstance(value, dict):
            value = "  ".join(f"{k} {v}" for k, v in value.items() if v)
        elif isinstance(value, list):
            value = " ".join(map(str, value))
        lines.append(f"  {name:<9}{value}")
    return lines


def event_table(run: Path) -> Table:
    """What happened besides the epochs: when, after how long, what, at which epoch."""
    columns = (
        Column("when", 15),
        *figures("after", width=9),
        Column("event", 11),
        *figures("epoch", width=6),
        Column("", 9, grows=True),
    )
    events = read_events(run)
    reached = {epoch.epoch: epoch.val_acc for epoch in epochs_of(events)}
    began = next((t for event in events if (t := _time(event)) is not None), None)
    rows = []
    for event in events:
        if not isinstance(event, EpochDone):
            now = _time(event)
            when = "-" if now is None else f"{datetime.fromtimestamp(now):%m-%d %H:%M:%S}"
            after = clock(None if now is None or began is None else now - began)
            epoch = event.epoch if isinstance(event, Resumed | CheckpointSaved) else None
            text = _event_text(event, None if epoch is None else reached.get(epoch))
            number = "" if epoch is None else str(epoch)
            rows.append((when, after, WORDS[type(event)], number, text))
    return Table(columns, rows)


def _time(event: RunEvent) -> float | None:
    """Its time of day; None where it has none that a clock could show."""
    return event.time if event.time is not None and 0 <= event.time < 1e11 else None


def _short(value: Any) -> str:
    return plain(str(value))[:LONGEST]


def _event_text(event: RunEvent, val_acc: float | None) -> str:
    match event:
        case Started():
            return f"{event.epochs} epochs, loss {loss(event.initial_loss)} before"
        case Resumed():
            return "goes on after this epoch"
        case CheckpointSaved():
            kept = "best.pt, last.pt" if event.best else "last.pt"
            return f"val_acc {accuracy(val_acc)}  {kept}"
        case Remark():
            return _short(event.text)
        case Ended():
            return _short(event.status) + (f": {_short(event.reason)}" if event.reason else "")
        case _:
            return ""


def events_answer(rows: Sequence[Sequence[str]]) -> str:
    """How often it began, how many epochs were kept, and when it got better last."""
    kinds = [row[2] for row in rows]
    resumes, epochs = kinds.count("resume"), kinds.count("checkpoint")
    better = [row[3] for row in rows if row[2] == "checkpoint" and "best.pt" in row[4]]
    parts = [
        "1 start" if kinds.count("start") == 1 else f"{kinds.count('start')} starts",
        f"{resumes} resumed" if resumes else "",
        f"{epochs} epoch{'' if epochs == 1 else 's'} kept",
        f"best improved {_times(len(better))}, last at epoch {better[-1]}" if better else "",
    ]
    return ", ".join(filter(None, parts))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def file_table(files: list[Content]) -> Table:
    """Each file with its size, when it was written, and what it is there for."""
    rows = [
        (
            file.name,
            size_text(file.size),
            f"{datetime.fromtimestamp(max(0.0, file.written)):%Y-%m-%d %H:%M}",
            file.purpose,
        )
        for file in files
    ]
    size = figures("size", width=9)
    columns = (Column("file", 22), *size, Column("written", 17), Column("", 9, grows=True))
    return Table(columns, rows)


def files_answer(files: list[Content]) -> str:
    """How much it takes, and what would be freed."""
    last = sum(file.size for file in files if file.name == "last.pt")
    freed = f"; deleting last.pt (D in History) frees {size_text(last)}" if last else ""
    return f"{size_text(total(files))} in {len(files)} files{freed}"
