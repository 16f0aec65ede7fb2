"""What opens over a screen: questions with yes or no, forms, and the help."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static

from cifar_tui.errors import Tick
from cifar_tui.files import InTheWay
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain, runs_text
from cifar_tui.tui.jobs import Result, run_job
from cifar_tui.tui.keys import EVERYWHERE, LISTS, SYNONYMS, Key, grouped
from cifar_tui.tui.screen import put
from cifar_tui.tui.textual_internals import BaseApp

Other = TypeVar("Other")


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
        self.dismiss(sure)


class HelpScreen(ModalScreen[None]):
    """The keys of a screen and those that work everywhere, by what they are for; typing narrows."""

    DEFAULT_CSS = """
    HelpScreen Input { width: 100%; margin-bottom: 1; }
    HelpScreen VerticalScroll { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1,escape,enter", "app.back", "close", priority=True),
        Binding("down", "scroll(1)", priority=True),
        Binding("up", "scroll(-1)", priority=True),
        Binding("pagedown", "scroll(10)", priority=True),
        Binding("pageup", "scroll(-10)", priority=True),
    ]
    HINT = (
        "A letter works whenever no text field has the focus (Esc leaves a field); function keys "
        "always do. In every list: j k or arrows move, g and G go to the ends."
    )

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Input(
                placeholder="type to search, like delete or export; Esc closes", compact=True
            )
            yield VerticalScroll(Static("", id="keys", markup=False), can_focus=False)

    def on_mount(self) -> None:
        self._show("")

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self._show(event.value)

    def _show(self, wanted: str) -> None:
        words = wanted.lower().split()
        parts = []
        for where, title in ((self._mode, "Here"), (LISTS, "Lists"), (EVERYWHERE, "Everywhere")):
            for group, keys in grouped(where).items():
                lines = [_key_line(key) for key in keys if key.matches(words)]
                heading = f"{title}: {group}" if group else title
                parts += [heading, *lines, ""] if lines else []
        parts += ["No key does that."] if not parts else [self.HINT] if not words else []
        self.query_one("#keys", Static).update("\n".join(parts))

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def _key_line(key: Key) -> str:
    return f"  {key.display:<12} {key.help}"


class ActionsProvider(Provider):
    """What the palette finds: actions by their names, what they do, and what others call them."""

    async def discover(self) -> Hits:
        """All actions, while nothing is typed."""
        for command in self.app.get_system_commands(self.screen):
            yield DiscoveryHit(command.title, command.callback, help=command.help)

    async def search(self, query: str) -> Hits:
        """Names that resemble the query first, then explanations that have all its words."""
        matcher, words = self.matcher(query), query.lower().split()
        for command in self.app.get_system_commands(self.screen):
            score = matcher.match(command.title)
            title = matcher.highlight(command.title) if score else command.title
            name = command.title.lower().partition(" (")[0]
            text = f"{name} {command.help} {SYNONYMS.get(name, '')}".lower()
            if not score and all(word in text for word in words):
                score = 0.1
            if score:
                yield Hit(score, title, command.callback, command.title, command.help)


