"""What `inspect` prints: how good, what is confused with what, how sure, the worst images."""

from rich.console import Console
from rich.segment import Segment, Segments

from cifar_tui import findings
from cifar_tui.commands.table import output_width
from cifar_tui.drawing.charts import beside
from cifar_tui.drawing.pictures import SIDE, gallery, picture, shows_colours
from cifar_tui.formats import accuracy, plain
from cifar_tui.runs.evaluation import Evaluation
from cifar_tui.runs.listing import Run
from cifar_tui.runs.origin import origin_of

ACROSS = 2
"""Pictures side by side."""


def print_evaluation(run: Run, found: Evaluation, worst: int, *, pictures: bool) -> None:
    """The whole evaluation, with so many of the worst images; drawn if asked for."""
    tables = (findings.class_lines(found), findings.reliability_lines(found))
    lines = [
        f"{run.name}  {findings.headline(found)}",
        *filter(None, (origin_of(run).remark(found.data), found.remark())),
        findings.confused_line(found),
        "",
        *findings.matrix_lines(found),
        "",
        findings.calibration_line(found),
        *beside(tables, findings.CLASS_WIDTH),
        findings.LEGEND,
        *_worst_lines(found, worst),
    ]
    for line in lines:
        print(plain(line))
    if pictures:
        _print_pictures(found, worst)


def _worst_lines(found: Evaluation, count: int) -> list[str]:
    if not found.worst or not count:
        return []
    names = findings.names_of(found)
    lines = ["", f"worst of {len(found.worst):,} wrong images"]
    lines.append(f"{'image':>7}  {'true':<11}{'predicted':<11}{'prob.':>7}{'of true':>9}")
    for one in found.worst[:count]:
        shares = f"{accuracy(one.probability):>7}{accuracy(one.probability_of_true):>9}"
        lines.append(f"{one.image:>7}  {names[one.true]:<11}{names[one.predicted]:<11}{shares}")
    return lines


def _print_pictures(found: Evaluation, count: int) -> None:
    console = Console(highlight=False, width=output_width())
    colours, each = shows_colours(console), SIDE + 8
    names = findings.names_of(found)
    shown = range(min(count, len(found.pictures), len(found.worst)))
    told = findings.captions(found.worst[: len(shown)], names, each - 1)
    for start in shown[::ACROSS]:
        some = shown[start : start + ACROSS]
        drawn = [picture(found.pixels(place), colours=colours) for place in some]
        for line in gallery(drawn, [told[place] for place in some], each):
            console.print(Segments([*line, Segment.line()]), end="")
