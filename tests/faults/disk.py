"""No room: training waits with its reason, goes on when there is room, and loses nothing."""

import errno
import os
import random
import resource
import select
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs
from tests.faults.rig import (
    PATIENCE,
    Bench,
    Lost,
    Result,
    differences,
    end_children,
    fork,
    train,
    until,
    wait,
)

DISK_BYTES = 4 * 2**20
"""Room for a run with its two checkpoints and the temporary third."""
SPARE_BYTES = 64 * 2**10
"""Room for the small files, not for a checkpoint."""
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@dataclass(frozen=True)
class Blockage:
    """A way to leave a child without room and to give it room again."""

    fault: str
    runs: Path
    block: Callable[[int, RunFolder], object]
    unblock: Callable[[int], object]


def fill_disks(bench: Bench, tries: int, rng: random.Random) -> Iterator[Result]:
    """A small file system filled mid-run, where one can be made; and a limit on file sizes."""
    with _small_disk(bench.folder / "disk") as disk:
        for blockage in (*_full_disks(disk), _size_limit(bench.folder / "limited", rng)):
            result = Result(blockage.fault, tries)
            for _ in range(tries):
                _block_one(bench, blockage, rng, result)
            yield result


def _full_disks(disk: Path | None) -> Iterator[Blockage]:
    if disk is None:
        return
    runs = disk / "runs"
    filler = runs / ".filler"
    for name, spare in (("to the last byte", 0), ("but for 64 KiB", SPARE_BYTES)):
        yield Blockage(
            f"disk full {name}",
            runs,
            lambda pid, run, left=spare: _fill(filler, left),  # type: ignore[misc]
            lambda pid: filler.unlink(),
        )


def _size_limit(runs: Path, rng: random.Random) -> Blockage:
    """A limit that cuts the next line of events.jsonl, as a disk does that fills up meanwhile."""

    def limit(pid: int, run: RunFolder) -> None:
        size = (run.path / "events.jsonl").stat().st_size + rng.randint(1, 150)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def lift(pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, UNLIMITED)

    return Blockage("file-size limit, often in mid-line", runs, limit, lift)


def _block_one(bench: Bench, blockage: Blockage, rng: random.Random, result: Result) -> None:
    """Block a child's writes mid-run, see it say so, unblock, and compare the finished run."""
    run = RunFolder.create(blockage.runs, bench.spec)
    out, into = os.pipe()
    pid = fork(lambda: train(run, lambda reason: _tell(into, reason)))
    os.close(into)
    epoch = rng.randint(bench.spec.epochs // 2, bench.spec.epochs * 3 // 4)
    try:
        until(lambda: _look(run).summary.epochs_done >= epoch, f"epoch {epoch}", pid)
        blockage.block(pid, run)
        if not select.select([out], [], [], PATIENCE)[0] or not os.read(out, 1000):
            raise Lost("training did not say that it waits")
        until(lambda: _look(run).status == "paused", "shown as paused", pid)
        if "training goes on" not in _look(run).summary.reason:
            result.mistake(f"paused without the reason: {_look(run).summary.reason!r}")
        blockage.unblock(pid)
        if wait(pid, PATIENCE):
            raise Lost("training did not go on")
        for difference in differences(bench.reference, run.path):
            result.mistake(difference)
    except Lost as error:
        result.lose(str(error))
    finally:
        end_children()
        os.close(out)
        shutil.rmtree(blockage.runs)


def _tell(into: int, reason: str) -> None:
    os.write(into, reason.encode())


def _look(run: RunFolder) -> Run:
    return Runs(run.path.parent).get(run.id)


def _fill(path: Path, spare: int) -> None:
    """Write until there is no room, then give `spare` bytes back."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        while True:
            os.write(handle, bytes(4096))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.ftruncate(handle, os.fstat(handle).st_size - spare)
    finally:
        os.close(handle)


@contextmanager
def _small_disk(path: Path) -> Iterator[Path | None]:
    """A tmpfs of a few megabytes; None where this user may not mount one."""
    path.mkdir()
    if not _mounted(path):
        yield None
        return
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mounted(path: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
