"""No room: training waits with its reason, goes on when there is room, and loses nothing."""

import errno
import os
import random
import resource
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from tests.faults.rig import PATIENCE, Bench, Lost, Result, differences, fork, until, wait

DISK_BYTES = 4 * 2**20
"""Room for a run with its two checkpoints and the temporary third."""
SPARE_BYTES = 64 * 2**10
"""Room for the small files, not for a checkpoint."""
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def fill_disks(bench: Bench, tries: int, rng: random.Random) -> Iterator[Result]:
    """A small file system filled mid-run, where one can be made; and a limit on file sizes."""
    with _small_disk(bench.folder / "disk") as disk:
        if disk is not None:
            for name, spare in (("to the last byte", 0), ("but 64 KiB", SPARE_BYTES)):
                result = Result(f"disk full {name}", tries)
                for _ in range(tries):
                    _fill_one(bench, disk, spare, rng, result)
                yield result
    result = Result("file-size limit in mid-line", tries)
    for _ in range(tries):
        _limit_one(bench, rng, result)
    yield result


def _fill_one(bench: Bench, disk: Path, spare: int, rng: random.Random, result: Result) -> None:
    filler = disk / "filler"
    _block_one(
        bench,
        disk / "runs",
        rng,
        result,
        lambda pid, run: _fill(filler, spare),
        lambda pid: filler.unlink(),
        listed=spare > 0,
    )
    filler.unlink(missing_ok=True)


def _limit_one(bench: Bench, rng: random.Random, result: Result) -> None:
    def limit(pid: int, run: RunFolder) -> None:
        size = (run.path / "events.jsonl").stat().st_size
        largest = (size + rng.randint(1, 150), resource.RLIM_INFINITY)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, largest)

    _block_one(
        bench,
        bench.folder / "limited",
        rng,
        result,
        limit,
        lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, UNLIMITED) and None,
        listed=True,
    )


def _block_one(
    bench: Bench,
    runs: Path,
    rng: random.Random,
    result: Result,
    block: Callable[[int, RunFolder], None],
    unblock: Callable[[int], None],
    *,
    listed: bool,
) -> None:
    """Block a child's writes mid-run, see it say so, unblock, and compare the finished run."""
    run = RunFolder.create(runs, bench.spec)
    out, into = os.pipe()
    pid = fork(lambda: train_telling(run, into))
    os.close(into)
    epoch = rng.randint(bench.spec.epochs // 2, bench.spec.epochs * 3 // 4)
    try:
        until(lambda: _look(run).summary.epochs_done >= epoch, f"epoch {epoch}", pid)
        block(pid, run)
        if not select.select([out], [], [], PATIENCE)[0] or not os.read(out, 1000):
            raise Lost("training did not say that it waits")
        if listed:
            until(lambda: _look(run).status == "paused", "shown as paused", pid)
            if "training goes on" not in _look(run).summary.reason:
                result.mistake(f"paused without the reason: {_look(run).summary.reason!r}")
        unblock(pid)
        if wait(pid, PATIENCE):
            raise Lost("training did not go on")
        for difference in differences(bench.reference, run.path):
            result.mistake(difference)
    except Lost as error:
        result.lose(str(error))
    finally:
        os.close(out)
    subprocess.run(["rm", "-rf", str(run.path)], check=True)


def train_telling(run: RunFolder, into: int) -> None:
    """Train, and write into the pipe why training waits."""
    from tests.faults.rig import train

    train(run, lambda reason: os.write(into, reason.encode()) and None)


def _look(run: RunFolder):  # type: ignore[no-untyped-def]
    return Runs(run.path.parent).get(run.id)


def _fill(path: Path, spare: int) -> None:
    """Write until there is no room, then give `spare` bytes back."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while True:
            os.write(handle, bytes(4096))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        size = os.fstat(handle).st_size
        os.ftruncate(handle, max(size - spare, 0))
    finally:
        os.close(handle)


@contextmanager
def _small_disk(path: Path) -> Iterator[Path | None]:
    """A tmpfs of a few megabytes; None where this user may not mount one."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        yield None
        return
    if done.returncode:
        yield None
        return
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
