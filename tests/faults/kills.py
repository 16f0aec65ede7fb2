"""kill -9 at random instants of a run's life, then resume, until it finishes; then compare."""

import json
import os
import random
import shutil
import signal
from collections import Counter
from functools import partial
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.runs.control import requeue
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs
from tests.faults.rig import (
    PATIENCE,
    Bench,
    Lost,
    Result,
    differences,
    ended_within,
    fork,
    reap,
    train,
    wait,
)

SHARE = 0.6
"""The longest wait before a kill, as a share of the undisturbed run's time."""
TORN = 0.25
"""How often a kill also leaves half a line, as a power cut does."""


def kill_runs(bench: Bench, tries: int, rng: random.Random) -> Result:
    """Kill children until `tries` were hit; every run is resumed to its end and compared."""
    result = Result("kill -9 at a random instant")
    hits: Counter[str] = Counter()
    runs = bench.folder / "killed"
    while result.tries < tries:
        folder = RunFolder.create(runs, bench.spec)
        before = result.tries
        try:
            while result.tries < tries and _killed(bench, folder, rng, result, hits):
                result.tries += 1
                requeue(_only(runs))
            if _only(runs).status != "finished":
                code = wait(fork(partial(train, folder)), PATIENCE)
                if code:
                    raise Lost(f"resuming ended with code {code}")
            for difference in differences(bench.reference, folder.path):
                result.mistake(f"{folder.id} after {result.tries - before} kills: {difference}")
        except (Lost, UserError) as error:
            result.tries = max(result.tries, before + 1)
            result.lose(f"{folder.id}: {error}")
        shutil.rmtree(folder.path)
    landed = ", ".join(f"{name} {count}" for name, count in sorted(hits.items()))
    result.remarks.append(f"kills landed while {landed}")
    return result


def _killed(
    bench: Bench, folder: RunFolder, rng: random.Random, result: Result, hits: Counter[str]
) -> bool:
    """Train in a child and kill it after a random time; False where it had ended before."""
    resuming = folder.last.exists()
    known = len(_kinds(folder.path))
    pid = fork(partial(train, folder))
    if ended_within(pid, rng.uniform(0.0, SHARE * bench.seconds)):
        code = reap(pid)
        if code:
            raise Lost(f"training ended with code {code}")
        return False
    alive = _only(folder.path.parent)
    if alive.status not in ("queued", "running", "finished"):
        result.mistake(f"{folder.id} was shown as {alive.status} while it was alive")
    os.kill(pid, signal.SIGKILL)
    ended_within(pid, PATIENCE)
    dead = _only(folder.path.parent)
    reap(pid)
    if dead.status == "finished":
        return False
    hits[_instant(_kinds(folder.path)[known:], resuming)] += 1
    if dead.status != "crashed" and not dead.left_behind:
        result.mistake(f"{folder.id} was shown as {dead.status} when it was dead")
    if rng.random() < TORN:
        with (folder.path / "events.jsonl").open("ab") as file:
            file.write(b'{"event": "epoch", "epo')
    return True


def _only(runs: Path) -> Run:
    (run,) = Runs(runs).all()
    if run.problem:
        raise Lost(run.problem)
    return run


def _kinds(path: Path) -> list[str]:
    try:
        lines = (path / "events.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line)["event"] for line in lines if line.endswith(b"}")]


def _instant(kinds: list[str], resuming: bool) -> str:
    """What the child was doing, by the events that it had written."""
    if not kinds:
        return "resuming" if resuming else "starting"
    return "checkpointing" if kinds[-1] == "epoch" else "training"
