"""The dialog that lays two runs' predictions over each other."""

from cifar_tui.errors import Tick
from cifar_tui.formats import plain
from cifar_tui.runs.listing import Run
from cifar_tui.ui.working import WorkDialog


class AgreementDialog(WorkDialog):
    """How far two runs agree on validation, and whether one is better than chance."""

    def __init__(self, a: Run, b: Run) -> None:
        super().__init__(f"{plain(a.name)} and {plain(b.name)}", "Predicting. Esc leaves.")
        self._a, self._b = a, b

    def on_mount(self) -> None:
        """Predict the validation split with both."""
        self.do(self._compare, self._compared)

    def _compare(self, tick: Tick) -> str:
        from cifar_tui.training.agree import agreement

        return "\n".join(agreement(self._a, self._b, "val", tick=tick).lines())

    def _compared(self, outcome: str) -> None:
        self._title.display = False
        self.end(f"{outcome}\n\nEnter closes.")
