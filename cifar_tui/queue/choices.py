"""The backends there are, whether each can be used here, and the one that was asked for."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.queue.cluster import slurm
from cifar_tui.queue.cluster.adapter import Job, parse_job
from cifar_tui.queue.notify import Notifier
from cifar_tui.queue.queue import Backend
from cifar_tui.runs.control import BY_USER, end, order
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run

NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Wish:
    """What a person said about how runs are to be trained; `options` are the backend's own."""

    backend: str = ""
    devices: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    on_end: str = ""
    """A command that is told when runs end."""
    webhook: str = ""
    """The same for a URL."""

    @property
    def name(self) -> str:
        """The backend meant: by default a thread, or processes where devices are named."""
        return self.backend or ("processes" if self.devices else "thread")

    def arguments(self) -> list[str]:
        """The same as flags of a command."""
        flags = ["--backend", self.backend] if self.backend else []
        flags += ["--devices", self.devices] if self.devices else []
        for name, value in self.options.items():
            flags += ["--option", f"{name}={value}"]
        return flags


ANY = Wish()


@dataclass(frozen=True)
class BackendChoice:
    """One backend; its module has `make(runs, wish)`, which raises UserError for what it cannot do.

    Where it cannot be used everywhere, `why_not(options)` says what would help, and where it has
    jobs, `withdraw(folder, job)` stops a run that waits in one.
    """

    name: str
    help: str
    module: str
    options: Mapping[str, str] = field(default_factory=dict)
    """Names of its own options with their help."""

    def why_not(self, options: Mapping[str, str] = NO_OPTIONS) -> str:
        """Why it cannot be used here, and the command that would help; empty where it can.

        Takes seconds where a cluster does not answer.
        """
        ask = getattr(self._module(), "why_not", None)
        return str(ask(options)) if ask else ""

    def make(self, runs: Path, wish: Wish) -> tuple[Backend, Sequence[str]]:
        """The backend over a folder of runs, not started yet, and what to tell of it."""
        make: Callable[..., tuple[Backend, Sequence[str]]] = self._module().make
        return make(runs, wish)

    def withdraw(self, folder: RunFolder, job: Job) -> bool:
        """Stop a run that waits in a job of this backend, if it has jobs; tells whether it did."""
        ask = getattr(self._module(), "withdraw", None)
        return bool(ask and ask(folder, job))

    def _module(self) -> Any:
        return import_module(f"cifar_tui.queue.{self.module}")


CHOICES = {
    choice.name: choice
    for choice in (
        BackendChoice("thread", "one run after another in this program", "queue"),
        BackendChoice(
            "processes", "a process for each of --devices, at the same time", "processes"
        ),
        BackendChoice(
            "ray",
            "a Ray cluster, which trains on when this program ends",
            "cluster.ray",
            {
                "address": "HOST:6379 of its head; else the cluster that runs here",
                "gpus_per_run": "1 where there are GPUs, 0.25 for four runs on each, or 0",
                "cpus_per_run": "1, and as many threads",
            },
        ),
        BackendChoice(
            "slurm",
            "jobs of a Slurm cluster, by its own commands alone",
            "cluster.slurm",
            slurm.OPTIONS,
        ),
    )
}


def make_backend(runs: Path, wish: Wish) -> tuple[Backend, Sequence[str]]:
    """The backend wished for, and what to tell of it; raises UserError where it cannot be used."""
    notifier = Notifier(runs, wish.on_end, wish.webhook)
    backend, notes = check_wish(wish).make(runs, wish)
    backend.notifier = notifier
    return backend, notes


def withdraw(run: Run) -> bool:
    """Stop a run at once that waits in a cluster's queue; tells whether it did.

    Otherwise the order in its folder has to do.
    """
    waits = run.status in ("queued", "stale")
    job = parse_job(run.progress.worker.job) if run.progress and waits else None
    if job is None or job.kind not in CHOICES:
        return False
    try:
        return CHOICES[job.kind].withdraw(RunFolder(run.path), job)
    except OSError:
        return False


STOPPABLE = ("running", "paused", "queued", "stale")
"""What a run is that trains or waits."""


def stop(run: Run) -> bool:
    """Stop a run; tells whether that is done, as otherwise whoever has it was only asked.

    Raises UserError for a run that has ended.
    """
    if run.left_behind:
        return end(RunFolder(run.path), "stopped", BY_USER)
    order(run, "stop")
    return withdraw(run)


def parse_options(texts: Iterable[str]) -> dict[str, str]:
    """A backend's options from NAME=VALUE; raises UserError for one without a value."""
    options = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"An option is NAME=VALUE, like partition=gpu; got '{text}'.")
        options[name.strip()] = value.strip()
    return options


def split_options(text: str, backend: str) -> list[str]:
    """Options that were typed with commas between them.

    A comma is part of a value unless the name of one of the backend's options and `=` follow.
    """
    names = "|".join(map(re.escape, CHOICES[backend].options))
    parts = re.split(rf",(?=\s*(?:{names})\s*=)", text)
    return [part.strip() for part in parts if part.strip()]


def check_wish(wish: Wish) -> BackendChoice:
    """The backend that a wish means; raises UserError for one that is not there or not usable."""
    choice = CHOICES.get(wish.name)
    if choice is None:
        raise UserError(f"There is no backend '{wish.name}'; there are {', '.join(CHOICES)}.")
    for option in wish.options:
        if option not in choice.options:
            known = ", ".join(choice.options) or "none"
            raise UserError(f"The backend {wish.name} has no option '{option}'; it has {known}.")
    reason = choice.why_not(wish.options)
    if reason:
        raise UserError(reason)
    return choice
