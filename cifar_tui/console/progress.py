"""Three ways to show headless training: JSON lines, plain lines, a progress bar."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cifar_tui.console.printing import json_text
from cifar_tui.console.table import Column, Table, cut_middle, output_width
from cifar_tui.queue.headless import TrainPrinter
from cifar_tui.runs.events import Ended, EpochDone, RunEvent, Started, to_json
from cifar_tui.runs.listing import Look, Run
from cifar_tui.text import at_epoch, clock, epoch_cells, loss, plain, rate

WIDEST = 80
"""Cells of the table after a grid."""


class SilentPrinter:
    """Shows nothing: the folder says it all. Remarks go to stderr, the background's log."""

    def note(self, sentence: str) -> None:
        """Keep a remark."""
        print(sentence, file=sys.stderr, flush=True)

    def begin(self, run: Run, number: int, total: int) -> None:
        """Nothing."""

    def show(self, look: Look) -> None:
        """Nothing."""

    def leave(self) -> None:
        """Nothing."""

    def side_by_side(self) -> TrainPrinter:
        """The same."""
        return self

    def sum_up(self, runs: Sequence[Run]) -> None:
        """Nothing."""


class JsonPrinter:
    """Each event of the run as one JSON object on one line of stdout."""

    def __init__(self, *, name_runs: bool = False) -> None:
        self._name_runs = name_runs

    def note(self, sentence: str) -> None:
        """Notes go to stderr, out of a program's way."""
        print(sentence, file=sys.stderr)

    def begin(self, run: Run, number: int, total: int) -> None:
        """The start event says it all."""

    def show(self, look: Look) -> None:
        """Print the new events."""
        for event in look.events:
            run = {"run": look.run.id} if self._name_runs else {}
            print(json_text({**run, **to_json(event)}), flush=True)

    def leave(self) -> None:
        """The end event says it all."""

    def side_by_side(self) -> TrainPrinter:
        """One whose objects say which run they are of."""
        return JsonPrinter(name_runs=True)

    def sum_up(self, runs: Sequence[Run]) -> None:
        """The end events say it all."""


class LinePrinter:
    """A line per epoch, for logs."""

    def note(self, sentence: str) -> None:
        """Notes go to stderr."""
        print(sentence, file=sys.stderr)

    def begin(self, run: Run, number: int, total: int) -> None:
        """Name the run."""
        self._print(f"run {number}/{total}  {run.id}")

    def show(self, look: Look) -> None:
        """Print the new epochs, and how the run ended."""
        for event in look.events:
            for line in self._lines(event, look):
                self._print(line)

    def leave(self) -> None:
        """The last line says it all."""

    def _lines(self, event: RunEvent, look: Look) -> list[str]:
        match event:
            case Started():
                return [f"loss {loss(event.initial_loss)} before training (ln 10 = 2.3026)"]
            case EpochDone():
                return [epoch_line(event, look.run.summary.epochs)]
            case Ended():
                return [end_line(look, event)]
            case _:
                return []

    def side_by_side(self) -> TrainPrinter:
        """Lines that begin with their run's number."""
        return NumberedPrinter()

    def sum_up(self, runs: Sequence[Run]) -> None:
        """A table of several runs, the best first."""
        if len(runs) > 1:
            for line in summary_table(runs).lines(min(output_width() or WIDEST, WIDEST)):
                LinePrinter._print(self, line.plain)

    def _print(self, line: str) -> None:
        print(plain(line), flush=True)


class NumberedPrinter(LinePrinter):
    """A line per epoch of runs that train at the same time, each with its run's number."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}
        self._prefix = ""

    def begin(self, run: Run, number: int, total: int) -> None:
        """Name the run and its number."""
        self._numbers[run.id] = f"{number:>{len(str(total))}}/{total}"
        self._prefix = ""
        super().begin(run, number, total)

    def show(self, look: Look) -> None:
        """Print the new epochs behind the run's number."""
        self._prefix = f"{self._numbers[look.run.id]}  "
        super().show(look)

    def _print(self, line: str) -> None:
        super()._print(self._prefix + line)


class BarPrinter(LinePrinter):
    """A line per epoch above a bar of the whole run, for a terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def begin(self, run: Run, number: int, total: int) -> None:
        """Name the run and draw its bar."""
        super().begin(run, number, total)
        columns = (BarColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("starting", total=1.0)
        self._bar.start()

    def show(self, look: Look) -> None:
        """Print the new epochs and move the bar."""
        super().show(look)
        if self._bar is None:
            return
        progress, summary = look.progress, look.run.summary
        if progress and progress.images and summary.epochs:
            done = (progress.epoch - 1 + progress.part) / summary.epochs
            text = (
                f"epoch {progress.epoch}/{summary.epochs}  {rate(progress.images_per_second)} "
                f"img/s  {clock(progress.seconds_left)} left  best {at_epoch(summary.best)}"
            )
            self._bar.update(self._task, completed=done, description=text)

    def leave(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _print(self, line: str) -> None:
        self._console.print(plain(line), markup=False, soft_wrap=True)


def train_printer(as_json: bool) -> TrainPrinter:
    """JSON lines, a progress bar on a terminal, or a line per epoch elsewhere."""
    if as_json:
        return JsonPrinter()
    return BarPrinter() if sys.stdout.isatty() else LinePrinter()


def summary_table(runs: Sequence[Run]) -> Table:
    """Runs with what became of them, the best first."""
    columns = ("val_acc", "val_loss", "epochs", "time")
    table = Table(Column("run, best first", cut=cut_middle), *columns, "status", right=columns)
    for run in sorted(runs, key=lambda run: -run.best_val_acc):
        summary = run.summary
        table.add(
            f"{run.name}{' (synthetic)' * run.synthetic}",
            at_epoch(summary.best),
            loss(summary.best.val_loss if summary.best else None),
            f"{summary.epochs_done}/{summary.epochs}",
            clock(summary.seconds),
            run.status,
        )
    return table


def epoch_line(event: EpochDone, epochs: int) -> str:
    """One epoch on one line of fixed width."""
    _, lr, *figures, speed, seconds = epoch_cells(event)
    names = ("train_loss", "train_acc", "val_loss", "val_acc")
    shown = "  ".join(f"{name} {value}" for name, value in zip(names, figures, strict=True))
    width = len(str(epochs))
    return f"epoch {event.epoch:>{width}}/{epochs}  {shown}  lr {lr}  {speed} img/s  {seconds} s"


def end_line(look: Look, event: Ended) -> str:
    """How a run ended, on one line; the event knows it before the folder's summary does."""
    run = look.run
    reason = f" ({event.reason})" if event.reason else ""
    demo = ", synthetic demo images" if run.synthetic else ""
    return (
        f"{event.status}{reason}: best val_acc {at_epoch(run.summary.best)} "
        f"in {clock(run.summary.seconds)}{demo}; kept in {run.path}"
    )
