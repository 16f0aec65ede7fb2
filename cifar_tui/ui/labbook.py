"""What the screens of the lab book share: reading the answers, and launching what is missing."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cifar_tui.errors import UserError
from cifar_tui.formats import clock
from cifar_tui.labs.answer import Answer, Book
from cifar_tui.labs.images import choose_images
from cifar_tui.labs.lab import Lab, Scale
from cifar_tui.labs.launch import lacking, queue, seconds_needed
from cifar_tui.ui.dialogs import Ask
from cifar_tui.ui.scale import ScaleDialog
from cifar_tui.ui.screen import CifarScreen

if TYPE_CHECKING:
    from cifar_tui.ui.app import CifarApp

READ_EVERY = 2.0
"""Seconds between two looks at the run folders while a screen of the lab book is shown."""


def read_answers(app: "CifarApp", labs: Sequence[Lab], scale: Scale) -> list[Answer] | UserError:
    """How the experiments stand, or why that cannot be read; for a thread."""
    try:
        runs = app.runs.all()
        book = Book(runs, choose_images(app.data, runs))
    except UserError as error:
        return error
    return [book.answer(lab, scale, data=app.data) for lab in labs]


def scale_of(app: "CifarApp") -> Scale:
    """How much of each experiment is shown and launched."""
    return app.lab_scale or Scale()


def scale_words(scale: Scale) -> list[str]:
    """What of a scale is not the full setting with one seed."""
    words = [f"{scale.seeds} seeds"] if scale.seeds > 1 else []
    words += [f"{scale.epochs} epochs"] if scale.epochs is not None else []
    words += [f"{scale.subset:,} images"] if scale.subset else []
    return words + ([scale.precision] if scale.precision != "fp32" else [])


def ask_for_scale(screen: CifarScreen, then: Callable[[], None]) -> None:
    """Let the user choose how much of each experiment is shown and launched."""

    def take(scale: Scale | None) -> None:
        if scale is not None:
            screen.cifar.lab_scale = scale
            then()

    screen.app.push_screen(ScaleDialog(scale_of(screen.cifar)), take)


def ask_to_launch(screen: CifarScreen, answers: Sequence[Answer], then: Callable[[], None]) -> None:
    """Queue all that the experiments lack, once the user has agreed to how much that is."""
    resumed, specs = lacking(answers)
    many = len(resumed) + len(specs)
    if not many:
        under_way = any(row.arriving for answer in answers for row in answer.rows)
        screen.notify("All runs are under way." if under_way else "No run is missing.")
        return

    def launch(sure: bool | None) -> None:
        if sure:
            screen.run_worker(lambda: _queue(screen, answers, then), thread=True)

    screen.app.push_screen(Ask(_question(screen.cifar, answers), yes="launch"), launch)


def _question(app: "CifarApp", answers: Sequence[Answer]) -> str:
    resumed, specs = lacking(answers)
    many = len(resumed) + len(specs)
    what = answers[0].lab.name if len(answers) == 1 else f"{len(answers)} labs"
    words = [f"Launch {many} run{'s' if many > 1 else ''} of {what}"]
    words += [f"{len(resumed)} of them resumed"] if resumed else []
    words += [f"on {answers[0].images.kind}", *scale_words(answers[0].scale)]
    words += [f"trained by {app.wish.name}"] if app.wish.name != "thread" else []
    seconds = seconds_needed(answers, app.runs.all())
    time = "How long it takes is not known yet."
    if seconds is not None:
        time = f"About {clock(seconds)} by the pace of runs like these."
    return f"{', '.join(words)}? {time}"


def _queue(screen: CifarScreen, answers: Sequence[Answer], then: Callable[[], None]) -> None:
    app = screen.cifar
    try:
        for folder in app.in_order(queue(answers, app.runs.folder)):
            app.worker.add(folder)
    except UserError as error:
        app.call_from_thread(app.complain, error)
    app.call_from_thread(then)
