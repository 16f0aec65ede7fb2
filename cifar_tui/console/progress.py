"""Three ways to show headless training: JSON lines, plain lines, a progress bar."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cifar_tui.console.printing import json_text, output_width
from cifar_tui.queue.headless import TrainPrinter
from cifar_tui.runs.events import Ended, EpochDone, Started, to_json
from cifar_tui.runs.listing import Look, Run
from cifar_tui.runs.record import Point
from cifar_tui.table import Column, Table, cut_middle, figures
from cifar_tui.text import (
    EPOCH_COLUMNS,
    at_epoch,
    clock,
    epoch_cells,
    epoch_row,
    loss,
    plain,
    rate,
)

WIDEST = 80
"""Cells of the table after a grid."""


class SilentPrinter:
    """Shows nothing of a run, as its folder says it all; notes go to stderr."""

    def note(self, sentence: str) -> None:
        """Tell something beside the runs."""
        print(sentence, file=sys.stderr, flush=True)

    def begin(self, run: Run, number: int, total: int) -> None:
        """Show that a run begins."""

    def show(self, look: Look) -> None:
        """Show what is new of a run."""

    def leave(self) -> None:
        """Show that a run is no longer looked at."""

    def sum_up(self, runs: Sequence[Run]) -> None:
        """Show what became of all runs."""

    def side_by_side(self) -> TrainPrinter:
        """One that shows several runs at a time."""
        return self


class JsonPrinter(SilentPrinter):
    """Each event of the run as one JSON object on one line of stdout."""

    def __init__(self, *, name_runs: bool = False) -> None:
        self._name_runs = name_runs

    def show(self, look: Look) -> None:
        for event in look.events:
            run = {"run": look.run.id} if self._name_runs else {}
            print(json_text({**run, **to_json(event)}), flush=True)

    def side_by_side(self) -> TrainPrinter:
        return JsonPrinter(name_runs=True)


class LinePrinter(SilentPrinter):
    """A line per epoch that stands for itself, for logs; or `rows` of a table, for a terminal."""

    def __init__(self, *, rows: bool = False) -> None:
        self._rows = rows
        self._has_head = False
        self._best: dict[str, Point] = {}
        """Each run's best epoch so far."""

    def begin(self, run: Run, number: int, total: int) -> None:
        self._print(f"run {number}/{total}  {run.id}")

    def show(self, look: Look) -> None:
        for event in look.events:
            match event:
                case Started():
                    self._print(f"loss {loss(event.initial_loss)} before training (ln 10 = 2.3026)")
                case EpochDone() if self._rows:
                    self._print_row(event, look.run)
                case EpochDone():
                    self._print(epoch_line(event, look.run.summary.epochs))
                case Ended():
                    self._print_end(*end_words(look, event))

    def side_by_side(self) -> TrainPrinter:
        return NumberedPrinter()

    def sum_up(self, runs: Sequence[Run]) -> None:
        if len(runs) > 1:
            LinePrinter._print(self, "")
            for line in summary_table(runs).printed_lines(min(output_width() or WIDEST, WIDEST)):
                LinePrinter._print(self, line.plain)

    def _print_row(self, event: EpochDone, run: Run) -> None:
        if not self._has_head:
            self._has_head = True
            self._print(epoch_row(EPOCH_COLUMNS))
        is_best = event.point.beats(self._best.get(run.id))
        if is_best:
            self._best[run.id] = event.point
        self._print(epoch_row(epoch_cells(event)) + "  best" * is_best)

    def _print_end(self, outcome: str, place: str) -> None:
        for line in (outcome, place) if self._rows else (f"{outcome}; {place}",):
            self._print(line)

    def _print(self, line: str) -> None:
        print(plain(line), flush=True)


class NumberedPrinter(LinePrinter):
    """The same of runs that train at the same time, each line with its run's number."""

    def __init__(self, *, rows: bool = False) -> None:
        super().__init__(rows=rows)
        self._numbers: dict[str, str] = {}
        self._prefix = ""

    def begin(self, run: Run, number: int, total: int) -> None:
        self._numbers[run.id] = f"{number:>{len(str(total))}}/{total}"
        self._prefix = ""
        super().begin(run, number, total)

    def show(self, look: Look) -> None:
        self._prefix = f"{self._numbers[look.run.id]}  "
        super().show(look)

    def _print(self, line: str) -> None:
        super()._print(self._prefix + line)


class BarPrinter(LinePrinter):
    """A row per epoch above a bar of the whole run, for a terminal."""

    def __init__(self) -> None:
        super().__init__(rows=True)
        self._console = Console(highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def begin(self, run: Run, number: int, total: int) -> None:
        super().begin(run, number, total)
        self._has_head = False
        columns = (BarColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("starting", total=1.0)
        self._bar.start()

    def show(self, look: Look) -> None:
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

    def side_by_side(self) -> TrainPrinter:
        return NumberedPrinter(rows=True)

    def leave(self) -> None:
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
    measured = figures("val_acc", "val_loss", "epochs", "time")
    rows = [
        (
            f"{run.name}{' (synthetic)' * run.synthetic}",
            at_epoch(run.summary.best),
            loss(run.summary.best.val_loss if run.summary.best else None),
            f"{run.summary.epochs_done}/{run.summary.epochs}",
            clock(run.summary.seconds),
            run.status,
        )
        for run in sorted(runs, key=lambda run: -run.best_val_acc)
    ]
    return Table([Column("run, best first", cut=cut_middle), *measured, "status"], rows)


def epoch_line(event: EpochDone, epochs: int) -> str:
    """One epoch on one line of fixed width."""
    _, lr, *figures, speed, seconds = epoch_cells(event)
    names = ("train_loss", "train_acc", "val_loss", "val_acc")
    shown = "  ".join(f"{name} {value}" for name, value in zip(names, figures, strict=True))
    width = len(str(epochs))
    return f"epoch {event.epoch:>{width}}/{epochs}  {shown}  lr {lr}  {speed} img/s  {seconds} s"


def end_words(look: Look, event: Ended) -> tuple[str, str]:
    """How a run ended, which the event knows before the folder's summary does, and where it is."""
    run = look.run
    reason = event.reason or event.status
    outcome = reason if reason.startswith(event.status) else f"{event.status} ({reason})"
    demo = ", synthetic demo images" if run.synthetic else ""
    best, time = at_epoch(run.summary.best), clock(run.summary.seconds)
    return f"{outcome}: best val_acc {best} in {time}{demo}", f"kept in {run.path}"
