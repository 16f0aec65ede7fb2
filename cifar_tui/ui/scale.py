"""The dialog in which an experiment is made smaller, or repeated with more seeds."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from cifar_tui.errors import UserError
from cifar_tui.labs.lab import Scale, make_scale

HINTS = {
    "seeds": "runs of each setting",
    "epochs": "empty: the full setting",
    "subset": "training images, 0 takes all",
    "precision": "fp32, tf32 or bf16",
}


class ScaleDialog(ModalScreen[Scale | None]):
    """Seeds, epochs, images and precision of the experiments."""

    DEFAULT_CSS = """
    ScaleDialog .dialog { width: 60; }
    ScaleDialog Horizontal { height: 1; }
    ScaleDialog Horizontal > Static { width: 11; }
    ScaleDialog Input { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "cancel")]

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self._before = {
            "seeds": str(scale.seeds),
            "epochs": "" if scale.epochs is None else str(scale.epochs),
            "subset": str(scale.subset),
            "precision": scale.precision,
        }

    def compose(self) -> ComposeResult:
        """Four fields, a line for what is wrong, and the keys."""
        with Vertical(classes="dialog"):
            yield Static("What each experiment trains\n", markup=False)
            for name, text in self._before.items():
                with Horizontal():
                    yield Static(name, markup=False)
                    yield Input(text, id=name, placeholder=HINTS[name], compact=True)
            yield Static("", id="problem", classes="error", markup=False)
            yield Static("Enter takes it   Tab next field   Esc cancels", markup=False)

    def on_input_changed(self) -> None:
        """What was wrong is being mended."""
        self.query_one("#problem", Static).update("")

    def on_input_submitted(self) -> None:
        """Close with the scale, or say what is wrong."""
        texts = {str(field.id): field.value.strip() for field in self.query(Input)}
        try:
            self.dismiss(make_scale(**texts))
        except UserError as error:
            self.query_one("#problem", Static).update(str(error))
