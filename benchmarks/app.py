"""Measures how the app feels: in a real terminal, on the demo set, in a temporary folder."""

import argparse
import dataclasses
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.terminal import PATIENCE, Terminal
from cifar_tui.errors import UserError
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import kept_settings
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.runs.record import Point, Summary
from cifar_tui.spec.naming import to_toml
from cifar_tui.spec.settings import RunSpec

FIRST_WORDS = ("Enter launches", "Images", "Epochs", "Momentum", "Schedule", "launch", "help")
"""From the first line to the last: the form can be read once these are there."""
F2, F3, F4, F6 = b"\x1bOQ", b"\x1bOR", b"\x1bOS", b"\x1b[17~"
SCREENS = ((F6, "DEVICES"), (F4, "HISTORY"), (F3, "LIVE"), (F2, "NEW"))
"""Keys with a word that the answer holds and nothing else that is sent meanwhile."""
DOWN = b"\x1b[B"
STARTS = 5
KEYS = 120
LIVE_SECONDS, IDLE_SECONDS = 20.0, 10.0
SAVED_RUNS = 10_000
ROUNDS, ROUND_EPOCHS = 3, 6
NAME = "measured"
FOREVER = 10_000
"""Epochs of a run that lasts as long as the measurement."""


@dataclass(frozen=True)
class AppFigures:
    """How the app feels; seconds, bytes per second and images per second."""

    columns: int
    rows: int
    cpus: int
    first_paint: float
    """From the command to a form that can be read, median of several starts."""
    keys: int
    key_median: float
    key_95: float
    """From a key to its answer while a run trains, 95th percentile."""
    key_slowest: float
    live_bytes: float
    """Sent per second by Live while a run trains."""
    idle_bytes: float
    """Sent per second while nothing happens."""
    saved_runs: int
    history: float
    """From the key to the first rows of so many runs."""
    history_at_once: float
    """The same with the key pressed as soon as the form is there."""
    headless_speed: float
    app_speed: float

    @property
    def kept_speed(self) -> float:
        """Share of its speed without the app that a run keeps with the app open."""
        return self.app_speed / self.headless_speed

    def to_dict(self) -> dict[str, Any]:
        """All figures for programs."""
        return dataclasses.asdict(self) | {"kept_speed": self.kept_speed}

    def lines(self) -> list[str]:
        """One line per figure for people."""
        size = f"{self.columns}x{self.rows}"
        return [
            f"first paint              {self.first_paint:8.3f} s     ({size}, {self.cpus} CPUs)",
            f"key to answer, training  {1000 * self.key_95:8.1f} ms    "
            f"(95th percentile of {self.keys} keys; median {1000 * self.key_median:.1f}, "
            f"slowest {1000 * self.key_slowest:.0f})",
            f"Live sends, training     {self.live_bytes / 1000:8.2f} kB/s",
            f"the app sends, idle      {self.idle_bytes / 1000:8.2f} kB/s",
            f"History opens            {self.history:8.3f} s     "
            f"({self.saved_runs:,} runs; {self.history_at_once:.3f} right after the first paint)",
            f"speed with the app open  {self.kept_speed:8.3f}       "
            f"({self.app_speed:,.0f} of {self.headless_speed:,.0f} img/s headless)",
        ]


def measure_app(columns: int = 140, rows: int = 40, saved_runs: int = SAVED_RUNS) -> AppFigures:
    """Measure the app in a terminal of this size; takes about three minutes.

    Raises UserError when the app does not answer.
    """
    stage = Stage(columns, rows)
    keys = stage.key_seconds(KEYS)
    headless, app = stage.speeds()
    history, at_once = stage.history(saved_runs)
    return AppFigures(
        columns=columns,
        rows=rows,
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        first_paint=stage.first_paint(),
        keys=len(keys),
        key_median=statistics.median(keys),
        key_95=statistics.quantiles(keys, n=20)[-1],
        key_slowest=max(keys),
        live_bytes=stage.live_bytes(LIVE_SECONDS),
        idle_bytes=stage.idle_bytes(IDLE_SECONDS),
        saved_runs=saved_runs,
        history=history,
        history_at_once=at_once,
        headless_speed=headless,
        app_speed=app,
    )


