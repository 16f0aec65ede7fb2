"""The commands `lab list`, `show`, `run` and `report`: the assignment's experiments."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.completion import one_of
from cifar_tui.console.flags import (
    ANY_BACKEND,
    AS_TYPED,
    IMAGES,
    RUNS,
    DataDir,
    Device,
    Json,
    OnBackend,
    RunsDir,
)
from cifar_tui.console.help import examples
from cifar_tui.console.printing import put
from cifar_tui.features.labs.answer import ArmResult, Book, LabAnswer
from cifar_tui.features.labs.assignment import LABS, find_labs
from cifar_tui.features.labs.experiments import Lab, Scale, make_scale
from cifar_tui.features.labs.images import ImageSet, choose_images
from cifar_tui.features.labs.tables import arm_table, lab_table
from cifar_tui.runs.listing import Runs
from cifar_tui.spec.checks import SETTINGS

if TYPE_CHECKING:
    LabNames = tuple[str, ...]
else:
    LabNames = Annotated[
        tuple[Literal[(*(lab.name for lab in LABS), "all")], ...],
        *AS_TYPED,
        Parameter(name="NAME", help="Experiments, the beginning of some, like lab2, or all."),
    ]
PRECISIONS = SETTINGS["precision"].choices
SomeData = Annotated[
    str | None, IMAGES, Parameter(help="Folder with the images, or `demo`; else the usual one.")
]


@Parameter(name="*")
@dataclass(frozen=True)
class ScaleFlags:
    """How much of each experiment is meant; the same flags with every lab command."""

    epochs: Annotated[
        int | None,
        Parameter(help="Fewer epochs than the full setting; schedules shrink with them."),
    ] = None
    seeds: Annotated[int, Parameter(help="Runs of each setting, from seed 0 on.")] = 1
    subset: Annotated[int, Parameter(help="Train on the first n images only; 0 takes all.")] = 0
    precision: Annotated[
        str, Parameter(help="fp32, tf32 or bf16.", metavar="CHOICE", completer=one_of(PRECISIONS))
    ] = "fp32"

    def checked(self) -> Scale:
        return make_scale(self.epochs, self.seeds, self.subset, self.precision)


FULL = ScaleFlags()


@examples(
    "lab list",
)
def lab_list(
    *,
    scale: ScaleFlags = FULL,
    data: SomeData = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """List the experiments: how far each is, and what it answers."""
    found = _read(list(LABS), scale.checked(), data, runs)
    if json:
        printing.print_json([answer.to_dict() for answer in found])
    else:
        print_labs(found)


@examples(
    "lab show lab2-bn-lr",
)
def lab_show(
    names: LabNames,
    /,
    *,
    scale: ScaleFlags = FULL,
    data: SomeData = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show experiments: the question, our figures beside the report's, and the verdict."""
    found = _read(find_labs(*names), scale.checked(), data, runs)
    _print(found, json)


@examples(
    "lab run lab2-bn-lr",
    "lab run lab2 --seeds 3 --detach",
    "lab run all --epochs 3 --subset 5000",
)
def lab_run(
    names: LabNames,
    /,
    *,
    scale: ScaleFlags = FULL,
    device: Device = "auto",
    detach: Annotated[
        bool, Parameter(negative=(), help="Train in the background and return at once.")
    ] = False,
    on: OnBackend = ANY_BACKEND,
    data: DataDir = "data",
    json: Json = False,
    runs: RunsDir = RUNS,
) -> int:
    """Train the runs that experiments lack; those that exist already are not repeated."""
    from cifar_tui.console.progress import train_printer
    from cifar_tui.features.labs.launch import lacking, queue
    from cifar_tui.queue import headless
    from cifar_tui.queue.choices import make_backend

    labs, wanted = find_labs(*names), scale.checked()
    where: dict[str, Any] = {"data": data, "device": device}
    printer = train_printer(json)
    images = _open_images(labs[0], wanted, where, printer.note)
    found = _answers(labs, wanted, images, runs, **where)
    backend, _ = make_backend(runs, on.wish())
    for spec in lacking(found)[1]:
        backend.check(spec)
    backend.close()
    folders = queue(found, runs)
    if detach:
        ids = headless.detach_folders(folders, runs, on.wish())
        trains = f"In the background: {', '.join(ids)}." if ids else "Nothing is missing."
        printing.say(
            {"runs": ids}, f"{trains}\n`cifar-tui lab show {' '.join(names)}` shows them.", json
        )
        return 0
    code = 0
    if folders:
        code = headless.train_folders(folders, runs, printer, on.wish())
    found = _answers(labs, wanted, images, runs)
    if json:
        for answer in found:
            print(printing.json_text({"event": "lab", **answer.to_dict()}), flush=True)
    else:
        _print(found, False)
    return code


