"""What a queue asks of a cluster, and a cluster's answers."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from cifar_tui.errors import UserError
from cifar_tui.queue.nodes import Node
from cifar_tui.runs.folder import RunFolder
from cifar_tui.spec.settings import RunSpec


class Refused(UserError):
    """The cluster does not do it, or does not answer; says why."""


class Silent(Refused):
    """It does not answer, so that it may do it later, or have done it."""


@dataclass(frozen=True)
class State:
    """How a job is: `lost` where it ended through no fault of its run, `forgotten` where nobody
    knows how. `reason` is why it waits, if that needs someone's attention, or how it ended."""

    phase: Literal["waiting", "running", "lost", "cancelled", "ended", "forgotten"]
    reason: str = ""

    @property
    def gone(self) -> bool:
        """Whether there is no such job any more."""
        return self.phase not in ("waiting", "running")


class Cluster(Protocol):
    """What a queue asks of a cluster; each call may take seconds, and raises Refused or Silent."""

    name: str
    """As in `slurm:12_3@gpu`."""
    title: str

    def where(self) -> str:
        """Which cluster this is, among those of its kind."""

    def submit(self, folders: Sequence[RunFolder]) -> list[str]:
        """Queue the first of these runs, as many as go together; returns their jobs."""

    def states(self, jobs: Collection[str]) -> dict[str, State]:
        """How jobs are; those of which the cluster does not tell at the moment are left out."""

    def cancel(self, jobs: Collection[str]) -> None:
        """End jobs that wait."""

    def find_nodes(self, seconds: float) -> tuple[Node, ...]:
        """Its machines as they are now, within so many seconds."""

    def check(self, spec: RunSpec) -> None:
        """Raise UserError for a spec whose device the cluster would not give."""

    def close(self) -> None:
        """Give up the connection; it is made again when something is asked."""


class Job(NamedTuple):
    """A job as the folder of its run names it: `slurm:12_3@gpu`."""

    kind: str
    name: str
    where: str


def parse_job(text: str) -> Job | None:
    """A job by its name in a run's folder, whose word is not trusted; None for what is none."""
    form = r"([a-z]+):([A-Za-z0-9][\w.-]{0,250})@([\w.:\[\]-]{0,100})"
    match = re.fullmatch(form, text, re.ASCII)
    return Job(*match.groups()) if match else None
