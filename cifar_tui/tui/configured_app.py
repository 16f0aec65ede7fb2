"""What the user's configuration changes about the app: its colours, and whether it only looks."""

from collections.abc import Mapping

from textual import work
from textual.actions import ActionParseResult
from textual.dom import DOMNode
from textual.notifications import SeverityLevel

from cifar_tui.config import Config, set_entry
from cifar_tui.errors import UserError
from cifar_tui.terminal import notification
from cifar_tui.text import plain
from cifar_tui.tui.keys import CHANGES
from cifar_tui.tui.textual_internals import BaseApp

ENDED_SECONDS = 20.0
"""How long it stands that a queue has ended."""


class ConfiguredApp(BaseApp):
    """An app in the colours that were chosen last, which may be told to change nothing."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        if config.theme in self.available_themes:
            self.theme = config.theme

    def keep_theme(self) -> None:
        """Keep the theme that is chosen from now on."""
        self.theme_changed_signal.subscribe(self, lambda theme: self._keep_theme(theme.name))

    @work(thread=True, exclusive=True, group="theme")
    def _keep_theme(self, name: str) -> None:
        """Have the next program open in these colours."""
        try:
            set_entry("theme", name)
        except (OSError, UserError) as error:
            text = f"The theme is not kept: {plain(str(error))}"
            self.call_from_thread(self.notify, text, markup=False)

    async def run_action(
        self,
        action: "str | ActionParseResult",
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do what a key or click asks for, unless it changes something and this only looks."""
        name = action if isinstance(action, str) else action[1]
        if self.config.read_only and name.partition("(")[0].rpartition(".")[2] in CHANGES:
            self.refuse_change()
            return True
        return await super().run_action(action, default_namespace, namespaces)

    def ring(self, text: str, *, wrong: bool) -> None:
        """Toast, bell and a notification on the desktop, unless they are not wanted."""
        severity: SeverityLevel = "error" if wrong else "information"
        self.notify(text, severity=severity, timeout=ENDED_SECONDS, markup=False)
        if self.config.bell:
            self.bell()
        if self.config.desktop:
            self.send(notification("cifar-tui", text))

    def refuse_change(self) -> None:
        """Say why nothing is changed."""
        self.notify("This program only looks: it was opened read-only.")
