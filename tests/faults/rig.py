"""What every fault needs: a tiny data set, forked children, a reference run, and a comparison."""

import contextlib
import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # what the first optimiser would import, in every child anew

from cifar_tui.data.demo import draw_demo
from cifar_tui.queue.train_run import perform
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.checkpoint import load

EXACT = ("epoch", "lr", "train_loss", "train_acc", "val_loss", "val_acc")
FILES = {
    *("spec.toml", "summary.json", "events.jsonl", "progress.json", "notes.json", "meta.json"),
    *("best.pt", "last.pt", "lock", "control"),
}
PATIENCE = 120.0
"""Seconds after which something that should have happened counts as lost."""


class Lost(Exception):
    """A run that cannot be resumed or read any more, or that never ended."""


@dataclass
class Result:
    """One row of the table, and a remark per thing that went wrong."""

    fault: str
    tries: int = 0
    lost: int = 0
    wrong: int = 0
    remarks: list[str] = field(default_factory=list)

    def lose(self, remark: str) -> None:
        """Count a lost run."""
        self.lost += 1
        self.remarks.append(f"lost: {remark}")

    def mistake(self, remark: str) -> None:
        """Count a wrong figure or answer."""
        self.wrong += 1
        self.remarks.append(f"wrong: {remark}")


@dataclass(frozen=True)
class Bench:
    """Where the faults happen: a scratch folder, the images, the spec and its undisturbed run."""

    folder: Path
    data: Path
    spec: RunSpec
    reference: Path
    seconds: float
    """What the undisturbed run took."""


def make_bench(folder: Path, epochs: int) -> Bench:
    """Cut the images and train the reference run in a child."""
    data = write_course(folder / "course", 300, 100, 50)
    spec = RunSpec(
        data=str(data),
        epochs=epochs,
        schedule="cosine",
        augment=True,
        batch_norm=True,
        dropout=0.1,
    )
    run = RunFolder.create(folder / "reference", spec)
    began = time.monotonic()
    code = wait(fork(lambda: train(run)), PATIENCE)
    if code != 0 or read_run(run.path).status != "finished":
        raise SystemExit(f"the undisturbed run failed: {read_run(run.path).summary.reason}")
    return Bench(folder, data, spec, run.path, time.monotonic() - began)


def write_course(folder: Path, train: int, val: int, test: int) -> Path:
    """Images in the course's layout, cut from the demo set."""
    folder.mkdir()
    demo = draw_demo()
    for name, count in (("train", train), ("val", val), ("test", test)):
        split = getattr(demo, name)
        np.save(folder / f"{name}-images-batch.npy", split.images[:count])
        if name != "test":
            np.save(folder / f"{name}-labels-batch.npy", split.labels[:count].astype(np.uint8))
    return folder


def train(run: RunFolder, blocked: Callable[[str], None] = lambda reason: None) -> None:
    """Train one run with one thread, as a child does."""
    torch.set_num_threads(1)
    perform(run, blocked=blocked)


_children: set[int] = set()


def fork(work: Callable[[], object]) -> int:
    """Do the work in a child and return its pid; it exits with 1 where the work raises.

    Safe as long as this process has run no torch operation, so that torch has no threads yet.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _children.add(pid)
    return pid


def adopt(pid: int) -> int:
    """Let `end_children` end this child too."""
    _children.add(pid)
    return pid


def ended_within(pid: int, seconds: float) -> bool:
    """Wait for a child's end without reaping it; tells whether it came in time."""
    handle = os.pidfd_open(pid)
    try:
        return bool(select.select([handle], [], [], max(seconds, 0.0))[0])
    finally:
        os.close(handle)


def reap(pid: int) -> int:
    """Take an ended child's exit code, negative for a signal."""
    _, status = os.waitpid(pid, 0)
    _children.discard(pid)
    return os.waitstatus_to_exitcode(status)


def wait(pid: int, seconds: float) -> int:
    """Wait for a child and return its exit code; one that does not end is killed, and Lost."""
    if ended_within(pid, seconds):
        return reap(pid)
    kill(pid)
    raise Lost(f"a process did not end within {seconds:.0f} s")


def kill(pid: int) -> None:
    """Kill a child and reap it."""
    os.kill(pid, signal.SIGKILL)
    reap(pid)


def end_children() -> None:
    """Leave no child behind."""
    for pid in list(_children):
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            kill(pid)


def until(condition: Callable[[], object], what: str, pid: int) -> None:
    """Look again and again until the condition holds; Lost where the child ends before."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end or ended_within(pid, 0.01):
            raise Lost(f"{what}: it did not happen")


def differences(reference: Path, path: Path) -> list[str]:
    """What differs between the undisturbed run and this one, found in a child."""
    out, into = os.pipe()

    def compare() -> None:
        torch.set_num_threads(1)
        os.write(into, json.dumps(list(_differences(reference, path))).encode()[:60_000])

    pid = fork(compare)
    os.close(into)
    with open(out, "rb") as pipe:
        text = pipe.read()
    if wait(pid, PATIENCE) != 0:
        raise Lost(f"{path.name} cannot be read back")
    found: list[str] = json.loads(text)
    return found


def _differences(reference: Path, path: Path) -> Iterable[str]:
    ours, theirs = read_run(path), read_run(reference)
    if ours.problem or ours.status != "finished":
        yield f"the run is {ours.status}: {ours.problem or ours.summary.reason}"
        return
    for name in ("best", "last", "initial_loss", "epochs_done", "epochs", "parameters"):
        if getattr(ours.summary, name) != getattr(theirs.summary, name):
            yield f"summary.{name} is {getattr(ours.summary, name)}"
    if _figures(path) != _figures(reference):
        yield "the epoch events differ"
    for name in ("best.pt", "last.pt"):
        ours_kept, theirs_kept = (vars(load(one / name)) for one in (path, reference))
        if not same(ours_kept | {"run": ""}, theirs_kept | {"run": ""}):
            yield f"{name} differs"
    strays = sorted(entry.name for entry in path.iterdir() if entry.name not in FILES)
    if strays:
        yield f"left in the folder: {', '.join(strays)}"


def _figures(path: Path) -> list[list[Any]]:
    return [[getattr(event, name) for name in EXACT] for event in read_epochs(path)]


def same(one: Any, other: Any) -> bool:
    """Whether two nested values are equal to the last bit of every tensor."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
