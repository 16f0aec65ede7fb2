"""The last line of every screen: the keys that work now, wrapped so that none is cut off."""

from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widgets import Static

SHARE = 4
"""The keys take a line of so many at most; in a small window help lists those without room."""
LAST = ("app.help", "app.quit")


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
        """Follow what the focus and the screen allow."""
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
            self.styles.height = content.plain.count("\n") + 1
            self.update(content)

    def _items(self) -> list[tuple[str, str, str]]:
        """(key, label, action) of each shown action that applies now."""
        found: dict[str, tuple[str, str, str]] = {}
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.show and enabled and binding.action not in found:
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