@examples(
    "lab report all --output report",
    "lab report lab2 --output hand-in --hand-in",
)
def lab_report(
    names: LabNames,
    /,
    *,
    output: Annotated[
        Path, Parameter(help="Folder for the report and its figures.", metavar="FOLDER")
    ],
    hand_in: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Leave out the report's and other students' figures; add commands and code.",
        ),
    ] = False,
    scale: ScaleFlags = FULL,
    data: SomeData = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Write Markdown with tables and figures (PNG and SVG) from the runs that are there."""
    from cifar_tui.features.labs.report import write_report

    answers = _read(find_labs(*names), scale.checked(), data, runs)
    path = write_report(answers, output, hand_in=hand_in)
    printing.say({"report": str(path)}, f"The report is in {path}.", json)


def _open_images(lab: Lab, scale: Scale, where: dict[str, Any], note: Any) -> ImageSet:
    """The very images that would be trained on; raises UserError for what would fail at once."""
    from cifar_tui.data.find import find
    from cifar_tui.training.device import check_run

    spec = lab.arms[0].spec(lab.name, scale, **where)
    said = find(spec.data).note
    if said:
        note(said)
    dataset = check_run(spec)
    return ImageSet(dataset.source, dataset.fingerprint)


def _read(labs: list[Lab], scale: Scale, data: str | None, runs: Path) -> list[LabAnswer]:
    return _answers(labs, scale, choose_images(data, Runs(runs).all()), runs)


def _answers(
    labs: list[Lab], scale: Scale, images: ImageSet, runs: Path, **where: Any
) -> list[LabAnswer]:
    book = Book(Runs(runs).all(), images)
    return [book.answer(lab, scale, **where) for lab in labs]


def _print(found: list[LabAnswer], as_json: bool) -> None:
    """One experiment as an object, several as an array; or as text."""
    if as_json:
        each = [answer.to_dict() for answer in found]
        printing.print_json(each[0] if len(each) == 1 else each)
        return
    for number, answer in enumerate(found):
        if number:
            print()
        print_answer(answer)


def print_labs(answers: Sequence[LabAnswer]) -> None:
    """The experiments, a line each, and which images their figures are about."""
    scaled = [f"Scaled: {answers[0].scaled}."] if answers[0].scaled else []
    settled = "A question mark: not yet settled; more seeds help."
    put(lab_table(answers), _images_line(answers[0]), *scaled, settled)


def print_answer(found: LabAnswer) -> None:
    """One experiment: its settings with our figures beside the others, and the verdict."""
    bar = "" if found.lab.bar is None else f"   the assignment asks for val_acc {found.lab.bar:g}"
    if found.bar_reached is not None:
        bar += f": {'reached' if found.bar_reached else 'not reached'}"
    put(
        f"{found.lab.name}  {found.lab.question}",
        f"{found.state}{bar}",
        arm_table(found, [row.arm.label for row in found.rows], _runs_text),
        "loss 0: before training, beside ln 10 = 2.3026",
        f"look at  {found.lab.look_at}",
        f"answer   {found.verdict}",
        _images_line(found),
        *([found.lab.note] if found.lab.note else []),
    )


def _runs_text(row: ArmResult) -> str:
    """How many runs, what the unfinished ones do, and where they were trained."""
    words = [
        run.status
        if run.status in ("finished", "diverged")
        else f"{run.status} {run.summary.epochs_done}/{run.summary.epochs}"
        for run in row.runs
    ]
    counted = {word: words.count(word) for word in words}
    states = ", ".join(word if n == 1 else f"{n} {word}" for word, n in counted.items())
    return f"{states} {row.devices}".strip()


def _images_line(found: LabAnswer) -> str:
    note = f". {found.images.note}" if found.images.note else ""
    return f"images   {found.images.words}{note}"


COMMANDS = {
    "lab list": lab_list,
    "lab show": lab_show,
    "lab run": lab_run,
    "lab report": lab_report,
}
