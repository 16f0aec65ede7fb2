"""The app: its screens, the runs they read, and the actions that work everywhere."""

import asyncio
import contextlib
import gc
import os
import queue
import select
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import RenderableType
from textual import work
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Input

from cifar_tui.config import Config
from cifar_tui.errors import UserError
from cifar_tui.features.new_run.screen import NewScreen
from cifar_tui.launcher import Launcher
from cifar_tui.queue.choices import ANY, Wish
from cifar_tui.queue.notify import ended_text, queue_text, run_text, went_wrong
from cifar_tui.queue.queue import Backend
from cifar_tui.runs.activity import ActivityWatch
from cifar_tui.runs.control import BY_USER, in_training, left_behind, order
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.runs.visits import ended_since_visit
from cifar_tui.spec.checks import SETTINGS, with_role
from cifar_tui.spec.settings import RunSpec
from cifar_tui.text import plain, runs_text
from cifar_tui.tui.configured_app import ConfiguredApp
from cifar_tui.tui.dialogs import ActionsProvider, AskToLeave, HelpScreen, leaving_question
from cifar_tui.tui.jobs import Result, ThreadPerJob
from cifar_tui.tui.keys import EVERYWHERE, bindings, keys_for
from cifar_tui.tui.screen import CifarScreen

if TYPE_CHECKING:
    from cifar_tui.features.labs.experiments import Scale


SWITCH_SECONDS = 0.01
"""Textual waits 0.05 s before it draws another screen, which is felt as a slow key."""
LINE_EVERY = 1.0
"""Seconds between two looks whether the terminal is still there."""
ANSWER_SECONDS = 1.0
"""Seconds that a key waits for what the runs' folder answers."""
READY_EVERY = 1.5
"""Seconds between two screens that are made ready behind the first."""
ACTIVITY_EVERY = 0.5
"""Seconds between two questions whether it is time to look what trains."""


SCREENS = {
    "live": "live.screen.LiveScreen",
    "page": "live.page.RunPage",
    "queue": "queue.screen.QueueScreen",
    "history": "history.screen.HistoryScreen",
    "lab": "labs.screen.LabScreen",
    "devices": "devices.screen.DevicesScreen",
    "compare": "compare.screen.CompareScreen",
    "mattered": "effects.screen.MatteredScreen",
    "weights": "weights.screen.WeightsScreen",
    "surface": "surface.screen.SurfaceScreen",
    "info": "inspect.screen.RunScreen",
    "layers": "new_run.dialog.LayersScreen",
    "images": "images.screen.ImagesScreen",
    "backend": "devices.dialog.BackendDialog",
    "import": "import_.dialog.ImportDialog",
    "save": "save.dialog.SaveDialog",
    "export": "predict.dialog.ExportDialog",
    "ensemble": "predict.dialog.EnsembleDialog",
    "agreement": "predict.dialog.AgreementDialog",
}
"""Where in the features the screens and dialogs are that one feature opens of another."""


def screen_class(name: str) -> Any:
    """A class of SCREENS, imported when it is first asked for: the first screen comes sooner."""
    module, _, own = SCREENS[name].rpartition(".")
    return getattr(import_module(f"cifar_tui.features.{module}"), own)


def _make_screen(mode: str) -> Screen[Any]:
    screen: Screen[Any] = screen_class(mode)()
    return screen


