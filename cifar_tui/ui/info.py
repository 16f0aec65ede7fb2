"""What is known about one run besides its curves: settings, notes, environment, data."""

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from cifar_tui.formats import at_epoch, clock, plain
from cifar_tui.runs.listing import Run, read_meta
from cifar_tui.settings import SETTINGS, format_value


class InfoScreen(ModalScreen[None]):
    """A run's settings (those that differ from the defaults marked), environment and data."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,i,enter", "app.back", "back")]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def compose(self) -> ComposeResult:
        """One line each."""
        with VerticalScroll(classes="dialog"):
            yield Static("\n".join(map(plain, info_lines(self._run))), markup=False)


def info_lines(run: Run) -> list[str]:
    """Everything known about the run, a line each."""
    summary, meta = run.summary, read_meta(run.path)
    lines = [run.name, f"id       {run.id}", f"status   {run.status} {summary.reason}".rstrip()]
    if run.problem:
        lines.append(f"problem  {run.problem}")
    lines += [f"best     val_acc {at_epoch(summary.best)}", f"time     {clock(summary.seconds)}"]
    if run.tags:
        lines.append(f"tags     {', '.join(run.tags)}")
    if run.notes.note:
        lines.append(f"note     {run.notes.note}")
    lines += ["", "settings (* differs from the default)"]
    values = run.spec.model_dump() if run.spec else {}
    for name, setting in SETTINGS.items():
        if name in values and setting.applies(values):
            star = "*" if values[name] != setting.default else " "
            lines.append(f"{star} {name:<15}{format_value(values[name])}")
    if meta:
        lines += ["", "made with", *_meta_lines(meta)]
    return lines


def _meta_lines(meta: dict[str, Any]) -> list[str]:
    lines = []
    for name, value in meta.items():
        if isinstance(value, dict):
            value = "  ".join(f"{k} {v}" for k, v in value.items() if v)
        elif isinstance(value, list):
            value = " ".join(map(str, value))
        lines.append(f"  {name:<9}{value}")
    return lines
