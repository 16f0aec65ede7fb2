"""The comparison: curves of some runs over each other, what differs, and their figures."""

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from cifar_tui.formats import accuracy, at_epoch, clock, plain
from cifar_tui.runs.compare import differing
from cifar_tui.runs.follow import Follower, Look
from cifar_tui.runs.listing import Run, best_run
from cifar_tui.settings import SETTINGS, format_value
from cifar_tui.ui.keyline import KeyLine
from cifar_tui.ui.keys import bindings
from cifar_tui.ui.plot import Curve, Curves, mark
from cifar_tui.ui.screen import CifarScreen
from cifar_tui.ui.table import RowTable, TableColumn
from cifar_tui.ui.topline import TopLine
from cifar_tui.wording import brief, model_name

LOOK_EVERY = 2.0
"""Seconds between two looks at the runs while the screen is shown."""
METRICS = ("val_acc", "val_loss", "train_acc", "train_loss")
LABEL_CELLS = 20
NAME_CELLS = (12, 32)
"""Least and most width of the names."""
RIGHT = ("epochs", "time")


class CompareScreen(CifarScreen):
    """Some runs beside each other: a curve and a row for each."""

    CSS_PATH = "compare.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("compare")
    AUTO_FOCUS = "RowTable"

    def __init__(self, run_ids: Sequence[str]) -> None:
        super().__init__(id="compare")
        self._run_ids = tuple(dict.fromkeys(run_ids))
        self._followers: list[Follower] = []
        self._looks: list[Look] = []
        self._metric = METRICS[0]
        self._looking = False

    def compose(self) -> ComposeResult:
        """What differs and which is best, the curves, a row for each run."""
        yield TopLine("history")
        with Horizontal(id="head"):
            yield Static("", id="summary", classes="line", markup=False)
            yield Static("", id="best", classes="line", markup=False)
        yield Curves(id="curves")
        yield RowTable(id="figures", fixed_columns=1)
        yield KeyLine()

    def on_mount(self) -> None:
        """Look at the runs every two seconds while the screen is shown."""
        self._followers = [Follower(self.cifar.runs, run_id) for run_id in self._run_ids]
        self.set_interval(LOOK_EVERY, self._tick)

    def on_screen_resume(self) -> None:
        """Look at once when the screen comes up or back."""
        self._tick()

    def on_resize(self) -> None:
        """Fit the names to the new width."""
        self._show_figures()

    def _tick(self) -> None:
        if self.is_current and not self._looking:
            self._looking = True
            self._look()

    @work(thread=True)
    def _look(self) -> None:
        looks = [follower.look() for follower in self._followers]
        self.app.call_from_thread(self._take, looks)

    def _take(self, looks: list[Look]) -> None:
        self._looking = False
        self._looks = looks
        self._show_curves()
        self._show_figures()

    def action_save(self) -> None:
        """Save these runs as a table, curves or a figure."""
        from cifar_tui.ui.save import SaveDialog

        if self._looks:
            self.app.push_screen(SaveDialog([look.run for look in self._looks]))

    def action_metric(self) -> None:
        """Show the next metric."""
        self._metric = METRICS[(METRICS.index(self._metric) + 1) % len(METRICS)]
        self._show_curves()

    def _show_curves(self) -> None:
        runs = [look.run for look in self._looks]
        curves = [
            Curve(label, [(e["epoch"], e.get(self._metric)) for e in look.epochs])
            for label, look in zip(labels(runs), self._looks, strict=True)
        ]
        self.query_one(Curves).show(curves, self._metric)

    def _show_figures(self) -> None:
        if not self._looks:
            return
        runs = [look.run for look in self._looks]
        names = [f"{mark(i)} {plain(run.name)}" for i, run in enumerate(runs)]
        figures = figures_of(runs)
        columns = [_column(name, texts) for name, texts in figures.items()]
        free = self.size.width - sum(column.width for column in columns)
        longest = max(cell_len(name) for name in names) + 1
        least, most = NAME_CELLS
        width = max(least, min(free, longest, most))
        table = self.query_one(RowTable)
        table.set_columns([TableColumn("run", width), *columns])
        rows = zip(names, *figures.values(), strict=True)
        texts = {run.id: tuple(row) for run, row in zip(runs, rows, strict=True)}
        table.show(list(texts), texts.__getitem__)
        self._show_head(runs)

    def _show_head(self, runs: list[Run]) -> None:
        settings = ", ".join(telling(runs)) or "no setting"
        best = best_run(runs)
        self.say("summary", f" {len(runs)} runs that differ in {settings}")
        self.say(
            "best", f"best {mark(runs.index(best))} {at_epoch(best.summary.best)} " if best else ""
        )


def figures_of(runs: Sequence[Run]) -> dict[str, list[str]]:
    """One list of texts per column: the settings that differ, then what came of them."""
    found = {
        name: ["" if value is None else format_value(value) for value in values]
        for name, values in telling(runs).items()
    }
    summaries = [run.summary for run in runs]
    return found | {
        "best val_acc": [at_epoch(s.best) for s in summaries],
        "last": [accuracy(s.last.val_acc if s.last else None) for s in summaries],
        "epochs": [f"{s.epochs_done}/{s.epochs}" for s in summaries],
        "time": [clock(s.seconds) for s in summaries],
        "status": [run.status for run in runs],
        "images": [f"{r.summary.source}{' (synthetic)' if r.synthetic else ''}" for r in runs],
    }


def _column(name: str, texts: Sequence[str]) -> TableColumn:
    width = max(cell_len(plain(text)) for text in (name, *texts)) + 1
    return TableColumn(name, width, name in RIGHT)


def telling(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """The settings that differ, but for defaults that are merely not in force in all runs."""
    return {
        name: values
        for name, values in differing(runs).items()
        if any(value not in (None, SETTINGS[name].default) for value in values)
    }


def labels(runs: Sequence[Run]) -> list[str]:
    """A short label per run that tells them apart: what differs, else the names, else the ids."""
    choices = [
        _settings_labels(runs),
        [run.name for run in runs],
        [run.id for run in runs],
    ]
    for texts in choices:
        short = [_cut(plain(text)) for text in texts]
        if all(short) and len(set(short)) == len(short):
            break
    return [
        f"{text} demo" if run.synthetic else text for text, run in zip(short, runs, strict=True)
    ]


def _settings_labels(runs: Sequence[Run]) -> list[str]:
    different = telling(runs)
    found = []
    for i, run in enumerate(runs):
        values = {name: row[i] for name, row in different.items() if row[i] is not None}
        model = model_name(run.spec.model_dump()) if run.spec and "model" in values else ""
        found.append(f"{model} {brief(values)}".strip())
    return found


def _cut(text: str) -> str:
    return text if len(text) <= LABEL_CELLS else text[: LABEL_CELLS - 1] + "…"
