"""The experiments as tables: a row for each, and of one a row for each of its settings."""

from collections.abc import Callable, Sequence

from cifar_tui.features.labs.answer import ArmResult, LabAnswer
from cifar_tui.table import Column, Table, figures
from cifar_tui.text import accuracy, loss


def lab_table(answers: Sequence[LabAnswer]) -> Table:
    """How far each experiment is, its best result beside the report's, and the answer."""
    columns = (
        *(Column("lab", 18, least=18), Column("state", 16)),
        *figures("result", "report", "asked", width=8),
        *(Column("answer", 7), Column("question", 8, grows=True, least=30)),
    )
    return Table(columns, map(_lab_row, answers), drop=("asked", "report"))


def _lab_row(answer: LabAnswer) -> tuple[str, ...]:
    lab, show = answer.lab, answer.lab.measure.show_with_unit
    figures = (show(answer.ours), show(answer.reported), accuracy(lab.bar))
    return (lab.name, answer.state, *figures, answer.word, lab.question)


def arm_table(
    answer: LabAnswer, names: Sequence[str], runs_text: Callable[[ArmResult], str]
) -> Table:
    """Each setting's figures beside the report's and other students', and what its runs do."""
    show = answer.lab.measure.show
    columns = (
        *(Column("setting", 16, grows=True), Column(answer.lab.measure.name)),
        *figures("n", "train_acc", "gap", "report", "other students", "loss 0"),
        Column("runs", 16, grows=True),
    )
    rows = [
        (name, row.figure(show), str(len(row.values)), accuracy(row.train_acc), signed(row.gap))
        + (show(row.arm.report), row.arm.others_words, loss(row.initial_loss), runs_text(row))
        for name, row in zip(names, answer.rows, strict=True)
    ]
    return Table(columns, rows, drop=("loss 0", "train_acc", "gap"))


def signed(value: float | None) -> str:
    """A difference between accuracies; `-` where there is none."""
    return "-" if value is None else f"{value:+.4f}"
