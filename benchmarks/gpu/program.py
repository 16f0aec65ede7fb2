"""The program itself as processes: whole runs, kills, turns on the device, orders, `bench`."""

import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu.pieces import Setup
from benchmarks.gpu.results import Results, listed, median, short
from cifar_tui.errors import UserError
from cifar_tui.runs.events import EpochDone, RunEvent, read_epochs, read_events
from cifar_tui.runs.folder import Order, RunFolder
from cifar_tui.runs.listing import Runs, read_progress, read_run
from cifar_tui.runs.record import ENDED
from cifar_tui.spec.settings import RunSpec

LOOK = 0.02
"""Seconds between two looks at a run's folder."""


def run(found: Results, at: Setup) -> None:
    """`cifar-tui train`, as a user waits for it: training, validation, files and the rest."""
    for model, precision, epochs in at.pick(
        [("simplenn", "fp32", 30), ("resnet20", "bf16", 12)], [("simplenn", "fp32", 3)]
    ):
        with found.trying(f"run {model}"):
            spec = at.spec(model, precision=precision, epochs=epochs)
            began = time.perf_counter()
            process = _start(at, f"runs-{model}", "train", *flags(spec))
            run = _run_in(at, f"runs-{model}", 60)
            _wait(partial(read_epochs, run), 60)
            seen = _devices(at, f"runs-{model}")
            process.wait(120)
            wall = time.perf_counter() - began
            found.keep(model, row := _epochs(run) | {"wall_s": wall})
            found.line(
                f"cifar-tui train, {model} {precision}, {epochs} epochs: {read_run(run).status}, "
                f"{wall:.1f} s from the command, {row['all_s']:.2f} s from its start; an epoch "
                f"{1e3 * row['epoch_s']:.0f} ms = train {1e3 * row['train_s']:.0f} + val "
                f"{1e3 * row['val_s']:.0f} + files and the rest {1e3 * row['rest_s']:.0f}"
            )
            found.line(f"  devices meanwhile: {seen}")


def kill(found: Results, at: Setup) -> None:
    """A run killed by -9 and resumed against one left alone: the same numbers in each epoch."""
    spec = at.spec("simplenn-bn", dropout=0.2, epochs=at.pick(14, 4))
    alone = _start(at, "runs-alone", "train", *flags(spec), locks="locks-alone")
    process = _start(at, "runs-killed", "train", *flags(spec))
    run = _run_in(at, "runs-killed", 60)
    _wait(lambda: len(read_epochs(run)) >= at.pick(4, 1), 90)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(read_epochs(run))
    _start(at, "runs-killed", "runs", "resume", run.name).wait(60)
    _wait(lambda: read_run(run).status in ENDED, 60)
    alone.wait(60)

    def figures(path: Path) -> list[Any]:
        wanted = ("epoch", "train_loss", "val_loss", "val_acc")
        return [tuple(getattr(epoch, name) for name in wanted) for epoch in read_epochs(path)]

    ours, theirs = figures(run), figures(_run_in(at, "runs-alone", 1))
    text = f"killed after epoch {done} of {spec.epochs} and resumed: {read_run(run).status}"
    found.check(ours == theirs, f"{text}, {'equal' if ours == theirs else (ours, theirs)}")


def two(found: Results, at: Setup) -> None:
    """Two processes on one device: they take turns; kept apart, what do they train together?"""
    few = flags(at.spec(epochs=at.pick(8, 2)))
    processes = [_start(at, name, "train", *few) for name in ("runs-a", "runs-b")]
    for process in processes:
        process.wait(90)
    spans = []
    for name in ("runs-a", "runs-b"):
        events = list(read_events(_run_in(at, name, 1)))
        spans.append((_when(events[0]), _when(events[-1])))
    overlap = min(end for _, end in spans) - max(begin for begin, _ in spans)
    found.check(overlap <= 0, f"two runs of one user overlap by {max(0.0, overlap):.1f} s")
    if at.smoke:
        return
    spec, rates = at.spec(epochs=60), {}
    for count in (1, 2):
        names = [f"runs-{count}-{number}" for number in range(count)]
        processes = [
            _start(at, name, "train", *flags(spec), locks=f"locks-{name}") for name in names
        ]
        for process in processes:
            process.wait(120)
        epochs = [read_epochs(_run_in(at, name, 1)) for name in names]
        begin, end = max(_when(e[0]) for e in epochs), min(_when(e[-1]) for e in epochs)
        rates[count] = [
            median([e.images_per_second or 0 for e in run if begin <= _when(e) <= end])
            for run in epochs
        ]
    found.keep("side by side", rates)
    gain = sum(rates[2]) / rates[1][0]
    both = " and ".join(map(short, rates[2]))
    found.line(f"simplenn alone {short(rates[1][0])} images/s, two at once {both} ({gain:.2f}x)")


