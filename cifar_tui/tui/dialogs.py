"""What opens over a screen: questions with yes or no, forms, and the help."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Generic, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static

from cifar_tui.errors import Tick
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain, runs_text
from cifar_tui.tui.jobs import Result, run_job
from cifar_tui.tui.keys import EVERYWHERE, Key, keys_for
from cifar_tui.tui.textual_internals import BaseApp


class AskToLeave(ModalScreen[str]):
    """Leaving while runs are trained: `b` keeps them training, `s` stops them, Esc stays."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("b", "answer('background')", "background"),
        ("s,y", "answer('stop')", "stop"),
        ("n,escape", "answer('')", "stay"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False)
            yield Static(
                "\nb keep training in the background   s stop   n or Esc stay here",
                markup=False,
            )

    def action_answer(self, choice: str) -> None:
        """Close with the choice, empty for none."""
        self.dismiss(choice)


def leaving_question(own: Sequence[Run], queued: int, making: int) -> str:
    """What leaving would end: runs in training, runs that wait, and runs that are being made."""
    training = [run for run in own if run.status != "queued"]
    waiting = queued + len(own) - len(training)
    kept = "whole epochs are kept and they can be resumed."
    parts = []
    if len(training) == 1:
        (run,) = training
        kept = f"{run.summary.epochs_done} of {run.summary.epochs} epochs are kept"
        parts.append(f"{plain(run.name)} is in training. If stopped, {kept} and it can be resumed.")
    elif training:
        parts.append(f"{len(training)} runs are in training. If stopped, their {kept}")
    if waiting:
        parts.append(f"{waiting} {'runs wait' if waiting > 1 else 'run waits'} to be trained.")
    if making:
        parts.append(f"{runs_text(making)} still being made. If stopped, no more of them are.")
    return "\n".join(parts)


class Ask(ModalScreen[bool]):
    """A question whose text names the consequence; `y` agrees, Esc or `n` does not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "answer(True)", "yes"),
        ("n,escape", "answer(False)", "no"),
    ]

    def __init__(self, question: str, *, yes: str) -> None:
        super().__init__()
        self._question = question
        self._yes = yes

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False)
            yield Static(f"\ny {self._yes}   n or Esc cancel", markup=False)

    def action_answer(self, sure: bool) -> None:
        """Close with the answer."""
        self.dismiss(sure)


class HelpScreen(ModalScreen[None]):
    """All keys, from the same table as the footer."""

    BINDINGS: ClassVar[list[BindingType]] = [("question_mark,f1,escape", "app.back", "back")]

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def compose(self) -> ComposeResult:
        lines = [
            f"Keys here ({self._mode})",
            *map(_key_line, keys_for(self._mode)),
            "",
            "Keys everywhere",
            *map(_key_line, keys_for(EVERYWHERE)),
            "",
            "A letter works whenever no text field has the focus (Esc leaves a field);",
            "function keys always work. Several values in a field, like 0.1, 0.01, make a grid.",
        ]
        with VerticalScroll(classes="dialog"):
            yield Static("\n".join(lines), markup=False)


def _key_line(key: Key) -> str:
    return f"  {key.display:<12} {key.help}"


class FormDialog(ModalScreen[Result | None], Generic[Result]):
    """Lines with a name and a text; Enter hands them in and closes with what came of it, or says
    what is wrong; Esc closes with None and ends what is under way."""

    DEFAULT_CSS = """
    FormDialog .dialog { width: 76; }
    FormDialog .field { height: 1; }
    FormDialog .field > Static { width: 12; }
    FormDialog Input { width: 1fr; }
    FormDialog #told { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "cancel"),
        ("enter", "hand_in", "take it"),
    ]
    TITLE = ""
    HINTS: ClassVar[Mapping[str, str]] = {}
    """Each field's name, and what stands in it while it is empty."""
    KEYS = "Enter takes it   Tab next field   Esc cancels"
    WORKING = ""
    """Said while it is worked on."""
    FAILED = "That failed"
    """Begins the sentence on an error that nobody foresaw."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__()
        self._inputs = {
            name: Input(texts.get(name, ""), id=name, placeholder=hint, compact=True)
            for name, hint in self.HINTS.items()
        }
        self._told = Static("", id="told", markup=False)
        self._working = False
        self._result: Result | None = None

    def submit(self, texts: Mapping[str, str], tick: Tick) -> Result:
        """What comes of the stripped texts, in a thread; raises UserError for what is wrong."""
        raise NotImplementedError

    def accept(self, result: Result) -> None:
        """What comes after that: by default it closes."""
        self.dismiss(result)

    def end(self, result: Result, outcome: str) -> None:
        """Stay open to tell the outcome."""
        self._result = result
        self.set_focus(None)
        self.tell(f"{outcome}\n\nEnter closes.")

    def progress(self, done: int, total: int) -> str:
        """How much is done, in words."""
        return f"{done:,} of {total:,}. Esc cancels."

    def above(self) -> Iterable[Widget]:
        """What stands between the title and the fields."""
        return ()

    def below(self) -> Iterable[Widget]:
        """What stands between the fields and what is told."""
        return ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(f"{self.TITLE}\n", markup=False)
            yield from self.above()
            for name, field in self._inputs.items():
                yield Horizontal(Static(name, markup=False), field, classes="field")
            yield from self.below()
            yield self._told
            yield Static(self.KEYS, markup=False)

    def tell(self, text: str, *, wrong: bool = False) -> None:
        """Say how it stands, or what is wrong."""
        self._told.set_class(wrong, "error")
        self._told.update(text)

    @on(Input.Changed)
    def mended(self) -> None:
        """What was said is no longer so."""
        if not self._working:
            self.tell("")

    def action_leave(self) -> None:
        """Close, with what came of it if anything did."""
        self.dismiss(self._result)

    @on(Input.Submitted)
    def action_hand_in(self) -> None:
        """Have the texts worked on; close where that was done."""
        if self._result is not None:
            self.dismiss(self._result)
        elif not self._working:
            self._working = True
            self.tell(self.WORKING)
            texts = {name: field.value.strip() for name, field in self._inputs.items()}
            job = run_job(
                self,
                partial(self.submit, texts),
                self._take,
                self._refuse,
                lambda done, total: self.tell(self.progress(done, total)),
                words=self.FAILED,
            )
            cast("BaseApp", self.app).keys_wait_for(job)

    def _take(self, result: Result) -> None:
        self._working = False
        self.accept(result)

    def _refuse(self, sentence: str) -> None:
        self._working = False
        self.tell(sentence, wrong=True)