@dataclass(frozen=True)
class Stage:
    """One measurement after another, each in a folder of its own."""

    columns: int = 140
    rows: int = 40

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="cifar-tui-bench-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _open(self, folder: Path, *arguments: str) -> Terminal:
        return Terminal(
            [*arguments, "--data", "demo"], folder, columns=self.columns, rows=self.rows
        )

    def _train(self, folder: Path, *arguments: str, epochs: int = FOREVER) -> Terminal:
        return self._open(folder, "train", "--name", NAME, "--epochs", str(epochs), *arguments)

    def first_paint(self, starts: int = STARTS) -> float:
        """Seconds from the command to the form, median of some starts after one that warms up."""
        seconds = []
        with self._folder() as folder:
            for _ in range(starts + 1):
                with Terminal([], folder, columns=self.columns, rows=self.rows) as terminal:
                    seconds.append(terminal.until(*FIRST_WORDS) - terminal.began)
        return statistics.median(seconds[1:])

    def key_seconds(self, keys: int) -> list[float]:
        """Seconds from each of so many keys to its answer while a run trains."""
        draw = random.Random(0)
        seconds: list[float] = []
        with self._folder() as folder:
            names = iter(save_runs(folder / "saved_model", keys))
            with self._train(folder, "--app") as terminal:
                _first_epoch(terminal, folder)
                while len(seconds) < keys:
                    for key, word in SCREENS:
                        seconds.append(_answer(terminal, key, word, draw))
                        if word == "HISTORY":
                            terminal.wait(1.0)
                            seconds += [_answer(terminal, DOWN, next(names), draw) for _ in SCREENS]
        return seconds

    def live_bytes(self, seconds: float) -> float:
        """Bytes per second that Live sends while a run trains."""
        with self._folder() as folder, self._train(folder, "--app") as terminal:
            _first_epoch(terminal, folder)
            return _bytes_per_second(terminal, seconds)

    def idle_bytes(self, seconds: float) -> float:
        """Bytes per second that the form sends while nothing happens."""
        with self._folder() as folder, self._open(folder) as terminal:
            terminal.until(*FIRST_WORDS)
            terminal.wait(10.0)
            return _bytes_per_second(terminal, seconds)

    def history(self, count: int) -> tuple[float, float]:
        """Seconds until History shows rows of so many runs: once torch is there, and at once."""
        found = []
        with self._folder() as folder:
            newest = save_runs(folder / "saved_model", count)[0]
            for settle in (15.0, 0.0):
                with self._open(folder) as terminal:
                    terminal.until(*FIRST_WORDS)
                    terminal.wait(settle)
                    terminal.press(F4)
                    began = time.perf_counter()
                    found.append(terminal.until(newest) - began)
        return found[0], found[1]

    def speeds(self) -> tuple[float, float]:
        """Images per second headless and with the app open, median of epochs of runs in turns."""
        headless: list[float] = []
        app: list[float] = []
        for number in range(ROUNDS):
            order: list[tuple[list[float], list[str]]] = [(headless, []), (app, ["--app"])]
            for speeds, arguments in order if number % 2 else order[::-1]:
                with self._folder() as folder:
                    with self._train(folder, *arguments, epochs=ROUND_EPOCHS) as terminal:
                        run = _wait_for_run(terminal, folder, lambda run: run.ended)
                    epochs = read_epochs(run.path)
                speeds += [e.images_per_second or 0.0 for e in epochs[1:]]
        return statistics.median(headless), statistics.median(app)


def _answer(terminal: Terminal, key: bytes, word: str, draw: random.Random) -> float:
    terminal.wait(draw.uniform(0.15, 0.45))
    terminal.press(key)
    began = time.perf_counter()
    return terminal.until(word) - began


def _bytes_per_second(terminal: Terminal, seconds: float) -> float:
    before, began = terminal.sent, time.perf_counter()
    terminal.wait(seconds)
    return (terminal.sent - before) / (time.perf_counter() - began)


def _first_epoch(terminal: Terminal, folder: Path) -> Run:
    return _wait_for_run(terminal, folder, lambda run: run.summary.epochs_done > 0)


def _wait_for_run(terminal: Terminal, folder: Path, ready: Callable[[Run], bool]) -> Run:
    """Let the app work until its run is as wanted."""
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        terminal.wait(0.25)
        runs = [run for run in Runs(folder / "saved_model").all() if run.name == NAME]
        if runs and ready(runs[-1]):
            return runs[-1]
    raise UserError(f"The run did not get on: {terminal.text[-200:]!r}")


def save_runs(folder: Path, count: int) -> list[str]:
    """Write the folders of so many finished runs; returns their names, newest first."""
    newest = datetime.now(UTC) - timedelta(hours=1)
    specs = [
        RunSpec(lr=lr, batch_norm=True, augment=True, data="demo") for lr in (0.1, 0.01, 0.001)
    ]
    names = []
    for number in range(count):
        name = f"run-{count - number:05d}"
        spec = specs[number % len(specs)].model_copy(update={"name": name})
        toml = to_toml(spec).encode()
        stamp = (newest - timedelta(minutes=count - number)).strftime("%Y%m%d-%H%M%S-%fZ")
        path = folder / f"{stamp}-{name}"
        path.mkdir(parents=True)
        best = Point(epoch=30, val_acc=0.7, val_loss=0.9, train_acc=0.8, train_loss=0.6)
        summary = Summary(
            id=path.name,
            **kept_settings(spec, toml),
            status="finished",
            epochs_done=30,
            best=best,
            last=best,
            initial_loss=2.3034,
            parameters=82_126,
            device="cpu",
            source="demo",
            seconds=61.0,
        )
        (path / "spec.toml").write_bytes(toml)
        (path / "summary.json").write_text(json.dumps(summary.model_dump(mode="json"), indent=1))
        names.append(name)
    return names[::-1]


def main() -> int:
    """Measure in a terminal of 140x40, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app", description=__doc__)
    parser.add_argument("--json", action="store_true", help="Print them for programs.")
    as_json = parser.parse_args().json
    try:
        figures = measure_app()
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(figures.to_dict()) if as_json else "\n".join(figures.lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
