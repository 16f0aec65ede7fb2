"""What every screen of the program has: its base, its first line, and its last with the keys."""

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

from rich.cells import cell_len
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widgets import Static

from cifar_tui.runs.record import ENDED
from cifar_tui.tui.keys import EVERYWHERE, Key, key_name, keys_for
from cifar_tui.tui.textual_internals import BaseScreen

if TYPE_CHECKING:
    from cifar_tui.app import CifarApp
    from cifar_tui.queue.machine import Snapshot

Seen = TypeVar("Seen")
SCREENS = [key for key in keys_for(EVERYWHERE) if key.action.startswith("app.go")]
EVERY = 2.0
"""Seconds between two looks at the device while something trains."""
IDLE_EVERY = 10.0
"""The same while nothing does, as each look that finds a new figure is sent over the line."""
SHARE = 4
"""At most this many lines of keys; in a small window help lists those without room."""
LAST = ("app.help", "app.quit")


class CifarScreen(BaseScreen):
    """A screen of this program, over the runs and the worker of its app."""

    ALSO_OFFERED: ClassVar[Sequence[str]] = ()
    """Actions of the whole app that belong into this screen's line of keys."""

    @property
    def cifar(self) -> "CifarApp":
        """The app with its type."""
        return cast("CifarApp", self.app)

    def offers(self, action: str) -> bool:
        """Whether a key does something now; one that is not offered says why when it is pressed."""
        return True

    def more_commands(self) -> Iterable[tuple[str, str, Callable[[], object]]]:
        """What the palette offers here beside the keys' actions: title, help and what is done."""
        return ()

    def say(self, name: str, text: str | Text) -> None:
        """Update a one-line widget, only when its text changed: each update is sent whole."""
        put(self.query_one(f"#{name}", Static), text)


class WatchingScreen(CifarScreen, Generic[Seen]):
    """A screen that looks at something again and again while it is shown.

    One look at a time, in a thread, as a folder may be slow to answer.
    """

    LOOK_EVERY = 2.0
    """Seconds between two looks."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._looking = self._once_more = False

    def look(self) -> Seen:
        """Look, in a thread."""
        raise NotImplementedError

    def take(self, seen: Seen) -> None:
        """Show what was seen."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self.set_interval(self.LOOK_EVERY, self._look_in_time)

    def on_screen_resume(self) -> None:
        self.look_again()

    def look_again(self) -> None:
        """Look at once, or when the look that is under way has ended."""
        self._once_more = True
        self._look_in_time()

    def _look_in_time(self) -> None:
        if self.is_current and not self._looking:
            self._looking, self._once_more = True, False
            self._look()

    @work(thread=True, group="look")
    def _look(self) -> None:
        app, seen = self.app, self.look()
        app.call_from_thread(self._take, seen)

    def _take(self, seen: Seen) -> None:
        self._looking = False
        if self.is_attached and self.app.is_running:
            self.take(seen)
            if self._once_more:
                self._look_in_time()


def put(widget: Static, text: str | Text) -> None:
    """Update a widget when its text changed; a line that stays as wide needs no new layout.

    A layout of the whole screen costs tens of milliseconds, in which a run beside it stands still.
    """
    before, after = str(widget.content), str(text)
    if before != after:
        stays = widget.has_class("line") and cell_len(before) == cell_len(after)
        widget.update(text, layout=not stays)


class TopLine(Horizontal):
    """The names of the screens, this one marked, and the one-line device strip."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode
        self._looked_at = 0.0
        self._device_strip = Static("", id="device", classes="line", markup=False)

    def compose(self) -> ComposeResult:
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


class KeyLine(Static):
    """Keys and labels from the active bindings; a click runs the action."""

    DEFAULT_CSS = """
    KeyLine {
        height: 1;
        dock: bottom;
        background: $panel;
        link-style: none;
        link-color: $foreground;
        link-background: $panel;
    }
    """

    def __init__(self) -> None:
        super().__init__("")
        self._shown: tuple[object, ...] = ()

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Wrap to the new width, once this layout is done: the new one may need another height."""
        self.call_after_refresh(self._draw)

    def _bindings_updated(self, screen: Screen[object]) -> None:
        self._draw()

    def _draw(self) -> None:
        if not self.is_attached or not self.size.width:
            return
        items, most = self._items(), max(1, self.screen.size.height // SHARE)
        if (items, self.size.width, most) != self._shown:
            self._shown = (items, self.size.width, most)
            content = _wrapped(items, self.size.width)
            while content.plain.count("\n") >= most and len(items) > len(LAST):
                items.remove([item for item in items if item[2] not in LAST][-1])
                content = _wrapped(items, self.size.width)
            lines = content.plain.count("\n") + 1
            self.styles.height = lines
            cast(CifarScreen, self.screen).keep_clear(lines)
            self.update(content)

    def _items(self) -> list[tuple[str, str, str]]:
        """(key, label, action) of each shown action that applies now."""
        found: dict[str, tuple[str, str, str]] = {}
        screen = cast(CifarScreen, self.screen)
        offers, also = screen.offers, screen.ALSO_OFFERED
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            shown = enabled and (binding.show or binding.action in also)
            if shown and binding.action not in found and offers(binding.action):
                key = binding.key_display or self.app.get_key_display(binding)
                found[binding.action] = (key, binding.description, binding.action)
        return list(found.values())


def _wrapped(items: list[tuple[str, str, str]], width: int) -> Content:
    """The items on as many lines as they need, none of them cut."""
    parts: list[Content] = []
    used = 0
    for key, label, action in items:
        cells = len(key) + len(label) + 3
        if used and used + cells > width:
            parts.append(Content("\n"))
            used = 0
        target = action if action.startswith("app.") else f"screen.{action}"
        click = Style.from_meta({"@click": target})
        parts.append(
            Content.assemble(" ", (key, click + Style(bold=True)), (f" {label}", click), " ")
        )
        used += cells
    return Content("").join(parts)
