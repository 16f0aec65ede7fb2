"""Turns on a device: one run at a time of this user on this machine."""

import contextlib
import json
import os
import pwd
import stat
import time
from functools import partial
from pathlib import Path
from typing import Self

from cifar_tui.errors import UserError
from cifar_tui.locks import Lock, is_held
from cifar_tui.runs.control import user_name
from cifar_tui.runs.listing import read_progress, read_run
from cifar_tui.runs.record import boot_id
from cifar_tui.text import clock, plain

LOCKS = "CIFAR_TUI_LOCKS"
"""Names another folder for the locks."""
ASK_EVERY = 15.0
"""Seconds for which it stands what is said of the run that has a device."""
OTHER = f"{LOCKS}=FOLDER names another"


class Turn:
    """The right to train on one device; `device_turn` makes it."""

    def __init__(self, *wanted: tuple[str, bool]) -> None:
        self._wanted = wanted
        """Names of locks, and whether each is shared."""
        self._locks: list[Lock] = []
        self._words: list[str] = []
        """What the locks said when the reason was looked up."""
        self._reason = ""
        self._ask_at = 0.0

    @property
    def held(self) -> bool:
        """Whether this process has the turn."""
        return bool(self._locks)

    def take(self, run: Path, name: str = "") -> bool:
        """Try to take the turn for a run, without waiting; tells whether it is held now.

        Raises UserError where no lock can be had.
        """
        if self.held:
            return True
        locks = self._named()
        told = {"run": str(run.absolute()), "name": name, "pid": os.getpid(), "user": os.getuid()}
        word = json.dumps(told)
        try:
            if all(lock.take(word) for lock in locks):
                self._locks, locks = locks, []
        except OSError as error:
            where = error.filename or locks_folder()
            raise UserError(f"Cannot take turns by {where}: {error.strerror}; {OTHER}.") from None
        finally:
            for lock in locks:
                lock.release()
        return self.held

    def lacks(self, device: str, run: Path, name: str) -> str:
        """Try to take it, and say why a run waits for its device; empty once the turn is held.

        What is said of the run that has it stands for a while, as each change is written down.
        """
        try:
            if self.take(run, name):
                return ""
            words = self._told()
            if words != self._words or time.monotonic() >= self._ask_at:
                self._words, self._ask_at = words, time.monotonic() + ASK_EVERY
                self._reason = f"waits for {device}, used by {self.holder(run.parent)}"
            return self._reason
        except UserError as error:
            return f"waits for {device}: {error}"

    def holder(self, runs: Path) -> str:
        """The run that has it, as far as is known, as seen from a folder of runs.

        `anna's lr 0.1 in /home/anna/runs (pid 4242, epoch 5/30, 0:12:31 left)`.
        """
        words = self._told()
        known = (found[1] for found in map(partial(_holder, runs=runs), words) if found)
        return next(known, plain(next(filter(None, words), "another run")))

    def _told(self) -> list[str]:
        return [lock.word() for lock in self._named()]

    def release(self) -> None:
        """Give it back."""
        for lock in self._locks:
            lock.release()
        self._locks = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _named(self) -> list[Lock]:
        return [
            Lock(locks_folder() / f"{_prefix()}{name.replace(':', '-')}.lock", shared=s, own=True)
            for name, s in self._wanted
        ]


def _prefix() -> str:
    """The machine's start is part of a lock's name, as a home may be many machines'."""
    return f"cifar-tui-{os.getuid()}-{boot_id()}-"


def holders(runs: Path) -> dict[int, str]:
    """This user's runs that have a device of this machine, by pid, as seen from a folder of runs.

    None are known where the folder of locks cannot be used.
    """
    try:
        paths = sorted(locks_folder().glob(f"{_prefix()}*.lock"))
    except UserError:
        return {}
    found = (_holder(Lock(path).word(), runs) for path in paths if is_held(path))
    return dict(filter(None, found))


def _holder(word: str, runs: Path) -> tuple[int, str] | None:
    """The pid that a lock's word has, and its run; None for a word of another form."""
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        told = json.loads(word)
        path, pid, owner = Path(told["run"]), told.get("pid"), int(told.get("user", os.getuid()))
        where = "" if path.parent == runs.absolute() else f" in {path.parent}"
        far = ", ".join(filter(None, (f"pid {pid}" if pid else "", _how_far(path))))
        name = told.get("name") or path.name
        words = f"{user_name(owner)}'s {name}{where}{f' ({far})' if far else ''}"
        return int(pid or 0), plain(words)
    return None


def _how_far(path: Path) -> str:
    progress, summary = read_progress(path), read_run(path).summary
    if progress is None or not progress.epoch:
        return ""
    left = f"{clock(progress.seconds_left)} left"
    does = "paused" if progress.phase == "paused" else left
    return f"epoch {progress.epoch}/{summary.epochs}, {does}"


def device_turn(device: str, slot: str = "") -> Turn:
    """The turn of this user's runs on one device of this machine.

    Runs in different slots of the CPU share it; a run without a slot has the device for itself.
    """
    if slot in ("", device):
        return Turn((device, False))
    return Turn((slot, False), (device, True))


def locks_folder() -> Path:
    """The folder of the locks, made where needed; raises UserError for one that cannot be used.

    It is $CIFAR_TUI_LOCKS, else in the user's home, else in /tmp where there is no home. HOME,
    TMPDIR and a full disk do not change it: processes that differed would share a device. What a
    login brings is not used, as a run outlives that.
    """
    named = os.environ.get(LOCKS)
    if named and not os.path.isdir(named):
        raise UserError(f"{LOCKS} names {named}, which is no folder; make it, or unset {LOCKS}.")
    folder = Path(named) if named else _own_folder()
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"Cannot write into {folder}, where runs take turns; {OTHER}.")
    return folder


def _own_folder() -> Path:
    home = _home()
    folder = home / ".cache/cifar-tui/locks" if home else Path(f"/tmp/cifar-tui-{os.getuid()}")
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise UserError(
            f"Cannot make {folder}, where runs take turns: {error.strerror}; {OTHER}."
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise UserError(
            f"{folder}, where runs take turns, is no folder of your own; remove it, or {OTHER}."
        )
    return folder


def _home() -> Path | None:
    """The user's home as the system has it; None where it is missing, another's or read-only."""
    with contextlib.suppress(KeyError, OSError):
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
        read_only = os.statvfs(home).f_flag & os.ST_RDONLY
        if home.is_dir() and home.stat().st_uid == os.getuid() and not read_only:
            return home
    return None
