"""The first line of every screen: where you are, and the device in one strip."""

from time import monotonic
from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from cifar_tui.runs.record import ENDED
from cifar_tui.tui.keys import EVERYWHERE, Key, key_name, keys_for
from cifar_tui.tui.screen import CifarScreen, put

if TYPE_CHECKING:
    from cifar_tui.app import CifarApp
    from cifar_tui.queue.machine import Snapshot


SCREENS = [key for key in keys_for(EVERYWHERE) if key.action.startswith("app.go")]
EVERY = 2.0
"""Seconds between two looks at the device while something trains."""
IDLE_EVERY = 10.0
"""The same while nothing does, as each look that finds a new figure is sent over the line."""


class TopLine(Horizontal):
    """The names of the screens, this one marked, and the one-line device strip."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode
        self._looked_at = 0.0
        self._device_strip = Static("", id="device", classes="line", markup=False)

    def compose(self) -> ComposeResult:
        """Names on the left, the device on the right."""
        letters = self._mode != "new"
        yield Static(" " + "  ".join(self._tab(key, letters) for key in SCREENS), id="tabs")
        yield self._device_strip

    def _tab(self, key: Key, letter: bool) -> str:
        """One screen with its letter, or its function key where text fields take letters."""
        first, function = (key_name(name) for name in key.keys.split(","))
        name = key.label.upper() if f"'{self._mode}'" in key.action else key.label.capitalize()
        shown = first if letter else function
        return f"[@click={key.action}][dim]{shown}[/dim] [b]{name}[/b][/]"

    def on_mount(self) -> None:
        """Look at the device now and every few seconds while the screen is shown."""
        self.set_interval(EVERY, self._look_again)
        self.call_after_refresh(self._look)

    def _look_again(self) -> None:
        idle = self._cifar.worker.current is None
        if not idle or monotonic() - self._looked_at >= IDLE_EVERY - EVERY / 2:
            self._look()

    def _look(self) -> None:
        if self.screen.is_current:
            self._looked_at = monotonic()
            self._read()

    @work(thread=True, exclusive=True)
    def _read(self) -> None:
        from cifar_tui.queue.machine import snapshot, strip_line

        found = snapshot()
        device = self._device(found)
        self.app.call_from_thread(self._show, strip_line(found, device) + " ")

    def _show(self, line: str) -> None:
        put(self._device_strip, line)

    @property
    def _cifar(self) -> "CifarApp":
        assert isinstance(self.screen, CifarScreen)
        return self.screen.cifar

    def _device(self, found: "Snapshot") -> str:
        """The device of the run in training, else the one `auto` would take."""
        cifar = self._cifar
        current = cifar.worker.current
        if current:
            run = cifar.runs.get(current)
            if run.summary.device and run.status not in ENDED:
                return run.summary.device
        return "cuda:0" if found.gpus else "cpu"
