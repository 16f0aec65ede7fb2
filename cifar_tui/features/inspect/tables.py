"""An evaluation in lines of text, the same in commands and screens; at most 80 cells wide."""

from collections.abc import Sequence

from cifar_tui.features.inspect.core import Bin, ClassFigures, Evaluation, Mistake
from cifar_tui.text import accuracy, loss, plain

WIDTH = 79
NAME = 11
"""Cells of a class's name, the gap included."""
CORNER = "true\\pred."
CELL = 6
"""Cells of a count of the confusion matrix."""
CLASS_WIDTH, RELIABILITY_WIDTH = 41, 38
CLASS_BAR, RELIABILITY_BAR = 8, 10
MOST_CONFUSED = 3
SUREST = 4
"""So many of a cell's images are named by their places in the split."""
EIGHTHS = " ▏▎▍▌▋▊▉█"
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


def confused_line(evaluation: Evaluation) -> str:
    """Which classes are taken for which others most often, as many as fit."""
    names, line = names_of(evaluation), "most often taken:"
    if not evaluation.confused:
        return "nothing is taken for anything else"
    for pair in evaluation.confused[:MOST_CONFUSED]:
        more = f" {names[pair.true]} for {names[pair.predicted]} ({pair.images:,}),"
        line += more if len(line + more) < WIDTH else ""
    return line.removesuffix(",")


def calibration_line(evaluation: Evaluation) -> str:
    """Whether the net is as sure as it is right."""
    return (
        f"{evaluation.verdict()}: mean confidence {accuracy(evaluation.mean_confidence)}, "
        f"accuracy {accuracy(evaluation.accuracy)}, ECE {accuracy(evaluation.calibration_error)}"
    )


def matrix_header(evaluation: Evaluation) -> str:
    """The predicted classes over the columns of the confusion matrix, short."""
    cells = "".join(f"{name[: CELL - 1]:>{CELL}}" for name in names_of(evaluation))
    return f"{CORNER:<{NAME}}{cells}{'recall':>8}"


def matrix_cells(evaluation: Evaluation, row: int, *, shares: bool) -> list[str]:
    """Counts of one true class, or percent of its images; a dot for none."""
    counts = evaluation.confusion[row]
    images = sum(counts)
    return [
        f"{'.' if not n else f'{100 * n / images:.1f}' if shares else f'{n:,}':>{CELL}}"
        for n in counts
    ]


def matrix_row(evaluation: Evaluation, row: int, *, shares: bool) -> tuple[str, list[str], str]:
    """The name of a true class, its cells, and its recall."""
    name = f"{names_of(evaluation)[row]:<{NAME}}"
    recall = f"{accuracy(evaluation.per_class[row].recall):>8}"
    return name, matrix_cells(evaluation, row, shares=shares), recall


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
        f"row    {names[row]}: recall {accuracy(true.recall)}, {missed:,} missed",
        f"column {names[column]}: precision {accuracy(said.precision)} of {said.predicted:,}",
        *([f"surest {surest}"] if surest else []),
    ]


def class_lines(evaluation: Evaluation, bar: int = CLASS_BAR) -> list[str]:
    """Recall as a bar, precision and images of each class."""
    header = f"{'class':<{NAME}}recall {'':<{bar}}{'prec.':>7}{'images':>7}"
    return [header, *(_class_line(evaluation, one, bar) for one in evaluation.per_class)]


def _class_line(evaluation: Evaluation, one: ClassFigures, bar: int) -> str:
    name = names_of(evaluation)[one.label]
    drawn = filled(one.recall or 0.0, bar)
    return (
        f"{name:<{NAME}}{accuracy(one.recall):<6} {drawn}{accuracy(one.precision):>7}"
        f"{one.images:>7,}"
    )


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


def filled(share: float, width: int) -> str:
    """A bar of so many cells, filled from the left in steps of an eighth."""
    eighths = round(share * width * 8)
    whole, part = divmod(eighths, 8)
    return f"{'█' * whole}{EIGHTHS[part] if part else ''}".ljust(width)


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
            return texts
    return [text[:room] for text in texts]
