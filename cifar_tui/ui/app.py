"""The app: its screens, the runs they read, and the actions that work everywhere."""

import asyncio
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Input

from cifar_tui.data import Found, find
from cifar_tui.errors import UserError
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.spec import RunSpec
from cifar_tui.training.worker import Worker
from cifar_tui.ui.devices import DevicesScreen
from cifar_tui.ui.dialogs import Ask
from cifar_tui.ui.help import HelpScreen
from cifar_tui.ui.history import HistoryScreen
from cifar_tui.ui.keys import EVERYWHERE, bindings, keys_for
from cifar_tui.ui.live import LiveScreen
from cifar_tui.ui.new import NewScreen


class CifarApp(App[None]):
    """Screens over one folder of runs; training happens in the worker it is given."""

    TITLE = "cifar-tui"
    CSS_PATH = "app.tcss"
    MODES: ClassVar = {
        "new": NewScreen,
        "live": LiveScreen,
        "history": HistoryScreen,
        "devices": DevicesScreen,
    }
    BINDINGS: ClassVar[list[BindingType]] = bindings(EVERYWHERE)
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it so
        (0, "-narrow"),
        (130, "-wide"),
    ]

    def __init__(
        self, folder: Path, data: str, worker: Worker, *, watch: str | None = None
    ) -> None:
        super().__init__()
        self.runs = Runs(folder)
        self.data = data
        self.worker = worker
        self.watched: str | None = watch
        """Id of the run that the live screen shows; None for the one in training."""
        self.line_dropped = False

    def on_mount(self) -> None:
        """Show the first screen, then let torch load behind it."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._drop_line)
        self.switch_mode("live" if self.watched else "new")
        self.call_after_refresh(self.worker.start)

    def _drop_line(self) -> None:
        """The terminal is gone: end the screen, not the training."""
        self.line_dropped = True
        self.exit()

    def images(self) -> Found:
        """Which images `data` means at this moment; raises UserError."""
        return find(self.data)

    def launch(self, specs: Iterable[RunSpec]) -> None:
        """Make the run folders, queue them, and watch the first if nothing else trains."""
        try:
            folders = [RunFolder.create(self.runs.folder, spec) for spec in specs]
        except UserError as error:
            self.complain(error)
            return
        busy = self.worker.current is not None
        for folder in folders:
            self.worker.add(folder)
        if busy:
            self.notify(f"Queued {len(folders)} behind the run in training.")
        else:
            self.watch_run(folders[0].id if len(folders) == 1 else None)

    def watch_run(self, run_id: str | None) -> None:
        """Show a run on the live screen; None follows whatever is in training."""
        self.watched = run_id
        self.action_go("live")

    def new_from(self, run: Run) -> None:
        """Fill the form with a run's settings."""
        if run.spec is None:
            self.complain(UserError(f"{run.name} has no readable settings."))
            return
        self.action_go("new")
        self.call_after_refresh(partial(self._fill_form, run.spec))

    def _fill_form(self, spec: RunSpec) -> None:
        if isinstance(self.screen, NewScreen):
            self.screen.fill(spec)

    def complain(self, error: UserError) -> None:
        """Show one sentence about what went wrong."""
        self.notify(str(error), severity="error", markup=False, timeout=8)

    def action_go(self, mode: str) -> None:
        """Show another screen, from wherever a dialog may be open."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
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
        current = self.worker.current
        if current is None and not self.worker.queued:
            self.exit()
            return
        self.push_screen(Ask(self._quit_question(current), yes="stop and quit"), self._quit)

    def _quit_question(self, current: str | None) -> str:
        waiting = len(self.worker.queued)
        parts = []
        if current is not None:
            run = self.runs.get(current)
            done, epochs = run.summary.epochs_done, run.summary.epochs
            parts.append(f"Stop {run.name}? {done} of {epochs} epochs are kept; it can be resumed.")
        if waiting:
            parts.append(f"{waiting} queued {'runs stay' if waiting > 1 else 'run stays'} queued.")
        return " ".join(parts)

    def _quit(self, sure: bool | None) -> None:
        if sure:
            self.exit()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: what applies on this screen, from the table of keys."""
        for key in [*keys_for(screen.id or self.current_mode), *keys_for(EVERYWHERE)]:
            if key.action not in ("app.command_palette", "app.back"):
                title = key.label.capitalize()
                action = partial(self._run_on, screen, key.action)
                yield SystemCommand(f"{title} ({key.display})", key.help, action)
        yield SystemCommand("Theme", "Change colours, light or dark", self.action_change_theme)

    async def _run_on(self, screen: Screen[object], action: str) -> None:
        await self.run_action(action, screen)