class FormDialog(ModalScreen[Result | None], Generic[Result]):
    """Named fields, which Enter applies in a thread; Esc cancels, and ends what is under way.

    It closes with what came of the fields, or with None. What is wrong with them is said below
    them, and a file in the way is replaced only where `y` agrees.
    """

    DEFAULT_CSS = """
    FormDialog .field { height: 1; }
    FormDialog .field > Static { width: 12; }
    FormDialog Input { width: 1fr; }
    FormDialog #outcome { margin-top: 1; display: none; }
    FormDialog #keys { dock: bottom; height: 2; padding-top: 1; }
    """
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "cancel"),
        ("enter", "apply", "apply"),
        ("y", "replace", "replace"),
    ]
    HINTS: ClassVar[Mapping[str, str]] = {}
    """Each field's name, and what stands in it while it is empty."""
    KEYS = "Enter applies   Tab next field   Esc cancels"
    WORKING = "Working ..."
    FAILED = "That failed"
    """Begins the sentence on an error that nobody foresaw."""
    unit = "images"
    """What progress is counted in."""

    def __init__(self, title: str, texts: Mapping[str, str]) -> None:
        super().__init__()
        self._heading = title
        self._inputs = {
            name: Input(texts.get(name, ""), id=name, placeholder=hint, compact=True)
            for name, hint in self.HINTS.items()
        }
        self._outcome = Static("", id="outcome", markup=False)
        self._keys = Static(self.KEYS, id="keys", markup=False)
        self._state: Literal["ready", "working", "asking", "ended"] = "ready"
        self._result: Result | None = None
        self.overwrite = False
        """Whether a file in the way is to be replaced."""

    def submit(self, texts: Mapping[str, str], tick: Tick) -> Result:
        """What comes of the stripped texts, in a thread; raises UserError for what is wrong."""
        raise NotImplementedError

    def accept(self, result: Result) -> None:
        """Close with the result, or stay open to tell of it."""
        self.dismiss(result)

    def above(self) -> Iterable[Widget]:
        """What stands between the title and the fields."""
        return ()

    def below(self) -> Iterable[Widget]:
        """What stands between the fields and the outcome."""
        return ()

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog", can_focus=False):
            yield Static(f"{self._heading}\n", markup=False)
            yield from self.above()
            for name, field in self._inputs.items():
                yield Horizontal(Static(name, markup=False), field, classes="field")
            yield from self.below()
            yield self._outcome
            yield self._keys

    def tell(self, text: str, keys: str = "", *, wrong: bool = False) -> None:
        """Say how it stands, and what keys do then."""
        self._outcome.set_class(wrong, "error")
        put(self._outcome, text)
        self._outcome.display = bool(text)
        put(self._keys, keys or self.KEYS)

    def end(self, outcome: str, result: Result | None = None) -> None:
        """Tell the outcome; there is nothing more to do, and Enter closes with the result."""
        self._state, self._result = "ended", result
        self.query(".field, .hint").set(display=False)
        self.query_one(VerticalScroll).can_focus = True
        self.query_one(VerticalScroll).focus()
        self.tell(outcome, "Enter closes")

    def do(self, job: Callable[[Tick], Other], then: Callable[[Other], object]) -> None:
        """Do a job in a thread, and hand over what it returns unless it is refused."""

        def unless_in_the_way(tick: Tick) -> Other | InTheWay:
            try:
                return job(tick)
            except InTheWay as error:
                return error

        def take(found: Other | InTheWay) -> None:
            if isinstance(found, InTheWay):
                self._ask(found.path)
            else:
                self._state = "ready"
                then(found)

        self._state = "working"
        self.tell(self.WORKING, "Esc cancels")
        worker = run_job(self, unless_in_the_way, take, self.refuse, self._count, words=self.FAILED)
        cast("BaseApp", self.app).keys_wait_for(worker)

    def _count(self, done: int, total: int) -> None:
        self.tell(f"{self.WORKING} {done:,} of {total:,} {self.unit}", "Esc cancels")

    def _ask(self, path: Path) -> None:
        self._state = "asking"
        self.set_focus(None)
        self.tell(f"{plain(str(path))} exists. y replaces it, Esc keeps it.", "Esc cancels")

    def refuse(self, sentence: str) -> None:
        """Say what is wrong, and go to the field that the sentence begins with."""
        self._state = "ready"
        self.tell(sentence, wrong=True)
        named = self._inputs.get(sentence.partition(" ")[0])
        if named is not None:
            named.focus()

    @property
    def ready(self) -> bool:
        """Whether it waits for the user's fields, or for an answer."""
        return self._state in ("ready", "asking")

    @on(Input.Changed)
    def mended(self) -> None:
        """What was said is no longer so."""
        if self.ready:
            self._state = "ready"
            self.tell("")

    def action_leave(self) -> None:
        self.dismiss(self._result)

    @on(Input.Submitted)
    def action_apply(self) -> None:
        """Work on the fields, or close where that was done."""
        if self._state == "ended":
            self.dismiss(self._result)
        elif self.ready:
            self._begin(overwrite=False)

    def action_replace(self) -> None:
        """Replace the file that was asked about."""
        if self._state == "asking":
            self._begin(overwrite=True)

    def _begin(self, *, overwrite: bool) -> None:
        self.overwrite = overwrite
        texts = {name: field.value.strip() for name, field in self._inputs.items()}
        self.do(partial(self.submit, texts), self.accept)