class CifarApp(ConfiguredApp):
    """Screens over one folder of runs; training happens in the worker it is given."""

    TITLE = "cifar-tui"
    CSS_PATH = "app.tcss"
    DEFAULT_MODE = "new"
    MODES: ClassVar = {
        "new": NewScreen,
        **{mode: partial(_make_screen, mode) for mode in ("live", "history", "lab", "devices")},
    }
    BINDINGS: ClassVar[list[BindingType]] = bindings(EVERYWHERE)
    COMMANDS: ClassVar = {ActionsProvider}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (138, "-wide")]  # noqa: RUF012 - as in Textual
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012 - as in Textual

    def __init__(
        self,
        folder: Path,
        data: str,
        worker: Backend,
        *,
        mode: str = "new",
        wish: Wish = ANY,
        notes: Sequence[str] = (),
        config: Config | None = None,
    ) -> None:
        self.DEFAULT_MODE = mode  # type: ignore[misc]
        super().__init__(config or Config())
        self.runs = Runs(folder)
        self.data = data
        self.worker = worker
        self.watched: str | None = None
        """Id of the run that Live shows for a while; None for what trains."""
        self.activity = ActivityWatch(self.runs)
        self._ended: list[Run] = []
        """What has ended of what trains and waits, until all has."""
        self.outcome = ""
        """How the last queue of several runs ended."""
        if worker.notifier is not None:
            worker.notifier.say = self._say_later
        self.lab_scale: Scale | None = None
        """How much of each experiment the lab book launches; None for the full setting."""
        self.over: queue.SimpleQueue[None] = queue.SimpleQueue()
        """Holds something once the screen is to end although nobody left it; signals may put."""
        self.line_dropped = False
        """Whether the terminal is gone."""
        self.stop_reason = ""
        """Why training is to stop with the screen; without a reason it goes on."""
        self.exit_code = 0
        """The program's, where the screen was left or ended by a signal."""
        self.training_began = False
        """Whether the worker was started."""
        self.wish = wish
        """What the worker was made from."""
        self._notes = notes
        """What to say of its devices, once there is a screen."""
        self._in_foreground = os.getppid()
        self._threads = ThreadPerJob()
        self.launcher = Launcher(self, self._threads)
        self.keep_training = False
        """Whether it was left with the wish that training goes on in the background."""

    def on_mount(self) -> None:
        """Show the first screen, then let torch load behind it."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(self._threads)
        if not self.is_headless:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)  # Textual stops anew after `fg`
            loop.add_signal_handler(signal.SIGCONT, self.call_later, self._come_back)
            self.set_interval(LINE_EVERY, self._check_line)
        self.keep_theme()
        self.call_after_refresh(self._begin)

    def _come_back(self) -> None:
        """Take the terminal anew after a stop; Textual by itself would then read it twice over,
        never end, and take it even when the screen is over."""
        if not self.line_dropped:
            with self.suspend():
                pass

    def _begin(self) -> None:
        """What waits for the first screen; the garbage collector need not look at that again."""
        gc.freeze()
        gc.enable()
        self._greet()
        if not self.worker.alive:  # a quick hand may have chosen another, which is started
            self.worker.start()
        self.training_began = True
        self.set_interval(ACTIVITY_EVERY, self._look_what_trains)
        if not self.is_headless:
            self.make_screens_ready()

    def make_screens_ready(self) -> None:
        """Go on making screens ready, unless all are there."""
        if self.unvisited:
            self.set_timer(READY_EVERY, self._make_ready)

    async def _make_ready(self) -> None:
        if self.worker.ready.is_set():
            for mode in self.unvisited[:1]:  # none where all were visited meanwhile
                await self.make_ready(mode)
        self.make_screens_ready()

    def _check_line(self) -> None:
        """Notice a terminal that went away without a signal, as then no key ever comes again.

        Where the process in its foreground was killed, the shell has it, and the screen must end.
        """
        line = select.poll()
        line.register(sys.__stdin__ or 0, 0)
        if line.poll(0):
            self._drop_line()
        elif os.getppid() != self._in_foreground:
            self.over.put(None)
            self.exit()

    def _drop_line(self) -> None:
        """The terminal is gone: end the screen, not the training."""
        if not self.line_dropped:
            self.line_dropped = True
            self.over.put(None)
            self.exit()

    def panic(self, *renderables: RenderableType) -> None:
        """End the screen, and have somebody notice where it then hangs."""
        super().panic(*renderables)
        self.over.put(None)

    @work(thread=True)
    def _greet(self) -> None:
        """Say what trains already, and offer to go on with runs that were left behind.

        What the other screens need is imported meanwhile, so that they open at once.
        """
        for name in SCREENS:
            screen_class(name)
        try:
            runs = self.runs.all()
        except UserError as error:
            self.call_from_thread(self.complain, error)
            return
        own = self.worker.own
        left = [run for run in left_behind(runs) if run.id not in own]
        for text in (*self._notes, *self._what_happened(runs)):
            self.call_from_thread(self.notify, text, timeout=10, markup=False)
        if left:
            many = "1 queued run was" if len(left) == 1 else f"{len(left)} queued runs were"
            text = f"{many} left by a program that ended: F4, then R, goes on."
            self.call_from_thread(self.notify, text, timeout=10)

    def _what_happened(self, runs: list[Run]) -> Iterable[str]:
        """What ended since this person was here, and what others train."""
        ended = ended_since_visit(runs, self.runs.folder)
        if ended:
            yield f"Since you were here: {ended_text(ended)}."
        training = [run for run in in_training(runs) if run.id not in self.worker.own]
        if training and self.current_mode != "live":
            yield f"{runs_text(len(training))} still training: F3 watches."

    def _look_what_trains(self) -> None:
        if self.activity.due:
            self._read_activity()

    @work(thread=True, group="activity")
    def _read_activity(self) -> None:
        with contextlib.suppress(UserError):
            ended = self.activity.look()
            if ended:
                self.call_from_thread(self._tell, ended)

    def _tell(self, ended: list[Run]) -> None:
        """Tell that a queue has ended, or that a run went wrong while others go on."""
        self._ended += ended
        if not (self.activity.now.ids or self.launcher.making):
            self.outcome = queue_text(self._ended) if len(self._ended) > 1 else ""
            if any(run.summary.reason != BY_USER for run in self._ended):
                self.ring(queue_text(self._ended), wrong=bool(went_wrong(self._ended)))
            self._ended = []
            return
        for run in went_wrong(ended):
            self.ring(run_text(run), wrong=True)

    def _say_later(self, sentence: str) -> None:
        """Show a sentence from any thread, also when the screen may be gone."""
        self.notify(sentence, severity="warning", timeout=10, markup=False)

    def watch_run(self, run_id: str) -> None:
        """Open a run's own page over the screen that lists it."""
        self.open("page", run_id, self.current_mode)

    def new_from(self, run: Run) -> None:
        """Fill the form with a run's settings, without what it is called."""
        if run.spec is None:
            self.complain(UserError(f"{run.name} has no readable settings."))
            return
        unnamed = run.spec.model_copy(update={n: SETTINGS[n].default for n in with_role("label")})
        self.action_go("new")
        self.call_after_refresh(partial(self._fill_form, unnamed))

    def _fill_form(self, spec: RunSpec) -> None:
        if isinstance(self.screen, NewScreen):
            self.screen.fill(spec)

    def action_backend(self) -> None:
        """Choose what trains the runs that are launched from now on."""
        if not isinstance(self.screen, screen_class("backend")):
            self.open("backend", self.runs.folder, self.wish, then=self.launcher.use_backend)

    def action_queue(self) -> None:
        """Show what waits."""
        if not isinstance(self.screen, screen_class("queue")):
            self.open("queue", self.current_mode)

    def open(self, name: str, *given: object, then: Callable[[Any], None] | None = None) -> None:
        """Show a screen or dialog of SCREENS over this one; `then` is told what it closes with."""
        self.push_screen(screen_class(name)(*given), then)

    def complain(self, error: UserError) -> None:
        """Show one sentence about what went wrong."""
        self.notify(plain(str(error)), severity="error", markup=False, timeout=8)

    def complain_of(self, problems: Sequence[str]) -> None:
        """Show the first of several things that went wrong, and how many more there are."""
        if problems:
            more = f" ({len(problems) - 1} more such)" if len(problems) > 1 else ""
            self.complain(UserError(f"{problems[0]}{more}"))

    def delay_update(self, delay: float = SWITCH_SECONDS) -> None:
        """Hold the terminal's picture still while another screen takes its place."""
        super().delay_update(delay)

    def action_go(self, mode: str) -> None:
        """Show another screen, from wherever a dialog may be open."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if mode == "live":
            self.watched = None
        self.switch_mode(mode)

    async def action_back(self) -> None:
        """Close what is open on top, else leave the text field."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif isinstance(self.focused, Input):
            self.screen.set_focus(None)

    def action_help(self) -> None:
        """Show the keys of this screen and those that work everywhere."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen.id or self.current_mode))

    async def action_quit(self) -> None:
        """Leave, asking first when training would be stopped."""
        if (self.worker.own or self.launcher.making) and not self.worker.outlives:
            question = await self.answer_of(self._quit_question, "Runs are in training.")
            self.push_screen(AskToLeave(question), self._leave)
        else:
            await self._leave("stop")

    async def answer_of(self, read: Callable[[], Result], otherwise: Result) -> Result:
        """What a thread reads from the runs, for which keys wait, though not for long."""
        try:
            return await asyncio.wait_for(asyncio.to_thread(read), ANSWER_SECONDS)
        except TimeoutError:
            self.notify(f"{self.runs.folder} does not answer.", markup=False)
            return otherwise

    def _quit_question(self) -> str:
        own = [self.runs.get(run_id) for run_id in self.worker.training]
        return leaving_question(own, len(self.worker.queued), self.launcher.making)

    async def _leave(self, choice: str | None) -> None:
        if choice == "background":
            self.keep_training = True
            await self.answer_of(self._go_on, None)
        if choice:
            self.stop_reason = BY_USER if choice == "stop" else ""
            self.exit()

    def _go_on(self) -> None:
        """Let no run stay paused that nobody will watch."""
        for run in map(self.runs.get, self.worker.training):
            if run.status == "paused":
                order(run, "go")

    def action_help_quit(self) -> None:
        """Ctrl+C does not leave, as in a text field it copies; say what does."""
        keys = self.screen.active_bindings.values()
        leave = [k.binding for k in keys if k.binding.action == "app.quit" and k.binding.show]
        self.notify(f"{leave[0].key_display if leave else 'q'} leaves the program.")

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: what applies on this screen, from the table of keys."""
        offers = screen.offers if isinstance(screen, CifarScreen) else bool
        for key in [*keys_for(screen.id or self.current_mode), *keys_for(EVERYWHERE)]:
            if key.action not in ("app.command_palette", "app.back") and offers(key.action):
                title = f"{key.label.capitalize()} ({key.display})"
                yield SystemCommand(title, key.help, partial(self._run_on, screen, key.action))
        if isinstance(screen, CifarScreen):
            yield from (SystemCommand(*command) for command in screen.more_commands())
        yield SystemCommand("Theme", "Change colours, light or dark", self.action_change_theme)

    async def _run_on(self, screen: Screen[object], action: str) -> None:
        await self.run_action(action, screen)
