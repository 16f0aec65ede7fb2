"""What is read of runs once they are looked at: the curves in rows, and the details beside them."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import zip_longest

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Static

from cifar_tui.drawing import sparkline
from cifar_tui.errors import Tick
from cifar_tui.features.history.rows import CURVE
from cifar_tui.query.curves import Log, samples
from cifar_tui.query.groups import Group
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.listing import Run
from cifar_tui.spec.checks import format_value
from cifar_tui.spec.naming import brief, model_name
from cifar_tui.text import at_epoch, clock, plain, runs_text, status_text, tone_of
from cifar_tui.tui.jobs import run_job
from cifar_tui.tui.plot import Curve, Curves
from cifar_tui.tui.screen import put

FROM = 120
"""Columns of a window that has room for it."""
MOST_CELLS = 90
REST = 0.25
"""Seconds that the cursor rests on a row before its folder is read."""
MOST_RUNS = 30
"""Of a group, whose curves are averaged and whose figures are listed."""
TWO_PLOTS_FROM = 34
"""Lines of the pane that has room for the loss, too."""
PLOTS = {"accuracy": ("train_acc", "val_acc"), "loss": ("train_loss", "val_loss")}


def pane_width(window: int) -> int:
    """Cells of the pane in a window of so many columns; 0 where there is no room for it."""
    return min(MOST_CELLS, window * 2 // 5) if window >= FROM else 0


class RunDetails(Vertical):
    """The run or group under the cursor; it is read once the cursor rests."""

    DEFAULT_CSS = """
    RunDetails { padding: 0 1; }
    RunDetails .words { height: auto; width: 100%; }
    RunDetails #id { color: $text-muted; }
    RunDetails Curves { max-height: 18; min-height: 6; margin-top: 1; }
    RunDetails #settings { margin-top: 1; max-height: 50%; }
    RunDetails .primary { color: $text-primary; }
    RunDetails .success { color: $text-success; }
    RunDetails .warning { color: $text-warning; }
    RunDetails .error { color: $text-error; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._runs: Sequence[Run] = ()
        self._group: Group | None = None
        self._soon: Timer | None = None

    def compose(self) -> ComposeResult:
        for name in ("name", "id"):
            yield Static("", id=name, classes="line", markup=False)
        for name in ("status", "figures"):
            yield Static("", id=name, classes="words", markup=False)
        for name in PLOTS:
            yield Curves(id=name)
        yield Static("", id="settings", classes="words", markup=False)

    def on_resize(self) -> None:
        """Leave out the second plot where the first would be too low."""
        self.query_one("#loss").display = self.size.height >= TWO_PLOTS_FROM

    def follow(self, run: Run | None, group: Group | None) -> None:
        """Show this run or group once the cursor rests on it."""
        runs: Sequence[Run] = group.runs if group else (run,) if run else ()
        if not self.display or (runs == self._runs and group == self._group):
            return
        self._runs, self._group = runs, group
        if self._soon is not None:
            self._soon.stop()
        self._soon = self.set_timer(REST, self._read)

    def _read(self) -> None:
        runs, group = self._runs, self._group

        def read(tick: Tick) -> list[Log]:
            return [read_epochs(run.path) for run in runs[:MOST_RUNS]]

        def show(logs: list[Log]) -> None:
            if group is not None:
                self._show_group(group, logs)
            else:
                self._show_run(runs[0], logs)

        if runs:
            run_job(self.screen, read, show, partial(self._say, "status"), group="details")
        else:
            self._show({}, [])

    def _show_run(self, run: Run, logs: Sequence[Log]) -> None:
        summary = run.summary
        reason = run.problem or summary.reason
        epochs = f"{summary.epochs_done}/{summary.epochs} epochs in {clock(summary.seconds)}"
        figures = [f"best val_acc {at_epoch(summary.best)}", f"last {at_epoch(summary.last)}"]
        settings: dict[str, str] = {}
        if run.spec is not None:
            settings = {"model": model_name(vars(run.spec))}
            settings |= {n: format_value(v) for n, v in run.changed.items()}
        device = f", {summary.device.partition(' ')[0]}" * bool(summary.device)
        demo = ", demo images" * run.synthetic
        words = {
            "name": run.name,
            "id": run.id,
            "status": status_text(run.status) + (f": {reason}" if reason else ""),
            "figures": f"{epochs}{device}{demo}\n{'   '.join(figures)}",
            "settings": "\n".join([*self._pairs(settings), "", *_labelled(run.remarks)]),
        }
        self._show(words, logs)

    def _show_group(self, group: Group, logs: Sequence[Log]) -> None:
        counts = Counter(run.status for run in group.runs)
        members = [
            f"{group.metric.text(run):>8}  {brief(_repeat(run))}  {status_text(run.status)}"
            for run in group.runs[:MOST_RUNS]
        ]
        words = {
            "name": group.title,
            "id": f"{runs_text(len(group.runs))}, mean curves",
            "status": ", ".join(f"{count} {status}" for status, count in counts.items()),
            "figures": f"{group.metric.name}: {group.figures}",
            "settings": "\n".join(members),
        }
        self._show(words, logs)

    def _show(self, words: Mapping[str, str], logs: Sequence[Log]) -> None:
        for name in ("name", "id", "status", "figures", "settings"):
            self._say(name, words.get(name, ""))
        self.query_one("#status").set_classes(f"words {tone_of(words.get('status', ''))}")
        for title, metrics in PLOTS.items():
            self.query_one(f"#{title}", Curves).show([_curve(logs, m) for m in metrics], title)

    def _say(self, name: str, text: str) -> None:
        put(self.query_one(f"#{name}", Static), "\n".join(map(plain, text.split("\n"))).strip("\n"))

    def _pairs(self, values: Mapping[str, str]) -> list[str]:
        """Names and values in as many columns as fit, each read downwards."""
        if not values:
            return []
        names, texts = max(map(len, values)), max(map(len, values.values()))
        cells = [f"{name:<{names}}  {text:<{texts}}" for name, text in values.items()]
        columns = max(1, (self.size.width - 2) // (len(cells[0]) + 3))
        height = -(-len(cells) // columns)
        parts = [cells[i : i + height] for i in range(0, len(cells), height)]
        return ["   ".join(row).rstrip() for row in zip_longest(*parts, fillvalue="")]


def _labelled(values: Mapping[str, str]) -> Iterable[str]:
    """Label and text on a line each."""
    width = max(map(len, values), default=0)
    return (f"{label:<{width}}  {text}" for label, text in values.items())


def _repeat(run: Run) -> dict[str, int]:
    return {"seed": run.spec.seed} if run.spec else {}


def _curve(logs: Sequence[Log], metric: str) -> Curve:
    """A run's curve, or the mean of several with their standard deviation."""
    found = samples(logs, metric)
    band = [(s.x, s.low, s.high) for s in found if s.low is not None and s.high is not None]
    return Curve(metric.partition("_")[0], [(s.x, s.y) for s in found], band)


class Sparklines:
    """Tells what was read, and asks once for a thread that reads what is missing."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._known: dict[str, tuple[int, str]] = {}
        """The epochs of each run when it was read, and its line."""
        self._wanted: dict[str, Run] = {}

    def line(self, run: Run) -> str:
        """The run's curve as far as it was read."""
        epochs, line = self._known.get(run.id, (0, ""))
        if run.summary.epochs_done != epochs:
            if not self._wanted:
                self._ask()
            self._wanted[run.id] = run
        return line

    def read(self) -> None:
        """Read what is missing, from as many files."""
        with contextlib.suppress(KeyError):  # none is left
            while True:
                run_id, run = self._wanted.popitem()
                accuracies = [epoch.val_acc for epoch in read_epochs(run.path)]
                self._known[run_id] = (run.summary.epochs_done, sparkline(accuracies, CURVE))
