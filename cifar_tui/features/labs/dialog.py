"""How much of the experiments is trained, and the question before it is."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from cifar_tui.errors import Tick, UserError
from cifar_tui.features.labs.answer import LabAnswer
from cifar_tui.features.labs.experiments import Scale, make_scale
from cifar_tui.features.labs.launch import lacking, queue, seconds_needed
from cifar_tui.text import clock
from cifar_tui.tui.dialogs import Ask, FormDialog
from cifar_tui.tui.jobs import run_job
from cifar_tui.tui.screen import CifarScreen

if TYPE_CHECKING:
    from cifar_tui.app import CifarApp


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


def ask_to_launch(
    screen: CifarScreen, answers: Sequence[LabAnswer], then: Callable[[], None]
) -> None:
    """Queue all that the experiments lack, once the user has agreed to how much that is."""
    resumed, specs = lacking(answers)
    many = len(resumed) + len(specs)
    if not many:
        under_way = any(row.arriving for answer in answers for row in answer.rows)
        screen.notify("All runs are under way." if under_way else "No run is missing.")
        return

    app = screen.cifar

    def launch(sure: bool | None) -> None:
        if sure:
            screen.run_worker(lambda: _queue(app, answers, then), thread=True)

    def ask(question: str) -> None:
        app.push_screen(Ask(question, yes="launch"), launch)

    def fail(sentence: str) -> None:
        app.complain(UserError(sentence))

    app.keys_wait_for(run_job(screen, lambda tick: _question(app, answers), ask, fail))


def _question(app: "CifarApp", answers: Sequence[LabAnswer]) -> str:
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


def _queue(app: "CifarApp", answers: Sequence[LabAnswer], then: Callable[[], None]) -> None:
    try:
        for folder in app.launcher.in_order(queue(answers, app.runs.folder)):
            app.worker.add(folder)
    except UserError as error:
        app.call_from_thread(app.complain, error)
    app.call_from_thread(then)


class ScaleDialog(FormDialog[Scale]):
    """Seeds, epochs, images and precision of the experiments."""

    HINTS: ClassVar = {
        "seeds": "runs of each setting",
        "epochs": "empty: the full setting",
        "subset": "training images, 0 takes all",
        "precision": "fp32, tf32 or bf16",
    }

    def __init__(self, scale: Scale) -> None:
        texts = {name: "" if value is None else str(value) for name, value in vars(scale).items()}
        super().__init__("What each experiment trains", texts)

    def submit(self, texts: Mapping[str, str], tick: Tick) -> Scale:
        return make_scale(**texts)
