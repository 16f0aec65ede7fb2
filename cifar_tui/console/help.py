"""How `--help` looks: sections without boxes, examples, and no default that says nothing."""

from collections.abc import Callable
from typing import Any, TypeVar

from cyclopts.help import (
    ColumnSpec,
    DefaultFormatter,
    DescriptionRenderer,
    HelpPanel,
    InlineText,
    NameRenderer,
    TableSpec,
)
from rich.console import Console, ConsoleOptions
from rich.padding import Padding
from rich.text import Text

Command = TypeVar("Command", bound=Callable[..., Any])
EXAMPLES: dict[Callable[..., Any], tuple[str, ...]] = {}
"""What may be typed after `cifar-tui`, for each command that shows any."""
WIDEST = 100
"""Cells of a line of help, however wide the terminal is."""
NAMES = 28
"""Cells of a section's names, which are broken where they take more."""
COLUMNS = (
    ColumnSpec(renderer=NameRenderer(max_width=NAMES), style="cyan", max_width=NAMES),
    ColumnSpec(renderer=DescriptionRenderer(), overflow="fold"),
)


def examples(*lines: str) -> Callable[[Command], Command]:
    """Show these lines under a command's help, without the program's name before them."""

    def note(command: Command) -> Command:
        EXAMPLES[command] = lines
        return command

    return note


def examples_text(command: Callable[..., Any]) -> str | None:
    """The end of a command's help."""
    lines = [f"  cifar-tui {line}".rstrip() for line in EXAMPLES.get(command, ())]
    return "\n".join(["Examples", *lines]) if lines else None


def shown_default(value: Any) -> str | None:
    """A default as help shows it; None where it only says that nothing was given."""
    return None if value is None or value is False or value in ((), "") else str(value)


class SectionFormatter(DefaultFormatter):
    """Titles in bold, names and descriptions in two columns below them."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one section below an empty line."""
        if panel.entries:
            table = Padding(TableSpec().build(COLUMNS, panel.entries), (0, 0, 0, 2), expand=False)
            title = Text(f"\n{panel.title}", "bold")
            console.print(title, table, width=min(console.width, WIDEST))

    def render_description(self, console: Console, options: ConsoleOptions, text: Any) -> None:
        """Print what a command does, without an empty line after it."""
        if isinstance(text, InlineText):
            shown = Text(str(text.primary_renderable).rstrip())
            console.print(shown, width=min(console.width, WIDEST))
