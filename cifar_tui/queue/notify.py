"""Tells a command or a webhook when a queue ends and when a run fails, as one JSON object."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cifar_tui.config import read_config
from cifar_tui.errors import UserError
from cifar_tui.runs.listing import Run, best_run, read_run
from cifar_tui.runs.record import this_host
from cifar_tui.text import at_epoch, plain

ON_END, WEBHOOK = "CIFAR_TUI_ON_END", "CIFAR_TUI_WEBHOOK"
"""Name a command and a URL where no flag does, and hand them to processes in the background: a
webhook's URL is a secret, which a command line would show to everybody on the machine."""
COMMAND_SECONDS, WEBHOOK_SECONDS = 60.0, 15.0
"""How long one may take that is told something."""
WRONG = ("failed", "diverged", "crashed")
"""How runs end that nobody wanted to end."""
IN_ORDER = ("finished", *WRONG, "stopped")


def counted(runs: Sequence[Run]) -> str:
    """`12 finished, 1 diverged`."""
    counts = Counter(run.status for run in runs)
    return ", ".join(f"{counts[status]} {status}" for status in IN_ORDER if counts[status])


def run_text(run: Run) -> str:
    """How one run ended, as a sentence."""
    name, demo = plain(run.name), " (synthetic demo images)" if run.synthetic else ""
    if run.status == "finished":
        return f"{name} finished: best val_acc {at_epoch(run.summary.best)}{demo}."
    reason, after = plain(run.summary.reason), f"after epoch {run.summary.epochs_done}"
    if reason.startswith(run.status):
        return f"{name} {reason} {after}{demo}."
    return f"{name} {run.status} {after}{f': {reason}' if reason else ''}{demo}."


def ended_text(runs: Sequence[Run]) -> str:
    """`12 finished, 1 diverged; best val_acc 0.7246 @ 11 (lab2-bn)`."""
    best = best_run(list(runs))
    if best is None:
        return counted(runs)
    demo = " on synthetic demo images" if best.synthetic else ""
    best_val_acc = at_epoch(best.summary.best)
    return f"{counted(runs)}; best val_acc {best_val_acc} ({plain(best.name)}){demo}"


def queue_text(runs: Sequence[Run]) -> str:
    """How the runs of a queue ended, as a sentence."""
    if len(runs) == 1:
        return run_text(runs[0])
    return f"All {len(runs)} runs are done: {ended_text(runs)}."


def went_wrong(runs: Sequence[Run]) -> list[Run]:
    """The runs that nobody wanted to end."""
    return [run for run in runs if run.status in WRONG]


def message(event: str, text: str, runs: Sequence[Run], folder: Path) -> dict[str, Any]:
    """What is handed over: `text` says it all for people; the rest is for programs."""
    return {
        "event": event,
        "text": text,
        "host": this_host(),
        "folder": str(folder.absolute()),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": dict(Counter(run.status for run in runs)),
        "runs": [_run(run) for run in runs],
    }


def _run(run: Run) -> dict[str, Any]:
    told = run.summary.model_dump(
        mode="json", include={"reason", "epochs_done", "epochs", "best", "seconds", "device"}
    )
    about = {"id": run.id, "name": run.name, "status": run.status, "synthetic": run.synthetic}
    return {**about, **told, "path": str(run.path.absolute())}


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):
        print(f"cifar-tui: {sentence}", file=sys.stderr, flush=True)


class Notifier:
    """Is told by a queue which run has ended; whom it tells never holds up or ends training."""

    def __init__(self, folder: Path, on_end: str = "", webhook: str = "") -> None:
        self._folder = folder
        usual = read_config()
        self._on_end = on_end or os.environ.get(ON_END, usual.on_end)
        self._webhook = webhook or os.environ.get(WEBHOOK, usual.webhook)
        parts = urlsplit(self._webhook)
        if self._webhook and (parts.scheme not in ("http", "https") or not parts.hostname):
            named = "--webhook takes" if webhook else f"{WEBHOOK} must be"
            raise UserError(f"{named} a URL that begins with https:// or http://.")
        self._host = parts.hostname or ""
        self._ended: list[Run] = []
        self._one_by_one = threading.Lock()
        self.say: Callable[[str], None] = _say
        """Is told in a sentence what could not be told."""

    def environment(self) -> dict[str, str]:
        """The same for a process in the background."""
        told = {ON_END: self._on_end, WEBHOOK: self._webhook}
        return {name: value for name, value in told.items() if value}

    def done(self, run_id: str, is_last: bool) -> None:
        """A run is no longer in training; `is_last` where nothing is queued or in training."""
        if not (self._on_end or self._webhook):
            return
        run = read_run(self._folder / run_id)
        if run.ended:
            self._ended.append(run)
        if is_last and self._ended:
            self._begin(message("queue_ended", queue_text(self._ended), self._ended, self._folder))
            self._ended = []
        elif went_wrong([run]):
            self._begin(message("run_ended", run_text(run), [run], self._folder))

    def _begin(self, told: dict[str, Any]) -> None:
        """Tell it in a thread, for which the end of the program waits."""
        with contextlib.suppress(RuntimeError):  # no thread can be had: training matters more
            threading.Thread(target=self._tell, args=(told,), name="notifier").start()

    def _tell(self, told: dict[str, Any]) -> None:
        content = json.dumps(told).encode() + b"\n"
        with self._one_by_one:
            for tell in (self._run_command, self._post):
                try:
                    tell(content)
                except (OSError, ValueError, subprocess.SubprocessError) as error:
                    self.say(plain(str(error)))

    def _run_command(self, content: bytes) -> None:
        if not self._on_end:
            return
        try:
            done = subprocess.run(
                self._on_end,
                shell=True,
                input=content,
                capture_output=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise OSError(f"The command of --on-end took over {COMMAND_SECONDS:.0f} s.") from None
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            why = f": {words[0][:200]}" if words else ""
            raise OSError(f"The command of --on-end ended with code {done.returncode}{why}.")

    def _post(self, content: bytes) -> None:
        if not self._webhook:
            return
        import urllib.error
        import urllib.request

        headers = {"Content-Type": "application/json", "User-Agent": "cifar-tui"}
        request = urllib.request.Request(self._webhook, content, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS):
                pass
        except urllib.error.HTTPError as error:
            why = f"answered {error.code} {error.reason}"
        except OSError as error:
            why = f"cannot be reached: {getattr(error, 'reason', error)}"
        else:
            return
        raise OSError(f"The webhook at {self._host} {why}.")