def orders(found: Results, at: Setup) -> None:
    """How soon a slow run obeys, and how long its heartbeat stands still."""
    slow = {"depth": at.pick(110, 14), "epochs": 500, "batch_size": at.pick(128, 32)}
    _start(at, "runs-orders", "train", *flags(at.spec("resnet20", **slow)))
    run = _run_in(at, "runs-orders", 60)
    _wait(lambda: read_epochs(run), 90)
    beats, until = [time.monotonic()], time.monotonic() + at.pick(6.0, 1.0)
    counter = None
    while time.monotonic() < until:
        progress = read_progress(run)
        if progress is not None and progress.counter != counter:
            counter = progress.counter
            beats.append(time.monotonic())
        time.sleep(LOOK / 4)
    gap = max(b - a for a, b in itertools.pairwise(beats))
    took: dict[str, float] = {}
    wanted: dict[Order, str] = {"pause": "paused", "go": "running", "stop": "stopped"}
    for order, status in wanted.items():
        began = time.monotonic()
        RunFolder(run).write_order(order)
        _wait(partial(_has_status, run, status), 30)
        took[order] = time.monotonic() - began
    epoch = median([e.train_seconds or 0 for e in read_epochs(run)])
    found.keep("orders", {"heartbeat_gap_s": gap, "obeyed_s": took, "epoch_s": epoch})
    text = listed({order: f"{seconds:.2f} s" for order, seconds in took.items()})
    found.line(
        f"a slow net (epoch {epoch:.2f} s): at most {gap:.2f} s between heartbeats; obeyed: {text}"
    )


def bench(found: Results, at: Setup) -> None:
    """The program's own `bench` of SimpleNN."""
    command = [sys.executable, "-P", "-m", "cifar_tui", "bench", "--model", "simplenn", "--json"]
    command += ["--precision", "fp32", "--rounds", "1", "--data", str(at.data)]
    command += ["--images", "1280"] if at.smoke else []
    done = subprocess.run(
        command, cwd=at.work, env=at.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError((done.stderr.strip().splitlines() or ["bench said nothing"])[-1])
    row = json.loads(done.stdout)["rows"][0]
    found.keep("row", row)
    rates = {name: short(row[name]) for name in ("plain", "engine", "limit", "floor")}
    found.line(f"cifar-tui bench, simplenn fp32, images/s: {listed(rates)}")


def flags(spec: RunSpec) -> list[str]:
    """The settings of a spec that are not the usual ones, as flags."""
    usual, found = RunSpec().model_dump(), []
    for name, value in spec.model_dump().items():
        flag = name.replace("_", "-")
        if value == usual[name]:
            continue
        if isinstance(value, bool):
            found.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            found += [f"--{flag}", text]
    return found


def _start(at: Setup, runs: str, *arguments: str, locks: str = "locks") -> subprocess.Popen[bytes]:
    """`cifar-tui ARGUMENTS` as a process with its runs in a folder of its own."""
    log = (at.work / "program.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-m", "cifar_tui", *arguments, "--runs", str(at.work / runs)],
        cwd=at.work,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=at.environment(locks=locks),
    )


def _run_in(at: Setup, runs: str, seconds: float) -> Path:
    """The folder of the one run among `runs`, once it is there."""

    def look() -> Path | None:
        return next((run.path for run in Runs(at.work / runs).all()), None)

    return Path(_wait(look, seconds))


def _has_status(run: Path, status: str) -> bool:
    return read_run(run).status == status


def _wait(look: Callable[[], Any], seconds: float) -> Any:
    """What `look` finds, once it finds something; raises TimeoutError."""
    until = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        if time.monotonic() > until:
            raise TimeoutError(f"nothing within {seconds:.0f} s")
        time.sleep(LOOK)


def _when(event: RunEvent) -> float:
    return event.time or 0.0


def _epochs(run: Path) -> dict[str, float]:
    """Seconds of the whole run, and medians of its epochs but the first."""
    events = list(read_events(run))
    epochs = [event for event in events if isinstance(event, EpochDone)]
    spans = [_when(b) - _when(a) for a, b in itertools.pairwise(epochs)]
    row = {
        "all_s": _when(events[-1]) - _when(events[0]),
        "epoch_s": median(spans),
        "train_s": median([epoch.train_seconds or 0 for epoch in epochs[1:]]),
        "val_s": median([epoch.val_seconds or 0 for epoch in epochs[1:]]),
    }
    return row | {"rest_s": row["epoch_s"] - row["train_s"] - row["val_s"]}


def _devices(at: Setup, runs: str) -> str:
    """What `cifar-tui devices` says of the GPU while a run trains."""
    command = [sys.executable, "-m", "cifar_tui", "devices", "--json"]
    command += ["--runs", str(at.work / runs)]
    done = subprocess.run(
        command, cwd=at.work, env=at.environment(), capture_output=True, text=True, check=False
    )
    seen = json.loads(done.stdout)
    told = [
        f"{gpu['name']} {gpu['utilisation']} % busy, {len(gpu['processes'])} processes, not told: "
        + (", ".join(key for key, value in gpu.items() if value is None) or "nothing")
        for gpu in seen["gpus"]
    ]
    return "; ".join(told) or str(seen["reason"])
