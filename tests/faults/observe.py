"""What the program shows of the runs, taken in a child and handed back as plain values."""

import contextlib
import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import torch

import cifar_tui.cli
from cifar_tui.runs.listing import Runs
from tests.faults.references import digest
from tests.faults.world import World, fork_quietly

TEXT_EVERY = 4
"""Looks between two at the list for people, which says what the one for programs says."""
CHECKPOINTS = ("best.pt", "last.pt")


class Observer:
    """Looks at a world; remembers the digests of checkpoints that have not changed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._digests: dict[str, Any] = {}
        self._looks = 0

    def look(self) -> dict[str, Any]:
        """All that is shown now."""
        answer = self.world.folder / "seen.json"
        answer.unlink(missing_ok=True)
        self._looks += 1
        files = self.world.folder / "seen"
        pid = fork_quietly(lambda: self._look(answer), files)
        _, status = os.waitpid(pid, 0)
        if status or not answer.exists():
            problem = files.with_suffix(".err").read_text()[-400:]
            return {"problem": f"looking at the runs failed: {problem}"}
        seen: dict[str, Any] = json.loads(answer.read_bytes())
        self._digests = seen["digests"]
        seen["folders"] = folders(self.world.runs)
        seen["trash"] = folders(self.world.runs / ".trash")
        return seen

    def _look(self, answer: Path) -> None:
        signal.alarm(60)
        torch.set_num_threads(1)
        os.chdir(self.world.home)
        locks = held_locks()
        found = Runs(self.world.runs).all()
        seen: dict[str, Any] = {"runs": {}, "digests": {}, "problem": ""}
        seen["list"] = command("runs", "list", "--json")
        seen["text"] = command("runs", "list") if self._looks % TEXT_EVERY == 0 else seen["list"]
        for run in found:
            about = {
                "status": run.status,
                "reason": run.summary.reason or run.problem,
                "left": run.left_behind,
                "worker": vars(run.progress.worker) if run.progress else None,
                "locked": _inode(run.path / "lock") in locks,
                "show": command("runs", "show", run.id, "--json"),
            }
            for name in CHECKPOINTS:
                about[name] = self._digest(run.path / name, seen["digests"])
            seen["runs"][run.id] = about
        seen["devices"] = [p.name for p in self.world.locks.iterdir() if _inode(p) in locks]
        answer.write_text(json.dumps(seen))

    def _digest(self, path: Path, kept: dict[str, Any]) -> list[Any] | None:
        """Epoch and digest of a checkpoint; its refusal where it is refused; None without one."""
        from cifar_tui.errors import UserError
        from cifar_tui.training.checkpoint import load

        try:
            stat = path.stat()
        except OSError:
            return None
        key = f"{path} {stat.st_mtime_ns} {stat.st_ino} {stat.st_size}"
        if key not in self._digests:
            try:
                checkpoint = load(path)
                self._digests[key] = [checkpoint.epoch, digest(checkpoint.state_dict)]
            except UserError as error:
                self._digests[key] = [-1, str(error)]
        kept[key] = self._digests[key]
        return self._digests[key]


def command(*argv: str) -> dict[str, Any]:
    """Exit code and output of a command that only reads."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cifar_tui.cli.run(argv)
    text = out.getvalue()
    found: dict[str, Any] = {"code": code, "err": err.getvalue()[-300:]}
    if "--json" in argv and code == 0:
        found["json"] = json.loads(text)
    return found | {"text": text[:20_000]}


def folders(path: Path) -> list[str]:
    """Names of the folders in one, but hidden ones."""
    try:
        return sorted(p.name for p in path.iterdir() if p.is_dir() and p.name[0] != ".")
    except OSError:
        return []


def held_locks() -> set[int]:
    """The inodes of all files that some process holds a lock on."""
    lines = Path("/proc/locks").read_text().splitlines()
    fields = [line.split() for line in lines if " FLOCK " in line and "->" not in line]
    return {int(words[5].split(":")[2]) for words in fields}


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1
